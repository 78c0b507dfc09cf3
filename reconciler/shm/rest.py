"""What iceoryx2's own files say while all is well, so that a look at rest need not import it.

Rule: only what can be told for sure is told: every node's lock is held, and every service is open somewhere. Whatever
is dead, half made, left over or not as version 0.10 lays it out is for iceoryx2 itself to judge. No lock's file that
may be this very process's own is opened: closing it would let go of the lock. Of those the kernel's list is read, which
makes it wait until all processors have let go of what they read (some 15 ms), and hides what other containers hold.

Source: iceoryx2 0.10, `iceoryx2-bb/posix/src/process_state.rs` (a node lives while `*.node_monitor` is write-locked),
`iceoryx2-bb/posix/src/unique_system_id.rs` (a node's id holds the process's) and `iceoryx2/src/node/mod.rs` (a node has
a `*.service_tag` for each service that it has open). Linux, `fs/locks.c`: `locks_start` takes `file_rwsem` for writing.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from reconciler.contract.lock import is_write_locked
from reconciler.contract.names import MONITOR
from reconciler.model.observed import ShmNode, ShmService

if TYPE_CHECKING:
    from collections.abc import Iterator

LOCKS = "/proc/locks"
PARTS = (MONITOR, f"{MONITOR}_context", f"{MONITOR}_owner_lock")
TAG = ".service_tag"
SERVICE = ".service"

PID_BITS = 64
PID_MASK = (1 << 32) - 1
"""Where the process's number stands in a node's id."""

_NODE_NAME = re.compile(r'^name = "([^"\\]*)"$', re.MULTILINE)
_SERVICE = re.compile(
    r'\Aservice_hash = "(\w+)"\nservice_name = "([^"\\]+)"\n.*'
    r"^\[iceoryx2_version\]\nmajor = 0\nminor = 10\n.*"
    r"^\[messaging_pattern\.(\w+)\]$",
    re.MULTILINE | re.DOTALL,
)

Service = tuple[str, str]
"""A messaging pattern and a name."""


class AtRest:
    """One root directory; remembers what services are called, since their files never change."""

    def __init__(self, root: str, prefix: str) -> None:
        self._nodes = f"{root}/nodes"
        self._services = f"{root}/services"
        self._prefix = prefix
        self._known: dict[str, Service] = {}
        self._names: dict[str, str] = {}

    def look(self) -> tuple[tuple[ShmNode, ...], tuple[ShmService, ...]] | None:
        """Return nodes and services, or None where iceoryx2 must be asked."""
        try:
            ids = self._living()
            opened = self._opened(ids)
            services = self._listed(opened)
            nodes = tuple(ShmNode(found, self._names[found]) for found in ids)
        except (OSError, UnicodeDecodeError, _DoubtError):
            return None
        return nodes, services

    def _living(self) -> list[str]:
        """Return the ids of the nodes, all of which live."""
        ids: list[str] = []
        maybe_ours: list[str] = []
        seen: dict[str, int] = {}
        with os.scandir(self._nodes) as listing:
            for entry in listing:
                if entry.name.isdigit():
                    ids.append(entry.name)
                    continue
                name, dot, part = entry.name.removeprefix(self._prefix).partition(".")
                if dot + part not in PARTS:
                    raise _DoubtError
                seen[name] = seen.get(name, 0) + 1
                if dot + part == MONITOR:
                    if _may_be_ours(name):
                        maybe_ours.append(entry.path)
                    elif not is_write_locked(entry.path):
                        raise _DoubtError
        if maybe_ours and not {_key(os.stat(path)) for path in maybe_ours} <= _write_locked():
            raise _DoubtError
        if sorted(seen) != sorted(ids) or set(seen.values()) - {len(PARTS)}:
            raise _DoubtError
        self._names = {found: self._names.get(found) or self._name(found) for found in ids}
        return ids

    def _name(self, node: str) -> str:
        with open(f"{self._nodes}/{node}/{self._prefix}node.details", encoding="utf-8") as file:
            found = _NODE_NAME.search(file.read())
        if found is None:
            raise _DoubtError
        return found.group(1)

    def _opened(self, ids: list[str]) -> dict[str, int]:
        """Return how many nodes have each service open, by its hash."""
        opened: dict[str, int] = {}
        for node in ids:
            for name in os.listdir(f"{self._nodes}/{node}"):
                if name.endswith(TAG):
                    key = name[len(self._prefix) : -len(TAG)]
                    opened[key] = opened.get(key, 0) + 1
        return opened

    def _listed(self, opened: dict[str, int]) -> tuple[ShmService, ...]:
        hashes = list(self._hashes())
        if set(hashes) != set(opened):
            raise _DoubtError
        self._known = {found: self._known.get(found) or self._service(found) for found in hashes}
        listed = ((*self._known[found], opened[found]) for found in hashes)
        return tuple(ShmService(f"{pattern}:{name}", name, count) for pattern, name, count in listed)

    def _hashes(self) -> Iterator[str]:
        for name in os.listdir(self._services):
            if not name.startswith(self._prefix) or not name.endswith(SERVICE):
                raise _DoubtError
            yield name[len(self._prefix) : -len(SERVICE)]

    def _service(self, found: str) -> Service:
        with open(f"{self._services}/{self._prefix}{found}{SERVICE}", encoding="utf-8") as file:
            said = _SERVICE.match(file.read())
        if said is None or said.group(1) != found:
            raise _DoubtError
        return said.group(3), said.group(2)


class _DoubtError(Exception):
    """The files do not say for sure."""


def _may_be_ours(node: str) -> bool:
    """Whether a node was made by this process, or by one of the same number in a container."""
    return (int(node) >> PID_BITS) & PID_MASK == os.getpid()


def _write_locked() -> frozenset[tuple[int, int, int]]:
    """Return the files that somebody has locked whole for writing, as device and inode. Source: proc_locks(5)."""
    found = set()
    with open(LOCKS, encoding="ascii") as file:
        for line in file:
            words = line.split()
            if words[1:4] == ["POSIX", "ADVISORY", "WRITE"]:
                major, minor, inode = words[5].split(":")
                found.add((int(major, 16), int(minor, 16), int(inode)))
    return frozenset(found)


def _key(about: os.stat_result) -> tuple[int, int, int]:
    return (os.major(about.st_dev), os.minor(about.st_dev), about.st_ino)
