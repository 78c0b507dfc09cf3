"""Waiting for files in a directory to change (inotify), with a bounded time to the next look.

Rule: a change only wakes; whoever waits then looks at the files. Events can be lost, so no wait is longer than 1 s.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

LONGEST_WAIT_S = 1.0

_IN_CLOSE_WRITE, _IN_MOVED, _IN_CREATE, _IN_DELETE = 0x8, 0xC0, 0x100, 0x200
_MASK = _IN_CLOSE_WRITE | _IN_MOVED | _IN_CREATE | _IN_DELETE
_FLAGS = os.O_NONBLOCK | os.O_CLOEXEC
_LIBC = ctypes.CDLL(None, use_errno=True)


class Watch:
    """Wakes when something in a directory changes, and when told to."""

    def __init__(self, directory: Path) -> None:
        """Watch from now on; a directory that is not there yet is watched once it is."""
        self._directory = directory
        self._inode = 0
        self._events = -1
        self._wake_out, self._wake_in = os.pipe()
        os.set_blocking(self._wake_out, False)
        os.set_blocking(self._wake_in, False)
        self._arm()

    def wait(self, timeout_s: float) -> None:
        """Block until something changed, `wake` was called or the time is up (1 s at most). GIL released."""
        self._arm()
        poll = select.poll()
        poll.register(self._wake_out, select.POLLIN)
        if self._events >= 0:
            poll.register(self._events, select.POLLIN)
        poll.poll(max(min(timeout_s, LONGEST_WAIT_S), 0.0) * 1000)
        for source in (self._wake_out, self._events):
            if source >= 0:
                with contextlib.suppress(BlockingIOError):
                    os.read(source, 65_536)

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

    def _arm(self) -> None:
        """Watch the directory that now has the name."""
        try:
            inode = self._directory.stat().st_ino
        except OSError:
            return
        if inode == self._inode:
            return
        if self._events >= 0:
            os.close(self._events)
        self._events = _LIBC.inotify_init1(_FLAGS)
        if self._events >= 0:
            _LIBC.inotify_add_watch(self._events, os.fsencode(self._directory), _MASK)
        self._inode = inode
