"""Leases: how a program asks for a session and keeps it.

A lease is a file that the program holds by `flock`. The kernel lets go of it when the program ends, however it ends,
so there are no heartbeats and no clocks.

Rule: a lease is locked before it can be seen under its name, and removed before it is let go of.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

from reconciler.contract import files, lock
from reconciler.stream.errors import SessionNotReady

_NUMBERS = itertools.count(1)


@dataclass
class Held:
    """A lease this program holds."""

    session: str
    path: Path
    file: int

    def release(self) -> None:
        """Give the session back."""
        if self.file >= 0:
            with contextlib.suppress(OSError):
                self.path.unlink()
            os.close(self.file)
            self.file = -1


def stem(pipeline: str) -> str:
    """Return how the names of a pipeline's new sessions begin."""
    return pipeline[:40].rstrip("-")


def ask(directory: Path, pipeline: str) -> Held:
    """Ask for a new session of a pipeline.

    Raises:
        SessionNotReady: if the lease can't be written.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        while True:
            held = _ask(directory, pipeline, f"{stem(pipeline)}-{os.getpid()}-{next(_NUMBERS)}")
            if held is not None:
                return held
    except OSError as error:
        raise SessionNotReady(_unwritable(directory, error)) from error


def attach(directory: Path, session: str, pipeline: str) -> Held:
    """Take a session that stands already, for this program alone.

    Raises:
        SessionNotReady: if another program has it, or the lease can't be written.
    """
    path = directory / f"{session}.json"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        while True:
            file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            if not lock.take(file):
                os.close(file)
                raise SessionNotReady(_taken(path, session))
            if lock.is_at(file, path):
                break
            os.close(file)
        os.ftruncate(file, 0)
        os.write(file, _document(session, pipeline))
    except OSError as error:
        raise SessionNotReady(_unwritable(directory, error)) from error
    return Held(session, path, file)


def _ask(directory: Path, pipeline: str, session: str) -> Optional[Held]:
    path = directory / f"{session}.json"
    hidden = directory / f".{session}.{os.getpid()}"
    file = os.open(hidden, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        lock.take(file)
        os.write(file, _document(session, pipeline))
        os.link(hidden, path)
    except FileExistsError:
        os.close(file)
        return None
    except OSError:
        os.close(file)
        raise
    finally:
        hidden.unlink()
    return Held(session, path, file)


def _document(session: str, pipeline: str) -> bytes:
    return files.dump(files.Lease(session, pipeline, os.getpid(), Path(sys.argv[0]).name)).encode()


def _taken(path: Path, session: str) -> str:
    lease = files.parse_lease(files.read_text(path) or "")
    who = f"PID {lease.pid} ({lease.program})" if lease is not None else "another program"
    return (
        f"session {session} is in use by {who}: wait until it ends, or run the controller (`reconcile -f DIR`), which "
        "gives every program a session of its own"
    )


def _unwritable(directory: Path, error: OSError) -> str:
    return f"{directory} can't be written ({error.strerror}): run as the user the controller runs as"
