"""The seat of a session in a node: a locked file, so that of all instances of the node one serves it at a time.

An old version keeps the seat until nothing of it reads, acknowledges or emits any more; the new one waits for it,
ready to go on. The kernel frees the seat of whoever is killed.

The first of those who wait is the *heir*, by the lock of a second file. What the old one has in its queue must not be
only with its sender when it leaves, who may be killed. So the old one *offers* the seat and serves on; the heir opens
its reading ends and says since when it has them; what was sent before that the old one still does.

Rule: who has the seat removes the file before it lets go; who takes it checks that the file still has its name.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from typing import TYPE_CHECKING, Optional

from reconciler.contract import files, lock

if TYPE_CHECKING:
    from pathlib import Path

DIRECTORY = "seats"
"""Below the instance's iceoryx2 root directory, which all its nodes share."""

_OFFERED = "offered"


class Seat:
    """One session's seat in one node; ids hold no `@`."""

    def __init__(self, root: Path, session: str, node: str) -> None:
        """Name the seat; it is not taken yet."""
        self._seat = _Place(root / DIRECTORY / f"{session}@{node}")
        self._line = _Place(root / DIRECTORY / f"{session}@{node}@heir")

    def take(self) -> bool:
        """Take the seat if it is free now; True where it is taken already.

        Raises:
            OSError: if its file can't be made.
        """
        if not self._seat.take():
            return False
        self._line.leave()
        return True

    def await_it(self) -> bool:
        """Become the heir, if nobody is it now; True where this is the heir already.

        Raises:
            OSError: if its file can't be made.
        """
        return self._line.take()

    def offer(self) -> None:
        """Say, having the seat, that the heir may open its reading ends."""
        self._seat.write(_OFFERED)

    def is_offered(self) -> bool:
        """Tell whether who has the seat wants to give it up."""
        return self._seat.read() == _OFFERED

    def is_here(self) -> None:
        """Say, being the heir, that the reading ends are open: what is sent from now on comes by them, too."""
        self._line.write(str(time.monotonic_ns()))

    def heir(self) -> Optional[int]:
        """Return since when the heir has its reading ends open, in ns of the monotonic clock.

        0: it has not opened them. None: there is no heir.
        """
        if not lock.held(self._line.path):
            return None
        since = self._line.read()
        return int(since) if since.isdigit() else 0

    def leave(self) -> None:
        """Give up what was taken: the seat, and being the heir."""
        self._line.leave()
        self._seat.leave()


class _Place:
    """A file that one process at a time has the lock of, and writes to."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = -1

    def take(self) -> bool:
        """Take the lock if it is free now; True where it is taken already. The file is empty then."""
        while self._file < 0:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(file)
                return False
            if lock.is_at(file, self.path):
                os.ftruncate(file, 0)  # what a killed one wrote
                self._file = file
            else:  # it was given up between opening and locking
                os.close(file)
        return True

    def write(self, text: str) -> None:
        os.pwrite(self._file, text.encode(), 0)

    def read(self) -> str:
        return files.read_text(self.path) or ""

    def leave(self) -> None:
        """Give the lock up, if it was taken."""
        if self._file >= 0:
            with contextlib.suppress(OSError):
                self.path.unlink()
            os.close(self._file)
            self._file = -1
