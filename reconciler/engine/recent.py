"""The engine's lists of a moment ago, for looks that follow each other closely.

Opening a session takes two passes some 30 ms apart, and all that changes in between are files. Asking the engine is
most of a look, so the second one takes the lists of the first (docs/adr/0017).

Rule: lists are taken again only while nothing was done to the engine through this door and the engine has told of
nothing, and never after `FRESH_S`: what nobody tells of is seen as late as by a look that takes that long. The list of
images alone may be older, and outlives what is done to containers.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

FRESH_S = 0.1
"""How old lists may be, counted from the moment they were asked for."""

IMAGES_FRESH_S = 1.0
"""How old a list of images may be. It takes the engine ten times as long as one of containers (7 ms of processor time
with 21 images), and no creation, start, stop or removal of a container changes it."""

LIST_LAG_S = 0.15
"""How long the engine's list may still show a container as it was before an event.

The engine sends `die` before it updates the copy of its state that lists are made from
(moby 20.10, `daemon/monitor.go`, `handleContainerExit`), so a look that follows the event at once can miss it.
"""


T = TypeVar("T")


class Recent(Generic[T]):
    """What was listed last. Any thread may call."""

    def __init__(self, *, fresh_s: float = FRESH_S, clock: Callable[[], float] = time.monotonic) -> None:
        self._fresh_s = fresh_s
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: tuple[str, float, T] | None = None
        self._settled_s = 0.0

    def disturb(self) -> None:
        """Note that something was done to the engine, or that it told of something."""
        with self._lock:
            self._kept = None
            self._settled_s = self._clock() + LIST_LAG_S

    def get(self, instance: str) -> T | None:
        """Return lists that still count."""
        with self._lock:
            if self._kept is None or self._kept[0] != instance or self._clock() - self._kept[1] >= self._fresh_s:
                return None
            return self._kept[2]

    def keep(self, instance: str, lists: T, *, asked_s: float) -> T:
        """Note lists that were asked for at a moment, unless they may miss what happened shortly before or since."""
        with self._lock:
            if asked_s >= self._settled_s:
                self._kept = (instance, asked_s, lists)
            return lists

    def now_s(self) -> float:
        """Return the moment to keep lists by, before they are asked for."""
        return self._clock()
