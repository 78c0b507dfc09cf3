"""The one error family of streams.

Rule: each class says in `retryable` whether the same call can work later without anybody changing anything else, and
each message says what happened, where, and what to do.
"""

from __future__ import annotations


class StreamError(Exception):
    """Something is wrong with a stream. `retryable`: whether the same call may work later."""

    retryable = False


class PipelineNotFound(StreamError):
    """No pipeline of that name is wanted in this instance."""


class SessionNotReady(StreamError):
    """The session did not become ready in time, or somebody else has it."""

    retryable = True


class SessionNotFound(SessionNotReady):
    """No session of the name that was given stands, or is declared by a manifest."""


class NodeFailed(StreamError):
    """A node raised while it worked on a frame. The session goes on unless it is `fatal`, and later frames come.

    `node` is the node's id, `exception` the name of what it raised, `frame_seq` the seq of the frame it raised on.
    `fatal`: the stream has ended with it, and every further use of the session raises it again.
    """

    def __init__(
        self, message: str, *, node: str = "", exception: str = "", frame_seq: int = 0, fatal: bool = False
    ) -> None:
        """Keep where it happened."""
        super().__init__(message)
        self.node = node
        self.exception = exception
        self.frame_seq = frame_seq
        self.fatal = fatal


class Backpressure(StreamError):
    """The receiver did not make room within the time limit. The frame was not sent."""

    retryable = True


class TimedOut(StreamError, TimeoutError):
    """Nothing arrived within the time limit."""

    retryable = True


class Closed(StreamError):
    """The session, or this end of it, is closed."""


class SharedMemoryFull(StreamError):
    """The frame does not fit into shared memory now. It was not sent."""

    retryable = True


class FrameInvalid(StreamError, TypeError):
    """What was to be sent is no frame, or holds what no frame can carry. It was not sent."""


class TransportError(StreamError):
    """iceoryx2 refused: wrong owner of files, damaged service, too many ends. The message holds its own word."""

    retryable = True
