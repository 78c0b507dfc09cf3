"""The log file of a host process, kept from growing for ever; in a container the engine sees to that.

It is done by who writes, as a node goes on when no controller runs. The oldest part is given back to the file system as
a hole: no line is lost that stands behind it, whoever else writes goes on where it is, and so does whoever reads.

Rule: only what this process has as its own stdout is touched, and only a regular file.

Source: fallocate(2), `FALLOC_FL_PUNCH_HOLE`, which ext4, XFS, Btrfs, ZFS and tmpfs have.
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat

LONGEST_BYTES = 10 << 20
"""What a log may take of the disk; one that takes more loses all but its last half of that."""

STDOUT = 1
BLOCK_BYTES = 512
"""The unit of `st_blocks`."""

PAGE_BYTES = 4_096
"""A hole of whole pages leaves no zeros beside it."""

_KEEP_SIZE, _PUNCH_HOLE = 1, 2
_FALLOCATE = ctypes.CDLL(None, use_errno=True).fallocate
_FALLOCATE.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)


def bound(file: int = STDOUT) -> None:
    """Drop the oldest part of a log that takes too much.

    Raises:
        OSError: if the file system refuses.
    """
    there = os.fstat(file)
    if not stat.S_ISREG(there.st_mode) or there.st_blocks * BLOCK_BYTES <= LONGEST_BYTES:
        return
    kept_bytes = LONGEST_BYTES // 2
    dropped_bytes = (there.st_size - kept_bytes) // PAGE_BYTES * PAGE_BYTES
    if dropped_bytes <= 0 or _FALLOCATE(file, _PUNCH_HOLE | _KEEP_SIZE, 0, dropped_bytes) == 0:
        return
    if (code := ctypes.get_errno()) not in (errno.EOPNOTSUPP, errno.ENOSYS):
        raise OSError(code, os.strerror(code))
    # This file system makes no holes, so the file begins anew. What is written between the two calls is lost.
    with open(f"/proc/self/fd/{file}", "rb") as again:  # noqa: PTH123 - a file that may have no name any more
        again.seek(-kept_bytes, os.SEEK_END)
        tail = again.read()
    os.ftruncate(file, 0)
    os.write(file, tail.partition(b"\n")[2])
