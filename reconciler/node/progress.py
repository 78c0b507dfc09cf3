"""How long a node's code has worked on one frame without giving anything back.

The serving thread starts and stops the clock; the runtime's main thread reads it, and seizes the frame of a node that
hangs. Waiting for a slow reader is not work, so the clock stands still in it.

Rule: once a frame is seized, the serving thread gets no further: nothing is emitted or acknowledged twice.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Optional

if TYPE_CHECKING:
    from reconciler.stream.subscriber import Arrival

PAUSE_S = 0.01


class Progress:
    """The clock of one serving thread."""

    def __init__(self) -> None:
        """Begin with no work."""
        self.arrival: Optional[Arrival] = None
        self._since = 0.0
        self._seized = False

    def start(self, arrival: Arrival) -> None:
        """Note that the node's code begins, or goes on, to work on a frame."""
        self.arrival = arrival
        self._since = time.monotonic()

    def stop(self) -> None:
        """Note that the node's code gave something back. Does not return while the frame is seized."""
        self._since = 0.0
        while self._seized:
            time.sleep(PAUSE_S)

    def worked_s(self) -> float:
        """Return for how long the node's code has been at work; 0 while it is not."""
        since = self._since
        return time.monotonic() - since if since else 0.0

    def seize(self, longer_than_s: float) -> Optional[Arrival]:
        """Take the frame away from a node that has worked on it for too long; None if it has just come back.

        Called by another thread, which then ends the process.
        """
        self._seized = True
        if self.worked_s() < longer_than_s:
            self._seized = False
            return None
        return self.arrival
