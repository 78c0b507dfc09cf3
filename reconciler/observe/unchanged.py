"""Whether anything that a look reads has changed: all of it as one text, without making anything of it.

A pass is a function of what it loads and looks at. So where all of that is as it was when a pass found nothing to do,
the next one would find nothing, and need not be made.

Rule: what a look begins to read belongs in here on the same day, or is named in `controller/rest.py` as something that
no mark is left with. What can't be told for sure (a link, a lease, a file that has just changed) makes the text empty,
and an empty one is equal to none. It is kept whole, for a digest's library costs more than to compare it.
"""

from __future__ import annotations

import os
import time
from operator import attrgetter
from typing import TYPE_CHECKING

from reconciler.contract import lock
from reconciler.contract.files import parse_status, read_text
from reconciler.contract.names import MONITOR
from reconciler.contract.values import replace
from reconciler.engine.wire import Wire, ask_containers, ask_images, socket_name, socket_path
from reconciler.model.errors import ReconcilerError
from reconciler.observe import limits

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from reconciler.contract.files import Status
    from reconciler.contract.paths import Paths
    from reconciler.engine.wire import Listed

MOST_ENTRIES = 50_000
QUIET_S = 0.1
"""How long ago the last change must be: who changes twice within a tick of the kernel's clock looks the same."""

TIMEOUT_S = 10.0
PASSED_OVER = "__pycache__"
ALIVE, STATUS = "alive", "status.json"
"""What a node's runtime holds locked while it lives, and where it says how it is."""


class Unchanged:
    """What one instance's looks read: `places` are directories, `said` is whatever else they depend on.

    `beside` are files below them that are no part of it.
    """

    def __init__(self, paths: Paths, places: Sequence[str], said: str, *, beside: Iterable[str]) -> None:
        self._paths = paths
        self._places = places
        self._said = said
        self._beside = frozenset(beside)

    def told(self) -> str:
        """Return names, sizes and times of all files, locks that are held, the engine's lists and limits, as a text."""
        path = socket_path(socket_name())
        if not path:
            return ""
        wire = Wire(path, timeout_s=TIMEOUT_S)  # in the engine's own version, since nothing is made of what it says
        try:
            with ask_containers(wire, self._paths.instance) as containers, ask_images(wire) as images:
                files = self._files()
                listed, there = containers(), images()
        except (OSError, ReconcilerError, _DoubtError):
            return ""
        running = [each["Id"] for each in listed if each["State"] in limits.HELD]
        return repr((self._said, files, _steady(listed), _steady(there), limits.read(running)))

    def _files(self) -> list[object]:
        found: list[object] = []
        newest_ns = 0
        shm, leases, nodes = (f"{place}/" for place in (self._paths.shm_root, self._paths.sessions, self._paths.nodes))
        for place in self._places:
            found.append(os.path.realpath(place))
            for entry in _below(place):
                path = entry.path
                if path in self._beside:
                    continue
                if path.startswith(leases):
                    raise _DoubtError
                found.append(path)
                if path.startswith(shm):  # a look takes names alone from there, as what they name never changes
                    found.append(lock.is_write_locked(path) if path.endswith(MONITOR) else None)
                elif entry.name == STATUS and path.startswith(nodes):
                    found.append(_without_counters(path))
                elif not entry.is_dir(follow_symlinks=False):
                    about = entry.stat(follow_symlinks=False)
                    newest_ns = max(newest_ns, about.st_ctime_ns)
                    found.append((about.st_ino, about.st_mode, about.st_size, about.st_mtime_ns, about.st_ctime_ns))
                    found.append(entry.name == ALIVE and lock.held(path))
        if time.time_ns() - newest_ns < QUIET_S * 1e9:
            raise _DoubtError
        return found


def _without_counters(path: str) -> Status | None:
    """Return what a node says of itself, but for what it counts as frames flow: no plan depends on that."""
    status = parse_status(read_text(path) or "")
    if status is None:
        return None
    uncounted = {"received": 0, "sent": 0, "dropped": 0, "backlog": 0, "inputs": ()}
    sessions = tuple(replace(each, **uncounted) for each in status.sessions)  # type: ignore[arg-type]
    return replace(status, sessions=sessions, usage=replace(status.usage, memory_peak_bytes=0))


def _below(place: str) -> Iterator[os.DirEntry[str]]:
    """Yield all that lies below a directory, in a steady order."""
    folders = [place]
    count = 0
    for folder in folders:  # grows as we go
        with os.scandir(folder) as listing:
            entries = sorted(listing, key=attrgetter("name"))
        count += len(entries)
        for entry in entries:
            if entry.is_symlink() or count > MOST_ENTRIES:
                raise _DoubtError
            if entry.name == PASSED_OVER:
                continue
            if entry.is_dir(follow_symlinks=False):
                folders.append(entry.path)
            yield entry


def _steady(listed: Listed) -> list[str]:
    """Return what a list tells, without the order, which is the engine's whim, and for how long a container runs."""
    found = []
    for each in listed:
        several = {name: sorted(map(repr, each.get(name) or ())) for name in _SEVERAL}
        found.append(repr(each | several | ({"Status": ""} if each.get("State") == "running" else {})))
    return sorted(found)


_SEVERAL = ("Mounts", "Ports", "RepoTags", "RepoDigests")


class _DoubtError(Exception):
    """It can't be told for sure."""
