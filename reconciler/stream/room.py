"""Room in shared memory: a payload that does not fit is an error before anything is touched.

Linux commits the pages of `/dev/shm` at first touch and answers a lack of them with SIGBUS. So the sender looks how
much is free and then has the kernel commit a place's pages, which fails in good order where another program was faster.
A kernel before 5.14 can't do that: there each frame is looked after, and another program can still be faster.

Rule: small payloads are looked after once, when their segment is made; others where they go to a place that nothing as
large went to before.
"""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
from typing import Dict

from reconciler.contract.header import BLOCK_BYTES, SIZE
from reconciler.stream.errors import SharedMemoryFull
from reconciler.stream.memory import COPY_LIMIT_BYTES

DIRECTORY = "/dev/shm"  # noqa: S108 - shared memory itself, not a temporary file
SMALL_BYTES = COPY_LIMIT_BYTES
OVERHEAD_BYTES = 320
"""What iceoryx2 0.10 adds to a payload's blocks before it rounds up to the size of a place: its header and ours. Held
to its files by `tests/stream/test_pieces.py`."""

RESERVE_BYTES = 1 << 20
"""Left free for what iceoryx2 keeps beside payloads."""

_MADVISE = ctypes.CDLL(None, use_errno=True).madvise
_MADVISE.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
_POPULATE_WRITE = 23


class Room:
    """What one publisher has asked for so far.

    `slots` is how many payloads its segment can hold, `first_bytes` the largest that fits into its first one.
    """

    def __init__(self, slots: int, first_bytes: int) -> None:
        """Begin with no segment."""
        self._slots = slots
        self._first_bytes = first_bytes
        self._touched: Dict[int, int] = {}
        self.segment_bytes = 0
        """Payloads up to this size need no other segment."""

    def look_for(self, payload_bytes: int, channel: str) -> int:
        """Make sure that there is room for a payload that needs another segment, before that is made.

        Return the largest payload that will fit into that one.

        Raises:
            SharedMemoryFull: if there is no room.
        """
        grown_bytes = self._first_bytes
        if payload_bytes > grown_bytes:
            blocks_bytes = -(-payload_bytes // BLOCK_BYTES) * BLOCK_BYTES
            grown_bytes = (1 << (blocks_bytes + OVERHEAD_BYTES - 1).bit_length()) - OVERHEAD_BYTES
        is_small = grown_bytes + OVERHEAD_BYTES <= SMALL_BYTES
        need_bytes = self._slots * (grown_bytes + OVERHEAD_BYTES) if is_small else payload_bytes + SIZE
        _look(need_bytes + RESERVE_BYTES, payload_bytes, channel)
        return grown_bytes

    def grew(self, segment_bytes: int) -> None:
        """Note that there is another segment."""
        self.segment_bytes = segment_bytes
        self._touched.clear()  # it may have come to lie where an older one lay

    def touch(self, address: int, payload_bytes: int, channel: str) -> None:
        """Make sure that a payload that is not small can be written to a place of the segment.

        Raises:
            SharedMemoryFull: if it can't.
        """
        if self._touched.get(address, 0) < payload_bytes:
            need_bytes = payload_bytes + SIZE + RESERVE_BYTES
            _look(need_bytes, payload_bytes, channel)
            if _commit(address, payload_bytes, need_bytes, channel):
                self._touched[address] = payload_bytes


def _look(need_bytes: int, payload_bytes: int, channel: str) -> None:
    free_bytes = _free_bytes()
    if need_bytes > free_bytes:
        raise _full(need_bytes, free_bytes, payload_bytes, channel)


def _commit(address: int, payload_bytes: int, need_bytes: int, channel: str) -> bool:
    """Have the pages of a place committed; False where the kernel can't."""
    begin = address - address % mmap.PAGESIZE
    if _MADVISE(begin, address + payload_bytes - begin, _POPULATE_WRITE) == 0:
        return True
    if ctypes.get_errno() == errno.EINVAL:
        return False
    raise _full(need_bytes, _free_bytes(), payload_bytes, channel)


def _free_bytes() -> int:
    there = os.statvfs(DIRECTORY)
    return there.f_bavail * there.f_frsize


def _full(need_bytes: int, free_bytes: int, payload_bytes: int, channel: str) -> SharedMemoryFull:
    return SharedMemoryFull(
        f"{channel}: a payload of {payload_bytes:,} bytes needs {need_bytes:,} bytes of {DIRECTORY}, "
        f"{free_bytes:,} are free: send smaller frames, lower the connection's buffer, or enlarge shared memory"
    )
