"""What wakes the loop: files that change, containers that change, leases that are dropped.

Rule: every source may lose or repeat things; none decides anything. A source that breaks is started again, and the
resync finds what was missed.
"""

from __future__ import annotations

import os
import threading
import time
from contextlib import closing, suppress
from typing import TYPE_CHECKING

from reconciler.contract.watch import LONGEST_WAIT_S, Watch
from reconciler.controller.signs import Sign
from reconciler.model.errors import ReconcilerError

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Iterator
    from pathlib import Path

    from reconciler.contract.watch import Change

PROBE_S = 0.8
"""How often leases and host processes are probed, for what no watch has told: a lease is to be gone within a second."""

LOCK_LAG_S = 0.05
"""How long a lock may still be there after its file was closed. Source: Linux, `fs/file_table.c`, `__fput`."""

STEP_MS = 10
"""How often watchfiles looks whether it was told something, while it is asked; a change counts when none follows."""

ASKED_MS = 50
"""For how long watchfiles is asked, once a second and when a hint says that something has changed.

It sleeps and looks all the time it is asked: asked without end, that was a quarter per cent of a core.
"""

FOLDERS = 128
"""Directories in which a change is hinted at; one in any other is heard within a second."""

FOLLOW_S = 5.0
"""How often new directories of nodes are looked for without being told of one: for hundreds that takes milliseconds."""

RECONNECT_S = 1.0


def start(*sources: Callable[[], None]) -> list[threading.Thread]:
    """Run each source in a thread of its own until it returns."""
    threads = [threading.Thread(target=source, daemon=True) for source in sources]
    for thread in threads:
        thread.start()
    return threads


def watch_files(
    paths: Callable[[], Iterable[Path]],
    wake: Callable[[], None],
    stop: threading.Event,
    *,
    matters: Callable[[str], bool],
) -> None:
    """Wake on changes that matter below directories; they are watched anew when one appears, goes or is replaced.

    watchfiles gathers what happens in a thread of its own, and is asked for it when a watch of ours hints at something.
    """
    with closing(Watch()) as hints:
        while not stop.is_set():
            armed = _identities(paths())
            existing = [path for path, _ in armed]
            if not existing:
                stop.wait(RECONNECT_S)
                continue
            try:
                hints.follow(_folders(existing, matters))  # first: what follows it, is hinted at
                for found in _asked(existing, stop, matters):
                    if found:
                        wake()
                    if _identities(paths()) != armed:
                        wake()
                        break
                    _await_hint(hints, existing, matters)
            except (OSError, RuntimeError, UnicodeError):  # a directory went away while it was being armed; look again
                wake()
                stop.wait(RECONNECT_S)


def _asked(places: list[Path], stop: threading.Event, matters: Callable[[str], bool]) -> Iterator[object]:
    """Return what watchfiles says each time it is asked: the changes that matter, or none."""
    from watchfiles import watch  # noqa: PLC0415 - only a controller that watches pays for it

    return watch(
        *places,
        watch_filter=lambda _, path: matters(path),
        debounce=50,
        step=STEP_MS,
        stop_event=stop,
        rust_timeout=ASKED_MS,
        yield_on_timeout=True,
        raise_interrupt=False,
    )


def _await_hint(hints: Watch, places: list[Path], matters: Callable[[str], bool]) -> None:
    """Wait until something may have changed, a second at most, for what no hint tells."""
    folders = any(change.folder for change in hints.wait(LONGEST_WAIT_S))
    if folders:
        hints.follow(_folders(places, matters))


def _folders(places: list[Path], matters: Callable[[str], bool]) -> list[str]:
    """Return the directories that matter, each once, from the top down, as many as are hinted at.

    A file is hinted at by itself: what else happens where it lies may be much, and is no hint.
    """
    found = list(dict.fromkeys(map(str, places)))
    known = set(found)
    for folder in found:  # grows as we go
        if len(found) >= FOLDERS:
            break
        with suppress(OSError), os.scandir(folder) as entries:
            below = [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]
            new = [path for path in below if path not in known and matters(f"{path}/")]
            found += new
            known.update(new)
    return found[:FOLDERS]


def watch_runtime(
    directories: Callable[[], Iterable[str]],
    wake: Callable[..., None],
    stop: threading.Event,
    *,
    read: Callable[[Change], Sign],
) -> None:
    """Wake on changes that tell something in small directories of our own, at once and without gathering."""
    with closing(Watch()) as watch:
        followed_s = float("-inf")
        while not stop.is_set():
            if time.monotonic() - followed_s >= FOLLOW_S:
                followed_s = time.monotonic()
                if watch.follow(directories()):
                    wake()
            changes = watch.wait(LONGEST_WAIT_S)
            if any(change.folder or not change.name for change in changes):
                followed_s = float("-inf")
            signs = [(read(change), change) for change in changes]
            told = max((sign for sign, _ in signs), default=Sign.NOTHING)
            if told:
                closed = any(change.closed for sign, change in signs if sign)
                wake(again_s=LOCK_LAG_S if closed else 0.0, brief=told == Sign.SESSIONS)


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


def _identities(paths: Iterable[Path]) -> list[tuple[Path, tuple[int, int]]]:
    """Return the paths that exist with what tells a directory from its replacement, symlinks resolved."""
    found = []
    for path in paths:
        try:
            stat = path.stat()
        except OSError:
            continue
        found.append((path.resolve(), (stat.st_dev, stat.st_ino)))
    return found
