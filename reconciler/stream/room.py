"""Room in shared memory: a payload that does not fit is an error before anything is touched.

Linux commits the pages of `/dev/shm` at first touch and answers a lack of them with SIGBUS, so the sender looks first.
The look can't reserve: programs that fill `/dev/shm` at the same moment can still take the room away.

Rule: small payloads are looked after once, when their segment is made; large ones where they go to a place that nothing
as large went to before.
"""

from __future__ import annotations

import os
from typing import Dict

from reconciler.contract.header import SIZE
from reconciler.stream.errors import SharedMemoryFull

DIRECTORY = "/dev/shm"  # noqa: S108 - shared memory itself, not a temporary file
LARGE_BYTES = 65_536
RESERVE_BYTES = 1 << 20
"""Left free for what iceoryx2 keeps beside payloads."""


class Room:
    """What one publisher has asked for so far. `slots` is how many payloads its segment can hold."""

    def __init__(self, slots: int) -> None:
        """Begin with no segment."""
        self._slots = slots
        self._touched: Dict[int, int] = {}
        self.segment_bytes = 0
        """Payloads up to this size need no other segment."""

    def grow(self, payload_bytes: int, channel: str) -> None:
        """Make sure that there is room for a payload that needs another segment, before that is made.

        Raises:
            SharedMemoryFull: if there is not.
        """
        grown_bytes = 1 << max(payload_bytes - 1, 1).bit_length()
        need_bytes = payload_bytes if grown_bytes >= LARGE_BYTES else self._slots * (grown_bytes + SIZE)
        _look(need_bytes + SIZE + RESERVE_BYTES, payload_bytes, channel)
        self.segment_bytes = grown_bytes
        self._touched.clear()  # another segment may come to lie where an older one lay

    def touch(self, address: int, payload_bytes: int, channel: str) -> None:
        """Make sure that a large payload can be written to a place of the segment.

        Raises:
            SharedMemoryFull: if it can't.
        """
        if self._touched.get(address, 0) < payload_bytes:
            _look(payload_bytes + SIZE + RESERVE_BYTES, payload_bytes, channel)
            self._touched[address] = payload_bytes


def _look(need_bytes: int, payload_bytes: int, channel: str) -> None:
    there = os.statvfs(DIRECTORY)
    free_bytes = there.f_bavail * there.f_frsize
    if need_bytes > free_bytes:
        msg = (
            f"{channel}: a payload of {payload_bytes:,} bytes needs {need_bytes:,} bytes of {DIRECTORY}, "
            f"{free_bytes:,} are free: send smaller frames, lower the connection's buffer, or enlarge shared memory"
        )
        raise SharedMemoryFull(msg)
