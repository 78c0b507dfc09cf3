"""One writer per instance, held by `flock`, so that it goes with the program however that ends."""

from __future__ import annotations

import contextlib
import fcntl
import os
from typing import IO, TYPE_CHECKING

from reconciler.model.errors import InstanceLockedError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextlib.contextmanager
def one_writer(path: Path) -> Iterator[None]:
    """Hold an instance for the length of a block.

    Raises:
        InstanceLockedError: if another controller holds it; with its PID.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with path.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            pid = _pid(file)
            msg = (
                f"another controller (PID {pid or 'unknown'}) holds this instance: end it, or choose another --instance"
            )
            raise InstanceLockedError(msg, pid=pid) from error
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield


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
