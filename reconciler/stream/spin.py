"""Looking again and again for a short while before blocking, where that pays.

Being woken takes longer than all else together where traffic is hot, and a reader that looks again and again need not
be woken. But it takes a core, and within one interpreter it takes the lock that other threads need. So it looks only
while frames come that quickly, and stops where somebody else wants to run.

Rule: how a reader waits changes nothing but time; it blocks whenever it is in doubt.
"""

from __future__ import annotations

import ctypes
import os
import threading
import time
from typing import Dict, List

SPIN_ENV = "RECONCILE_SPIN_US"
"""How long a reader looks again and again before it blocks, in microseconds; 0: it blocks at once."""

DEFAULT_SPIN_US = 200
"""Longer than it takes to be woken and answered, or no reader that blocks would ever see that traffic is hot."""

LONG_YIELD_S = 100e-6
"""Giving the core away takes 1 us where nobody wants it. Where it took longer, somebody does."""

FIRST_REST_S = 0.01
REST_S = 0.2
"""How long a reader only blocks after somebody else wanted to run: at first short, since most of a machine's own work
is; twice as long each time that it was not enough."""

IDLE_S = 0.5
"""Who waited longer was woken by the clock, or by the first frame in a while."""

_YIELD = ctypes.CDLL(None).sched_yield  # `os.sched_yield` keeps the interpreter's lock
_SENDERS: List[None] = []
_WOKEN: Dict[int, float] = {}
"""When a frame last woke each thread of this program that receives."""


class SenderWaits:
    """`with SenderWaits():` around a sender's wait for room; while a thread of this program is in it, no other spins.

    It will be woken soon, and needs the interpreter's lock, which one that spins may keep from it for 5 ms.
    """

    __slots__ = ()

    def __enter__(self) -> None:
        """Count one more; appending is atomic."""
        _SENDERS.append(None)

    def __exit__(self, *_: object) -> None:
        """Count one less."""
        _SENDERS.pop()


class Spin:
    """Decides for one reader whether to look again."""

    def __init__(self) -> None:
        """Begin cold."""
        self._longest_s = float(os.environ.get(SPIN_ENV, DEFAULT_SPIN_US)) / 1e6
        self._hot = False
        self._until = 0.0
        self._rest_s = 0.0
        self._rest_until = 0.0

    def begin(self) -> bool:
        """Tell whether to look again at all."""
        if not self._hot or _SENDERS:
            return False
        now, mine = time.perf_counter(), threading.get_ident()
        if any(thread != mine and now - at < REST_S for thread, at in list(_WOKEN.items())):
            return False
        self._until = now + self._longest_s
        return True

    def again(self) -> bool:
        """Let others run, and tell whether to look once more."""
        before = time.perf_counter()
        _YIELD()
        now = time.perf_counter()
        if now - before > LONG_YIELD_S:
            soon = now - self._rest_until < REST_S
            self._rest_s = min(self._rest_s * 2, REST_S) if soon else FIRST_REST_S
            self._rest_until = now + self._rest_s
            self._hot = False
        elif now > self._until:
            self._hot = False
        return self._hot

    def blocked(self, begun: float) -> None:
        """Judge by a wait that began at `begun` (performance counter): traffic is hot where it was short."""
        now = time.perf_counter()
        if now - begun < IDLE_S:
            _WOKEN[threading.get_ident()] = now
        self._hot = now - begun < self._longest_s and now > self._rest_until
