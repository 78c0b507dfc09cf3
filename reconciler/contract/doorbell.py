"""How the controller tells a node at once that its assignments have changed: a FIFO in the node's directory.

Watching the directory (inotify) would need nothing of the kind, but a user has no more than 128 such watches on most
machines, whatever containers they are in: a hundred nodes would take them from the controller and from all else.

Rule: a ring only wakes, and may be lost; whoever waits then looks at the files, and looks once a second in any case.
"""

from __future__ import annotations

import contextlib
import os
import select
import stat
from typing import TYPE_CHECKING, List

if TYPE_CHECKING:
    from pathlib import Path

FILE = ".doorbell"
"""Hidden: what happens to it tells nobody anything."""

LONGEST_WAIT_S = 1.0
_FLAGS = os.O_NONBLOCK | os.O_CLOEXEC


class Doorbell:
    """The end that hears. One thread waits; any thread or signal handler may ring."""

    def __init__(self, directory: Path) -> None:
        """Hang it up; where that can't be, those of this process alone can ring."""
        self._ends: List[int] = []
        try:
            self._ends = [_hung_up(directory / FILE)]
        except OSError:
            self._ends = list(os.pipe())
            for end in self._ends:
                os.set_blocking(end, False)

    def wait(self, timeout_s: float) -> None:
        """Block until it was rung or the time is up (1 s at most). GIL released."""
        poll = select.poll()
        poll.register(self._ends[0], select.POLLIN)
        poll.poll(max(min(timeout_s, LONGEST_WAIT_S), 0.0) * 1000)
        with contextlib.suppress(BlockingIOError):
            os.read(self._ends[0], 65_536)

    def ring(self) -> None:
        """End a wait, or the next one."""
        with contextlib.suppress(BlockingIOError):  # it is full, and so rings already
            os.write(self._ends[-1], b"!")


def ring(directory: Path) -> None:
    """Ring at a node's directory, where somebody hears it."""
    with contextlib.suppress(OSError):
        file = os.open(directory / FILE, os.O_WRONLY | _FLAGS)
        try:
            if stat.S_ISFIFO(os.fstat(file).st_mode):
                os.write(file, b"!")
        finally:
            os.close(file)


def _hung_up(place: Path) -> int:
    """Return the FIFO, open for both ends so that it never ends. One that was there may be half a dead program's."""
    with contextlib.suppress(FileNotFoundError):
        place.unlink()
    os.mkfifo(place, 0o600)
    return os.open(place, os.O_RDWR | _FLAGS)
