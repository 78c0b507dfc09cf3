"""A bounded journal of what was done and why, in SQLite.

Rule: losing it, or finding it damaged, costs history and nothing else; so no error of it ever stops a pass.
"""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any

from reconciler.controller.event import Event

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

KEPT_EVENTS = 10_000
TRIM_EVERY = 500

FOLLOW_S = 0.25
"""How often a followed journal is looked at."""

MOST_AT_ONCE = 1_000

_TABLE = """
CREATE TABLE IF NOT EXISTS events (
    id INTEGER PRIMARY KEY, at_s REAL NOT NULL, kind TEXT NOT NULL, object TEXT NOT NULL,
    reason TEXT NOT NULL, message TEXT NOT NULL
)
"""


class Journal:
    """The event journal of an instance. It may be used from several threads."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._written = 0
        self._connection = _open(path)
        self._inode = _inode(path)

    def write(self, event: Event) -> None:
        """Append an event; a journal that fails or is gone is started afresh, with this event, or given up quietly."""
        with self._lock:
            if _inode(self._path) != self._inode:
                self._reopen()
            try:
                self._append(event)
            except sqlite3.Error:
                self._reopen()
                with suppress(sqlite3.Error):
                    self._append(event)

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def _append(self, event: Event) -> None:
        row = (event.at_s, event.kind, event.object, event.reason, event.message)
        self._connection.execute("INSERT INTO events VALUES (NULL, ?, ?, ?, ?, ?)", row)
        self._written += 1
        if self._written % TRIM_EVERY == 1:
            self._connection.execute("DELETE FROM events WHERE id <= (SELECT MAX(id) FROM events) - ?", (KEPT_EVENTS,))

    def _reopen(self) -> None:
        """Open the file again; a connection to one that was removed would write where nobody reads."""
        with suppress(sqlite3.Error):
            self._connection.close()
        self._connection = _open(self._path)
        self._inode = _inode(self._path)


def follow(path: Path, *, wait: Callable[[float], object]) -> Iterator[Event]:
    """Yield the events there are, then more as they happen; `wait` is called with seconds between looks.

    A journal that is started afresh, or that is not there yet, is followed from its beginning.
    """
    last = 0
    while True:
        newest = _rows(path, "SELECT COALESCE(MAX(id), 0) FROM events", ())
        if newest and newest[0][0] < last:
            last = 0
        query = "SELECT id, at_s, kind, object, reason, message FROM events WHERE id > ? ORDER BY id LIMIT ?"
        for number, *event in _rows(path, query, (last, MOST_AT_ONCE)):
            last = number
            yield Event(*event)
        wait(FOLLOW_S)


def read(path: Path, *, last: int = 200) -> list[Event]:
    """Return the last events, oldest first; none where there is no journal that can be read."""
    query = "SELECT at_s, kind, object, reason, message FROM events ORDER BY id DESC LIMIT ?"
    return [Event(*row) for row in reversed(_rows(path, query, (last,)))]


def _rows(path: Path, query: str, values: tuple[int, ...]) -> list[tuple[Any, ...]]:
    """Return what a journal says; nothing where there is none that can be read."""
    if not path.exists():
        return []
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
            return connection.execute(query, values).fetchall()
    except sqlite3.Error:
        return []


def _open(path: Path) -> sqlite3.Connection:
    """Open the journal, putting a damaged one aside, and keep it in memory where no file can be had."""
    for attempt in (path, path):
        try:
            attempt.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            return _connect(str(attempt))
        except (sqlite3.Error, OSError):
            _put_aside(attempt)
    return _connect(":memory:")


def _connect(name: str) -> sqlite3.Connection:
    connection = sqlite3.connect(name, check_same_thread=False, isolation_level=None, timeout=1.0)
    # Nothing is mapped into memory: whoever truncates such a file ends its readers and writers with SIGBUS.
    connection.execute("PRAGMA mmap_size=0")
    connection.execute("PRAGMA journal_mode=TRUNCATE")
    connection.execute("PRAGMA synchronous=OFF")
    connection.execute(_TABLE)
    return connection


def _inode(path: Path) -> int | None:
    """Return what tells a file from one that took its name; None where there is none."""
    try:
        return path.stat().st_ino
    except OSError:
        return None


def _put_aside(path: Path) -> None:
    """Rename a damaged journal; what SQLite keeps beside it belongs to it, and would be taken for the next one's."""
    with suppress(OSError):
        path.replace(path.with_suffix(".damaged"))
    for beside in ("-journal", "-wal", "-shm"):
        with suppress(OSError):
            path.with_name(path.name + beside).unlink()
