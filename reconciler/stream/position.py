"""A reader's position in a channel: 64 bytes in a file that its reader and its sender both map.

    offset  size  field
    0       4     magic `RPOS`
    8       8     acknowledged: low 40 bits how many frames, high 24 bits of which publisher incarnation
    16      8     attached: 0, or the epoch for which the session's own program reads here
    24      8     wake at: the sender sleeps until this many frames are acknowledged; 0: it does not sleep
    32      8     awake: 1 while the reader looks for itself before it sleeps; 0: it sleeps, or does not say
    40      8     asks: a number that is another one each time the reader wants to have what is kept for it sent again
    48      8     ended: the epoch whose end the reader has had, while its node had others still to come; 0: none
    56      8     mapped: up to which frame the reader has mapped its sender's memory; made up as `acknowledged` is

Every field is one aligned 8-byte word with one writer (wake at: the sender sets, the reader clears), so no lock is
needed. The file outlives its reader, which is how a restarted reader knows what it had finished; that a reader lives
is told by its `flock`. The sender sleeps on a futex in the mapping, since its reader has no other cheap way to wake it.

Rule: a position only ever moves forward within one incarnation.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import platform
import threading
import time
from typing import TYPE_CHECKING

from reconciler.contract import lock

if TYPE_CHECKING:
    from pathlib import Path

SIZE = 64
MAGIC = b"RPOS"
COUNT_BITS = 40
COUNT_MASK = (1 << COUNT_BITS) - 1
TAG_MASK = (1 << (64 - COUNT_BITS)) - 1

_ACKNOWLEDGED, _ATTACHED, _WAKE_AT, _AWAKE, _ASKS, _ENDED, _MAPPED = range(1, 8)
"""Places of the 8-byte words."""

_FUTEX_CALL = {"x86_64": 202, "aarch64": 98, "riscv64": 98, "ppc64le": 221, "s390x": 238}.get(platform.machine())
_FUTEX_WAIT, _FUTEX_WAKE = 0, 1
_ALL = 0x7FFFFFFF
_LIBC = ctypes.CDLL(None, use_errno=True)
_SYSCALL = _LIBC.syscall
_SYSCALL.argtypes = (
    ctypes.c_long,
    ctypes.c_void_p,
    ctypes.c_int,
    ctypes.c_uint32,
    ctypes.c_void_p,
    ctypes.c_void_p,
    ctypes.c_uint32,
)
_SYSCALL.restype = ctypes.c_long


_UNLOCKED = "release unlocked lock"
"""What Python says of a lock that is not held. Source: CPython, `Modules/_threadmodule.c`."""


class Barrier:
    """Lets what was written before be seen by others before anything is read after. For one thread at a time.

    Two programs that each write one word and then look at the other's could else both miss what the other wrote.
    Python has no fence, but releasing and taking a lock is one: on x86 each is a locked instruction, elsewhere nothing
    moves from before a release to after the acquire that follows it.
    """

    __slots__ = ("_acquire", "_release")

    def __init__(self) -> None:
        """Take a lock that nobody else knows."""
        lock = threading.Lock()
        lock.acquire()
        self._release, self._acquire = lock.release, lock.acquire

    def __call__(self) -> None:
        """Pass."""
        try:
            self._release()
        except RuntimeError as error:
            if str(error) != _UNLOCKED:
                raise  # a signal's handler, now
            self._acquire()  # one raised between these two, the last time
            self._release()
        self._acquire()


class _Timespec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


def path(directory: Path, channel: str, reader: str) -> Path:
    """Return where a reader's position in a channel is kept; ids hold no `@`."""
    return directory / f"{channel}@{reader}"


def tag(incarnation: int) -> int:
    """Return the part of an incarnation that is kept with a position."""
    return (incarnation ^ (incarnation >> 24) ^ (incarnation >> 48)) & TAG_MASK


