"""An event that a signal handler may set.

`threading.Event` holds a lock while it is set, cleared and looked at. A signal handler runs in the main thread, between
any two of its steps: where the main thread has that lock, the handler waits for it for ever. A `SimpleQueue` can be put
to by whoever interrupted it.

Source: Python's documentation of `queue.SimpleQueue.put`, "reentrant".
"""

from __future__ import annotations

from contextlib import suppress
from queue import Empty, SimpleQueue


class Bell:
    """Rings until it is muffled. Any thread or signal handler may ring; one thread waits and muffles."""

    def __init__(self) -> None:
        self._rings: SimpleQueue[None] = SimpleQueue()

    def ring(self) -> None:
        """Ring, or go on ringing."""
        if self._rings.empty():
            self._rings.put(None)

    def muffle(self) -> None:
        """Be silent until the next ring."""
        with suppress(Empty):
            while True:
                self._rings.get_nowait()

    def rings(self) -> bool:
        """Tell whether it rings."""
        return not self._rings.empty()

    def wait(self, timeout_s: float) -> bool:
        """Wait until it rings, and tell whether it does."""
        with suppress(Empty):
            self._rings.get(timeout=max(timeout_s, 0.0))
            self.ring()
        return self.rings()
