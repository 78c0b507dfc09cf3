"""What wakes the loop: files that change, containers that change, leases that are dropped.

Rule: every source may lose or repeat things; none decides anything. A source that breaks is started again, and the
resync finds what was missed.
"""

from __future__ import annotations

import os
import threading
import time
from contextlib import closing
from typing import TYPE_CHECKING

from reconciler.contract.watch import LONGEST_WAIT_S, Watch
from reconciler.controller import folders
from reconciler.model.errors import ReconcilerError

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Iterator
    from pathlib import Path

    from reconciler.contract.watch import Change

PROBE_S = 0.8
"""How often leases and host processes are probed, for what no watch has told: a lease is to be gone within a second."""

LOCK_LAG_S = 0.05
"""How long a lock may still be there after its file was closed. Source: Linux, `fs/file_table.c`, `__fput`."""

QUIET_S = 0.02
GATHER_S = 0.05
"""After a change in manifests the loop is woken when nothing came for `QUIET_S`, at the latest after `GATHER_S`."""

RECONNECT_S = 1.0


def start(*sources: Callable[[], None]) -> list[threading.Thread]:
    """Run each source in a thread of its own until it returns."""
    threads = [threading.Thread(target=source, daemon=True) for source in sources]
    for thread in threads:
        thread.start()
    return threads


def watch_files(
    places: Callable[[], Iterable[Path]],
    wake: Callable[[], None],
    stop: threading.Event,
    *,
    matters: Callable[[str], bool],
) -> None:
    """Wake on changes that matter at places, which are files or directories, and below them.

    A place is followed when it appears, goes or is replaced, also where that shows in no directory that is watched.
    """
    armed: object = None
    with closing(Watch(attributes=True)) as watch:
        watched: list[Path] = []
        while not stop.is_set():
            there = folders.identities(places())
            if there != armed:
                watched, armed = folders.watched(place for place, _ in there), there
                wake()
            while watch.follow(watched):  # in a new folder there may be others, made before it was watched
                watched = folders.watched(place for place, _ in there)
                wake()
            changes = _gathered(watch)
            if any(change.folder or not change.name for change in changes):
                watched = folders.watched(place for place, _ in there)
            files = {str(place) for place, _ in there if place.is_file()}
            if any(_is_told(change, files) and matters(f"{change.directory}/{change.name}") for change in changes):
                wake()


def _gathered(watch: Watch) -> list[Change]:
    """Wait for changes and for those that come with them: a checkout is many."""
    found = watch.wait(LONGEST_WAIT_S)
    if found:
        until_s = time.monotonic() + GATHER_S
        while (more := watch.wait(QUIET_S)) and time.monotonic() < until_s:
            found += more
        found += more
    return found


def _is_told(change: Change, files: set[str]) -> bool:
    """Whether a change is at a place, and not beside one that is a file."""
    beside = {os.path.split(file)[0] for file in files}
    return change.directory not in beside or f"{change.directory}/{change.name}" in files


def watch_runtime(
    directories: Callable[[], Iterable[Path]],
    wake: Callable[..., None],
    stop: threading.Event,
    *,
    matters: Callable[[Change], bool],
) -> None:
    """Wake on changes that matter in small directories of our own, at once and without gathering."""
    with closing(Watch()) as watch:
        changes: list[Change] = []
        while not stop.is_set():
            # A new directory is looked for when there is one, and once in a while.
            if (not changes or any(change.folder for change in changes)) and watch.follow(directories()):
                wake()
            changes = watch.wait(LONGEST_WAIT_S)
            telling = [change for change in changes if matters(change)]
            if telling:
                wake(again_s=LOCK_LAG_S if any(change.closed for change in telling) else 0.0)


def watch_engine(events: Callable[[], Iterator[object]], wake: Callable[[], None], stop: threading.Event) -> None:
    """Wake on every event of the engine; a stream that ends, well or not, is opened again."""
    while not stop.is_set():
        try:
            for _ in events():
                wake()
                if stop.is_set():
                    return
        except ReconcilerError:
            pass  # the look that follows says so, once
        wake()
        stop.wait(RECONNECT_S)


def probe(state: Callable[[], Hashable], wake: Callable[[], None], stop: threading.Event) -> None:
    """Wake when something that can only be asked for has changed."""
    before = _ask(state)
    while not stop.wait(PROBE_S):
        now = _ask(state)
        if now != before:
            before = now
            wake()


def _ask(state: Callable[[], Hashable]) -> Hashable:
    """Return a state, or None where it can't be had: the look that follows says why, once."""
    try:
        return state()
    except ReconcilerError:
        return None
