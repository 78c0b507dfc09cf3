"""Which changes in the runtime directory are a reason for a pass.

Rule: what only carries counters, or is half written, is none. The end of a program that held a lease or `alive` shows
as the closing of that file; the kernel tells it a moment before it lets go of the lock.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from reconciler.contract.files import parse_status, read_text

if TYPE_CHECKING:
    from collections.abc import Hashable
    from pathlib import Path

    from reconciler.contract.paths import Paths
    from reconciler.contract.watch import Change


STATUS = "status.json"
_TELLING_WHEN_CLOSED = {"alive", "assignments.json"}
"""`alive`: its program has ended. Assignments: written in place, by somebody else's hand, since ours are renamed."""


class Signs:
    """What the files of sessions and node instances tell; remembers what each status said last."""

    def __init__(self, paths: Paths) -> None:
        self._paths = paths
        self._said: dict[str, Hashable] = {}

    def directories(self) -> list[Path]:
        """Return the directories to watch: of sessions, of node instances, and of each of them.

        What a status says as its directory is first seen is no news: the pass that a new directory causes sees it.
        """
        nodes = self._paths.nodes
        try:
            names = sorted(entry.name for entry in os.scandir(nodes) if entry.is_dir())
        except OSError:
            names = []
        statuses = [f"{nodes}/{name}/{STATUS}" for name in names]
        self._said = {path: self._said[path] if path in self._said else _said(path) for path in statuses}
        return [self._paths.sessions, nodes, *(nodes / name for name in names)]

    def matters(self, change: Change) -> bool:
        """Whether a change is a reason for a pass."""
        if not change.name:
            return True
        if change.directory == str(self._paths.sessions) and change.closed:
            return True
        if change.name == STATUS:
            return self._is_news(f"{change.directory}/{change.name}")
        if change.closed:
            return change.name in _TELLING_WHEN_CLOSED
        return not change.name.startswith(".")

    def _is_news(self, path: str) -> bool:
        said = _said(path)
        changed = self._said.get(path) != said
        self._said[path] = said
        return changed


def _said(path: str) -> Hashable:
    """Return what of a status is a reason for a pass, None where there is none or it is damaged."""
    status = parse_status(read_text(path) or "")
    return status and (
        status.generation,
        status.error,
        status.usage.oom_kills > 0,
        status.usage.pids_refused > 0,
        status.usage.throttled,
        *((s.session, s.node, s.generation, s.state) for s in status.sessions),
    )