class Position:
    """One mapped position file, made when it is not there."""

    def __init__(self, where: Path) -> None:
        """Map the file.

        Raises:
            OSError: if it can't be made or mapped.
        """
        where.parent.mkdir(parents=True, exist_ok=True)
        self.path = where
        self._file = os.open(where, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if os.fstat(self._file).st_size < SIZE:
                os.posix_fallocate(self._file, 0, SIZE)
            self._map = mmap.mmap(self._file, SIZE)
        except OSError:
            os.close(self._file)
            raise
        self._map[0:4] = MAGIC
        self._words = memoryview(self._map).cast("Q")
        self._barrier = Barrier()
        self._futex = ctypes.c_uint32.from_buffer(self._map, 8 * _ACKNOWLEDGED)

    def acknowledged(self, of_tag: int) -> int:
        """Return how many frames of an incarnation are acknowledged."""
        word = self._words[_ACKNOWLEDGED]
        return word & COUNT_MASK if word >> COUNT_BITS == of_tag else 0

    def mapped(self, of_tag: int) -> int:
        """Return how many frames of an incarnation lie in memory that the reader has mapped, as far as it told."""
        word = self._words[_MAPPED]
        return word & COUNT_MASK if word >> COUNT_BITS == of_tag else 0

    def map(self, of_tag: int, count: int) -> None:
        """Say that the memory in which the first `count` frames of an incarnation lie is mapped."""
        self._words[_MAPPED] = of_tag << COUNT_BITS | count

    def acknowledge(self, of_tag: int, count: int) -> None:
        """Say that the first `count` frames of an incarnation are done with, and wake the sender where it waits."""
        words = self._words
        words[_ACKNOWLEDGED] = of_tag << COUNT_BITS | count
        wake_at = words[_WAKE_AT]
        if wake_at and count >= wake_at:
            words[_WAKE_AT] = 0
            self.wake()

    def wait(self, of_tag: int, *, until_count: int, timeout_s: float) -> None:
        """Sleep until about `until_count` frames are acknowledged, a signal comes or the time is up. GIL released."""
        self._words[_WAKE_AT] = until_count
        self._barrier()
        seen = self._words[_ACKNOWLEDGED]
        if seen >> COUNT_BITS == of_tag and seen & COUNT_MASK >= until_count:
            return
        if _FUTEX_CALL is None:  # pragma: no cover - other machines than those in the table
            time.sleep(min(timeout_s, 0.001))
            return
        limit = _Timespec(int(timeout_s), int(timeout_s % 1 * 1e9))
        address = ctypes.byref(self._futex)
        _SYSCALL(_FUTEX_CALL, address, _FUTEX_WAIT, seen & 0xFFFFFFFF, ctypes.byref(limit), None, 0)

    def wake(self) -> None:
        """Wake the sender, also to make it look for something else."""
        if _FUTEX_CALL is not None:
            _SYSCALL(_FUTEX_CALL, ctypes.byref(self._futex), _FUTEX_WAKE, _ALL, None, None, 0)

    @property
    def attached(self) -> int:
        """For which epoch a program reads here; 0: none does."""
        return self._words[_ATTACHED]

    @attached.setter
    def attached(self, epoch: int) -> None:
        self._words[_ATTACHED] = epoch
        self.wake()

    @property
    def awake(self) -> bool:
        """Whether the reader will look for frames before it sleeps, so that nobody need wake it."""
        return self._words[_AWAKE] == 1

    @awake.setter
    def awake(self, awake: bool) -> None:
        self._words[_AWAKE] = awake

    @property
    def asks(self) -> int:
        """A number that is another one each time the reader asks for what is kept for it; 0: it never has."""
        return self._words[_ASKS]

    def ask(self) -> None:
        """Ask the sender to send again what this reader has not acknowledged, and wake it where it waits."""
        self._words[_ASKS] = time.monotonic_ns()
        self.wake()

    @property
    def ended(self) -> int:
        """Which epoch has ended here and not yet by all inputs of the reader's node; 0: none."""
        return self._words[_ENDED]

    @ended.setter
    def ended(self, epoch: int) -> None:
        self._words[_ENDED] = epoch

    def take_over(self, other: Position) -> None:
        """Say what another file said of this reader, where this one says nothing yet."""
        for place in (_ACKNOWLEDGED, _ATTACHED, _ENDED, _MAPPED):
            self._words[place] = self._words[place] or other._words[place]
        if other.attached:
            self.hold()
        self.wake()

    def hold(self) -> bool:
        """Lock the position for as long as its reader lives; False when another reader has it."""
        return lock.take(self._file)

    def held(self) -> bool:
        """Tell whether its reader lives."""
        return lock.held(self.path)

    def stale(self) -> bool:
        """Tell whether the file was removed or replaced, so that the other end looks at another one."""
        return not lock.is_at(self._file, self.path)

    def close(self) -> None:
        """Let go of the lock. The mapping goes with the object."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
