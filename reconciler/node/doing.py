"""The runtime's end of `contract/doing.py`: one store before a frame and one after it.

Rule: it explains and decides nothing, so a session without a place is served all the same.
"""

from __future__ import annotations

import ctypes
import mmap
import os
from typing import TYPE_CHECKING, List, Optional

from reconciler.contract import doing

if TYPE_CHECKING:
    from pathlib import Path


class Place:
    """What one session's worker says. Without a word of the file, it says it to nobody."""

    def __init__(self, word: Optional[ctypes.c_uint64] = None, offset: int = -1) -> None:
        """Take a word of the mapped file, which is at an offset there."""
        self.offset = offset
        self._word = word if word is not None else ctypes.c_uint64()

    def initializing(self) -> None:
        """Say that the node is being made."""
        self._word.value = doing.INITIALIZING

    def frame(self, number: int) -> None:
        """Say that a frame is in hand."""
        self._word.value = doing.FIRST_FRAME + number

    def idle(self) -> None:
        """Say that nothing is in hand."""
        self._word.value = doing.IDLE


class Doing:
    """The mapped file of one node instance, empty at first."""

    def __init__(self, directory: Path) -> None:
        """Make and map the file.

        Raises:
            OSError: if it can't be made or mapped.
        """
        size = doing.PLACE.size * doing.PLACES
        file = os.open(directory / doing.FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(file, 0, size)
            self._map = mmap.mmap(file, size)
        finally:
            os.close(file)
        self._map[:] = bytes(size)
        self._free: List[int] = list(range(doing.PLACES))

    def place(self, session: str) -> Place:
        """Return a place for a session; one that tells nobody where all are taken."""
        if not self._free:
            return Place()
        offset = self._free.pop(0) * doing.PLACE.size
        doing.PLACE.pack_into(self._map, offset, doing.IDLE, session.encode())
        return Place(ctypes.c_uint64.from_buffer(self._map, offset), offset)

    def free(self, place: Place) -> None:
        """Take a place back from a session that ended."""
        place.idle()
        if place.offset >= 0:
            self._free.append(place.offset // doing.PLACE.size)
