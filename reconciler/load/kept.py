"""Pipelines that are kept although their manifest is gone, because it said so: `reconciler.dev/prune: disabled`.

Rule: what is kept is the last good version, an entry of its own beside those of files, so that it lives through
restarts and edits of what else was in its file. A manifest that has the name takes over, and only then can it go.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.load.draft import Draft
from reconciler.load.store import Entry

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.model.manifest import Pipeline

ANNOTATION = "reconciler.dev/prune"
DISABLED = "disabled"
_MARK = "/#kept/"
"""Part of an entry's path that no manifest has: names that begin with `#` are left out."""


def with_kept(entries: Mapping[str, Entry], known: Mapping[str, Entry]) -> dict[str, Entry]:
    """Return the versions that count, and those of pipelines that no file has any more and that ask to be kept."""
    found = dict(entries)
    claimed = {pipeline.name for entry in entries.values() for pipeline in entry.pipelines}
    for key, entry in sorted(known.items()):
        for pipeline in entry.pipelines:
            if pipeline.name not in claimed and _asks(pipeline):
                claimed.add(pipeline.name)
                place = f"{key.split(_MARK)[0]}{_MARK}{pipeline.name}"
                found[place] = Entry(place, "", "", Draft(), (pipeline,))
    return found


def of_files(known: Mapping[str, Entry]) -> dict[str, Entry]:
    """Return the versions that belong to a file."""
    return {key: entry for key, entry in known.items() if _MARK not in key}


def names(entries: Mapping[str, Entry]) -> frozenset[str]:
    """Return the pipelines that are kept without a manifest."""
    kept = (entry for key, entry in entries.items() if _MARK in key)
    return frozenset(pipeline.name for entry in kept for pipeline in entry.pipelines)


def _asks(pipeline: Pipeline) -> bool:
    return dict(pipeline.annotations).get(ANNOTATION) == DISABLED
