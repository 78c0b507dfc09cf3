"""Which folders are watched for changes of manifests and their code.

Rule: it follows links as the loader does, and leaves out only what tools write for themselves. Their number is bounded;
what changes in the rest is found by the resync.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

LEFT_OUT = frozenset({"__pycache__", ".git"})
MOST_FOLDERS = 5_000
DEEPEST = 32

Identity = tuple[int, int]


def identities(places: Iterable[Path]) -> list[tuple[Path, Identity]]:
    """Return the places that exist with what tells a directory from its replacement, links followed."""
    found = ((place, _identity(place)) for place in places)
    return [(place, identity) for place, identity in found if identity is not None]


def watched(places: Iterable[Path]) -> list[Path]:
    """Return what to watch: each place; the folder of one that is a file; all below one that is above no other."""
    given = list(dict.fromkeys(places))
    found: list[Path] = []
    for place in given:
        if place.is_file():
            found += [place, place.parent]
        elif any(place in other.parents for other in given):
            found.append(place)
        else:
            found += _below(place)
    return list(dict.fromkeys(found))[:MOST_FOLDERS]


def _below(place: Path) -> Iterator[Path]:
    seen: set[Identity] = set()
    for folder, names, _ in os.walk(place, followlinks=True):
        identity = _identity(folder)
        if identity is None or identity in seen or len(seen) >= MOST_FOLDERS:
            names.clear()
            continue
        seen.add(identity)
        yield Path(folder)
        deep = folder.count("/") - str(place).count("/") >= DEEPEST
        names[:] = [] if deep else [name for name in names if name not in LEFT_OUT]


def _identity(place: str | Path) -> Identity | None:
    try:
        about = os.stat(place)  # noqa: PTH116 - once for each folder
    except OSError:
        return None
    return (about.st_dev, about.st_ino)
