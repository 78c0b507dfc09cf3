"""When a machine is calm enough for what has time: half of its processors' time in the last second was idle.

A hundred runtimes that start within half a minute and import something each, five seconds later, take the processors
from those that still start. So each waits until it is calm, and looks again at a moment of its own where it is not.

Source: proc(5), `/proc/stat`; a container is told of the whole machine there.
"""

from __future__ import annotations

import os
import time
from typing import Callable, Optional, Tuple

STAT = "/proc/stat"
WINDOW_S = 1.0
SPREAD_S = 5.0
"""Those who found it busy look again within so long, each at a moment of its own."""

IDLE_SHARE = 0.5
LATEST_S = 120.0
"""A machine that is never calm would have all wait for ever."""

_IDLE, _WAITING = 3, 4
_FIRST_BYTES = 256


class Calm:
    """Asks from time to time; `is_now` is to be called about once a second until it is true."""

    def __init__(self, stat: str = STAT, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin to wait."""
        self._stat = stat
        self._clock = clock
        self._latest_s = clock() + LATEST_S
        self._next_s = 0.0
        self._before: Optional[Tuple[int, int]] = None

    def is_now(self) -> bool:
        """Tell whether it is calm, or was not for too long. Where nobody tells, it is."""
        now_s = self._clock()
        if now_s < self._next_s:
            return False
        before, found = self._before, self._read()
        if found is None or now_s >= self._latest_s:
            return True
        if before is None:
            self._before, self._next_s = found, now_s + WINDOW_S
            return False
        if found[0] - before[0] >= IDLE_SHARE * (found[1] - before[1]):
            return True
        self._before, self._next_s = None, now_s + SPREAD_S * os.urandom(1)[0] / 256
        return False

    def _read(self) -> Optional[Tuple[int, int]]:
        """Return the processors' idle time and all of their time since the machine came up, in ticks."""
        try:
            file = os.open(self._stat, os.O_RDONLY | os.O_CLOEXEC)
            try:
                said = os.read(file, _FIRST_BYTES)
            finally:
                os.close(file)
            ticks = [int(word) for word in said.splitlines()[0].split()[1:9]]
            return ticks[_IDLE] + ticks[_WAITING], sum(ticks)
        except (OSError, ValueError, IndexError):
            return None
