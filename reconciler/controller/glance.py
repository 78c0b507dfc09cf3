"""Whether nodes have said anything since one looked last, for a convergence that is to end.

Rule: it only wakes. A watch would be told at once, and costs its library's import, a thread, and some 15 ms when it is
closed; looking at the times of a few small files costs microseconds each.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path


class Glance:
    """The nodes' statuses, by their files' times."""

    def __init__(self, nodes: Path) -> None:
        self._nodes = nodes
        self._seen: dict[str, tuple[int, int]] = {}

    def __call__(self) -> bool:
        """Tell whether any status is new or another since the last call; one that is gone is no news."""
        before, self._seen = self._seen, dict(self._statuses())
        return any(before.get(name) != said for name, said in self._seen.items())

    def _statuses(self) -> list[tuple[str, tuple[int, int]]]:
        found = []
        with suppress(FileNotFoundError), os.scandir(self._nodes) as entries:
            for entry in entries:
                with suppress(OSError):
                    status = Path(entry.path, "status.json").stat()
                    found.append((entry.name, (status.st_mtime_ns, status.st_ino)))
        return found
