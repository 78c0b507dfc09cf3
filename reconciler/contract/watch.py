"""Waiting for files in directories to change (inotify), with a bounded time to the next look.

Rule: a change only wakes; whoever waits then looks at the files. Events can be lost, so no wait is longer than 1 s.

A program that ends, however it ends, closes what it had open for writing: so the end of whoever holds a lock on a file
is a change of that file, told a moment before the lock goes.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import struct
import threading
import time
from typing import TYPE_CHECKING, Dict, Iterable, Iterator, List, NamedTuple, Union

if TYPE_CHECKING:
    from pathlib import Path

LONGEST_WAIT_S = 1.0
WHOLE_S = 5.0
"""How often all directories are asked whether they are still what has the name. The kernel tells when one goes, but not
when one above it does."""

BLIND_WAIT_S = 0.05
"""The longest wait where the kernel has no watch left for this user: what waits for a file then asks for it."""

_IN_CLOSE_WRITE, _IN_MOVED, _IN_CREATE, _IN_DELETE = 0x8, 0xC0, 0x100, 0x200
_IN_MOVE_SELF, _IN_Q_OVERFLOW, _IN_IGNORED, _IN_ISDIR = 0x800, 0x4000, 0x8000, 0x4000_0000
_MASK = _IN_CLOSE_WRITE | _IN_MOVED | _IN_CREATE | _IN_DELETE | _IN_MOVE_SELF
_FLAGS = os.O_NONBLOCK | os.O_CLOEXEC
_EVENT = struct.Struct("iIII")
_LIBC = ctypes.CDLL(None, use_errno=True)


class Change(NamedTuple):
    """Something that happened in a directory; without a name where events were lost.

    `closed`: a file that was open for writing was closed, under the name it was opened by. `folder`: it is a directory.
    """

    directory: str
    name: str
    closed: bool
    folder: bool


class Watch:
    """Wakes when something in one of its directories changes, and when told to."""

    def __init__(self, *directories: Union[str, Path]) -> None:
        """Watch from now on; a directory that is not there yet is watched once it is."""
        self._directories = [str(directory) for directory in directories]
        self._armed: Dict[str, int] = {}
        self._places: Dict[int, str] = {}
        self._events = -1
        self._whole_until_s = 0.0
        self._wake_out, self._wake_in = os.pipe()
        os.set_blocking(self._wake_out, False)
        os.set_blocking(self._wake_in, False)
        self._arm()

    def follow(self, directories: Iterable[Union[str, Path]]) -> bool:
        """Watch these directories and no others; tell whether one is new, in which something may have happened."""
        self._directories = [str(directory) for directory in directories]
        for gone in set(self._armed) - set(self._directories):
            self._disarm(gone)
        return self._arm()

    def wait(self, timeout_s: float) -> List[Change]:
        """Block until something changed, `wake` was called or the time is up (1 s at most). GIL released."""
        if len(self._armed) < len(self._directories) or time.monotonic() >= self._whole_until_s:
            self._arm()  # which takes a millisecond for hundreds
        poll = select.poll()
        poll.register(self._wake_out, select.POLLIN)
        if self._events >= 0:
            poll.register(self._events, select.POLLIN)
        else:
            timeout_s = min(timeout_s, BLIND_WAIT_S)
        poll.poll(max(min(timeout_s, LONGEST_WAIT_S), 0.0) * 1000)
        with contextlib.suppress(BlockingIOError):
            os.read(self._wake_out, 65_536)
        changes: List[Change] = []
        with contextlib.suppress(OSError):
            changes = list(self._read(os.read(self._events, 65_536)))
        if len(self._armed) < len(self._directories):
            self._arm()  # one that went may have been replaced
        return changes

    def wake(self) -> None:
        """End a wait; from any thread or signal handler."""
        with contextlib.suppress(OSError):
            os.write(self._wake_in, b"!")

    def close(self) -> None:
        """Stop watching."""
        for source in (self._wake_out, self._wake_in, self._events):
            if source >= 0:
                os.close(source)
        self._wake_out = self._wake_in = self._events = -1

    def close_soon(self) -> None:
        """Stop watching, and don't wait for it: the kernel takes some 10 ms until it has let go of the directories."""
        try:
            threading.Thread(target=self.close, daemon=True).start()
        except RuntimeError:  # there is no thread left
            self.close()

    def _arm(self) -> bool:
        """Watch the directories that now have the names; the kernel knows those that it watches already."""
        new = False
        self._whole_until_s = time.monotonic() + WHOLE_S
        if self._events < 0:
            self._events = _LIBC.inotify_init1(_FLAGS)
        for directory in self._directories:
            place = _LIBC.inotify_add_watch(self._events, os.fsencode(directory), _MASK)
            before = self._armed.get(directory, -1)
            if place != before:
                self._disarm(directory)
                if place >= 0:
                    self._armed[directory], self._places[place] = place, directory
                    new = True
        return new

    def _disarm(self, directory: str) -> None:
        place = self._armed.pop(directory, -1)
        if place >= 0:
            self._places.pop(place, None)
            _LIBC.inotify_rm_watch(self._events, place)

    def _read(self, raw: bytes) -> Iterator[Change]:
        """Read what the kernel tells. Source: inotify(7), `struct inotify_event`."""
        position = 0
        while position + _EVENT.size <= len(raw):
            place, mask, _, length = _EVENT.unpack_from(raw, position)
            position += _EVENT.size
            name = os.fsdecode(raw[position : position + length].rstrip(b"\0"))
            position += length
            if mask & (_IN_IGNORED | _IN_MOVE_SELF):
                self._disarm(self._places.get(place, ""))  # it has another name now, or none
                continue
            if place in self._places or mask & _IN_Q_OVERFLOW:
                closed, folder = bool(mask & _IN_CLOSE_WRITE), bool(mask & _IN_ISDIR)
                yield Change(self._places.get(place, ""), name, closed, folder)
