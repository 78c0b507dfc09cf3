"""The seat of a session in a node: a locked file, so that of all instances of the node one serves it at a time.

An old version keeps the seat until nothing of it reads, acknowledges or emits any more; the new one waits for it,
ready to go on. The kernel frees the seat of whoever is killed.

Rule: who has the seat removes the file before it lets go; who takes it checks that the file still has its name.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from typing import TYPE_CHECKING

from reconciler.contract import lock

if TYPE_CHECKING:
    from pathlib import Path

DIRECTORY = "seats"
"""Below the instance's iceoryx2 root directory, which all its nodes share."""


class Seat:
    """One session's seat in one node; ids hold no `@`."""

    def __init__(self, root: Path, session: str, node: str) -> None:
        """Name the seat; it is not taken yet."""
        self._path = root / DIRECTORY / f"{session}@{node}"
        self._file = -1

    def take(self) -> bool:
        """Take the seat if it is free now; True where it is taken already.

        Raises:
            OSError: if its file can't be made.
        """
        while self._file < 0:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(file)
                return False
            if lock.is_at(file, self._path):
                self._file = file
            else:  # it was given up between opening and locking
                os.close(file)
        return True

    def leave(self) -> None:
        """Give the seat up, if it was taken."""
        if self._file >= 0:
            with contextlib.suppress(OSError):
                self._path.unlink()
            os.close(self._file)
            self._file = -1
