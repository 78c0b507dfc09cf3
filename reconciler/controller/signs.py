"""Which changes in the runtime directory are a reason for a pass.

Rule: what only carries counters, is half written, or is the controller's own writing is none. The end of a program that
held a lease or `alive` shows as the closing of that file; the kernel tells it a moment before it lets go of the lock.
"""

from __future__ import annotations

import os
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.contract.files import parse_status, read_text

if TYPE_CHECKING:
    from collections.abc import Hashable

    from reconciler.contract.paths import Paths
    from reconciler.contract.watch import Change

    _Said = tuple[Hashable, Hashable] | None


STATUS = "status.json"
_ASSIGNMENTS = "assignments.json"
_OURS = f".{_ASSIGNMENTS}.{os.getpid()}"
"""What this controller's assignments are called until they are whole."""

_TELLING_WHEN_CLOSED = {"alive", "assignments.json"}
"""`alive`: its program has ended. Assignments: written in place, by somebody else's hand, since ours are renamed."""


class Sign(IntEnum):
    """What a change tells: nothing; of sessions alone, for which a brief pass will do; or of whatever it may be."""

    NOTHING = 0
    SESSIONS = 1
    ANYTHING = 2


class Signs:
    """What the files of sessions and node instances tell; remembers what each status said last."""

    def __init__(self, paths: Paths) -> None:
        self._sessions, self._nodes, self._endpoints = map(str, (paths.sessions, paths.nodes, paths.endpoints))
        self._said: dict[str, _Said] = {}
        self._writing = ""

    def directories(self) -> list[str]:
        """Return the directories to watch: of sessions, endpoints, node instances, and of each of these.

        What a status says as its directory is first seen is no news: the pass that a new directory causes sees it.
        """
        nodes = self._nodes
        try:
            names = sorted(entry.name for entry in os.scandir(nodes) if entry.is_dir())
        except OSError:
            names = []
        statuses = [f"{nodes}/{name}/{STATUS}" for name in names]
        self._said = {path: self._said[path] if path in self._said else _said(path) for path in statuses}
        return [self._sessions, self._endpoints, nodes, *(f"{nodes}/{name}" for name in names)]

    def read(self, change: Change) -> Sign:
        """Tell what a change is a reason for."""
        writing, self._writing = self._writing, change.directory if change.name == _OURS else ""
        if not change.name:
            return Sign.ANYTHING
        if change.directory == self._sessions:
            return self._of_a_lease(change)
        if change.directory == self._endpoints:
            return self._of_endpoints(change)
        if change.name == STATUS:
            return self._of_a_status(f"{change.directory}/{change.name}")
        if change.closed:
            return Sign.ANYTHING if change.name in _TELLING_WHEN_CLOSED else Sign.NOTHING
        if change.name == _ASSIGNMENTS and change.directory == writing:
            return Sign.NOTHING  # the kernel tells both names of a rename one after the other
        return Sign.NOTHING if change.name.startswith(".") else Sign.ANYTHING

    @staticmethod
    def _of_a_lease(change: Change) -> Sign:
        """A lease is whole as soon as it has its name; one that is closed or gone takes something away."""
        if change.closed:
            return Sign.ANYTHING
        if change.name.startswith("."):
            return Sign.NOTHING
        return Sign.SESSIONS if Path(change.directory, change.name).exists() else Sign.ANYTHING

    @staticmethod
    def _of_endpoints(change: Change) -> Sign:
        """They are ours, and renamed into place: one that is written where it lies, or goes, is somebody's doing.

        One that goes may be ours, too: then a pass follows in any case.
        """
        if change.name.startswith("."):
            return Sign.NOTHING
        gone = not change.closed and not Path(change.directory, change.name).exists()
        return Sign.ANYTHING if change.closed or gone else Sign.NOTHING

    def _of_a_status(self, path: str) -> Sign:
        said, before = _said(path), self._said.get(path)
        self._said[path] = said
        if said == before:
            return Sign.NOTHING
        return Sign.SESSIONS if said and before and said[0] == before[0] else Sign.ANYTHING


def _said(path: str) -> _Said:
    """Return what of a status is a reason for a pass: of the instance, of its sessions. None where it is damaged."""
    status = parse_status(read_text(path) or "")
    if status is None:
        return None
    usage = status.usage
    bitten = (usage.oom_kills > 0, usage.pids_refused > 0, usage.throttled)
    sessions = tuple((s.session, s.node, s.generation, s.state) for s in status.sessions)
    return ((status.generation != "", status.error, bitten), (status.generation, sessions))
