"""The one family of errors, decided by status code and never by message text.

Rule: `retryable` says whether the same call can succeed later without a change by a person; `reason` is the CamelCase
word that appears in conditions; the message says what happened, where, and what to do.
"""

from __future__ import annotations


class ReconcilerError(Exception):
    """Base of every error this project raises on purpose."""

    retryable = False
    reason = "Failed"


class EngineUnavailableError(ReconcilerError):
    """The engine does not answer. Nothing is known then, so nothing is done."""

    retryable = True
    reason = "EngineUnavailable"


class EngineError(ReconcilerError):
    """The engine refused a call."""

    retryable = True
    reason = "EngineError"

    def __init__(self, message: str, *, status: int = 0, reason: str = "", retryable: bool = True) -> None:
        super().__init__(message)
        self.status = status
        self.retryable = retryable
        if reason:
            self.reason = reason


class BuildError(ReconcilerError):
    """An image can't be built as asked. `log` holds the last lines of the failing step."""

    retryable = True
    reason = "BuildFailed"

    def __init__(self, message: str, *, log: str = "") -> None:
        super().__init__(message)
        self.log = log


class NameTakenError(ReconcilerError):
    """A container of a stranger has our derived name; it is left alone."""

    retryable = True
    reason = "NameTaken"


class ProcessError(ReconcilerError):
    """A host process can't be started or stopped."""

    retryable = True
    reason = "ProcessFailed"


class ShmError(ReconcilerError):
    """iceoryx2 refused a call on the control side."""

    retryable = True
    reason = "SharedMemoryError"


class StateError(ReconcilerError):
    """The state directory can't be read or written."""

    retryable = True
    reason = "StateUnavailable"


class SourceError(ReconcilerError):
    """Node source can't be read or snapshotted."""

    retryable = True
    reason = "SourceUnavailable"


class FilesError(ReconcilerError):
    """A file or directory of ours can't be read or written."""

    retryable = True
    reason = "FilesFailed"


class InstanceLockedError(ReconcilerError):
    """Another controller holds this instance. `pid` is 0 where it could not be read."""

    reason = "InstanceLocked"

    def __init__(self, message: str, *, pid: int = 0) -> None:
        super().__init__(message)
        self.pid = pid
