"""Room in shared memory: a payload that does not fit is an error before anything is touched.

Linux commits the pages of `/dev/shm` at first touch and answers a lack of them with SIGBUS, so the sender looks first.
The look can't reserve: programs that fill `/dev/shm` at the same moment can still take the room away.

Rule: small payloads are looked after once, when their segment is made; large ones at every send.
"""

from __future__ import annotations

import os

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
        self._capacity_bytes = 0
        self.small_bytes = 0
        """What needs no asking: the segment holds it, and it is not large."""

    def ask(self, payload_bytes: int, channel: str) -> None:
        """Make sure that a payload can be written.

        Raises:
            SharedMemoryFull: if it can't.
        """
        if payload_bytes <= self.small_bytes:
            return
        grown_bytes = 1 << max(payload_bytes - 1, 1).bit_length()
        need_bytes = payload_bytes + SIZE + RESERVE_BYTES
        if payload_bytes > self._capacity_bytes and grown_bytes < LARGE_BYTES:
            need_bytes = self._slots * (grown_bytes + SIZE) + RESERVE_BYTES
        if payload_bytes > self._capacity_bytes or payload_bytes >= LARGE_BYTES:
            self._look(need_bytes, payload_bytes, channel)
        self._capacity_bytes = max(self._capacity_bytes, grown_bytes)
        self.small_bytes = min(self._capacity_bytes, LARGE_BYTES - 1)

    def _look(self, need_bytes: int, payload_bytes: int, channel: str) -> None:
        there = os.statvfs(DIRECTORY)
        free_bytes = there.f_bavail * there.f_frsize
        if need_bytes > free_bytes:
            msg = (
                f"{channel}: a payload of {payload_bytes:,} bytes needs {need_bytes:,} bytes of {DIRECTORY}, "
                f"{free_bytes:,} are free: send smaller frames, lower the connection's buffer, or enlarge shared memory"
            )
            raise SharedMemoryFull(msg)
