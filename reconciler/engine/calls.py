"""Counts of calls to the engine, apart by whether they change anything: what shows that rest is rest."""

from __future__ import annotations

import threading
from collections import Counter


class Calls:
    """Counts of calls by name. Any thread may count."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.reads: Counter[str] = Counter()
        self.writes: Counter[str] = Counter()

    def read(self, name: str) -> None:
        """Count a call that only looks."""
        with self._lock:
            self.reads[name] += 1

    def write(self, name: str) -> None:
        """Count a call that may change something, whether it succeeds or not."""
        with self._lock:
            self.writes[name] += 1
