"""One writer per instance, held by `flock`, so that it goes with the program however that ends."""

from __future__ import annotations

import contextlib
import fcntl
import os
from typing import IO, TYPE_CHECKING

from reconciler.contract.env import STATE_DIR
from reconciler.model.errors import InstanceLockedError, StateError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextlib.contextmanager
def one_writer(path: Path) -> Iterator[None]:
    """Hold an instance for the length of a block.

    Raises:
        InstanceLockedError: if another controller holds it; with its PID.
        StateError: if the state directory can't be written.
    """
    with _opened(path) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            pid = _pid(file)
            msg = (
                f"another controller (PID {pid or 'unknown'}) holds this instance: end it, or choose another --instance"
            )
            raise InstanceLockedError(msg, pid=pid) from error
        with contextlib.suppress(OSError):  # a full disk: the lock holds all the same, and the PID is for people
            file.truncate(0)
            file.write(f"{os.getpid()}\n")
            file.flush()
        yield


def _opened(path: Path) -> IO[str]:
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        return path.open("a+")
    except OSError as error:
        msg = (
            f"the state directory {path.parent} can't be written ({error.strerror}: {error.filename}): choose "
            f"--state-dir (or {STATE_DIR}), or run as the user that this instance belongs to"
        )
        raise StateError(msg) from error


@contextlib.contextmanager
def on_duty(path: Path) -> Iterator[None]:
    """Show for the length of a block that a controller serves new sessions; clients only ever probe this lock."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with path.open("a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _pid(file: IO[str]) -> int:
    file.seek(0)
    text = file.read().strip()
    return int(text) if text.isdigit() else 0
