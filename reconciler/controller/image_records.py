"""When each environment image was built, how long that took, and who used it last: beside the journal, in SQLite.

Rule: the engine's images are the truth, and these only times. Losing them loses nothing else: an image without a record
counts as just used. SQLite is imported when there is something to read or write: a pass at rest has neither.
"""

from __future__ import annotations

import time
from contextlib import closing
from typing import TYPE_CHECKING

from reconciler.contract import names
from reconciler.contract.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from reconciler.controller.loop import Pass
    from reconciler.model.observed import Image

WRITE_EVERY_S = 60.0
"""How old the time of last use may be on disk while nothing else changes."""

MOST_OWNERS = 8

_TABLE = """
CREATE TABLE IF NOT EXISTS images (
    key TEXT PRIMARY KEY, built_s REAL, took_s REAL, used_s REAL, used_by TEXT NOT NULL DEFAULT ''
)
"""


@dataclass(frozen=True, slots=True)
class Record:
    """What is remembered of an image. Times are seconds since the epoch; None is not known. `took_s` is a duration."""

    built_s: float | None = None
    took_s: float | None = None
    used_s: float | None = None
    used_by: tuple[str, ...] = ()


class ImageRecords:
    """The records of an instance. One thread at a time; errors of the database are passed over."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._written: dict[str, tuple[str, ...]] | None = None
        self._written_s = 0.0

    def read(self) -> dict[str, Record]:
        """Return what is remembered, by image key; nothing where there is no database that can be read."""
        if not self._path.exists():
            return {}
        import sqlite3  # noqa: PLC0415 - see above

        try:
            with closing(sqlite3.connect(f"file:{self._path}?mode=ro", uri=True, timeout=1.0)) as connection:
                rows = connection.execute("SELECT key, built_s, took_s, used_s, used_by FROM images").fetchall()
        except sqlite3.Error:
            return {}
        return {
            key: Record(built, took, used, tuple(filter(None, by.split(",")))) for key, built, took, used, by in rows
        }

    def used_s(self, clock: Callable[[], float]) -> dict[str, float]:
        """Return when images were last used, on a clock of seconds."""
        now_s, now_clock_s = time.time(), clock()
        known = {key: record.used_s for key, record in self.read().items() if record.used_s is not None}
        return {key: now_clock_s - max(now_s - at_s, 0.0) for key, at_s in known.items()}

    def built(self, key: str, *, took_s: float) -> None:
        """Note that an image was built just now."""
        now_s = time.time()
        text = (
            "INSERT INTO images (key, built_s, took_s, used_s) VALUES (?, ?, ?, ?) "
            "ON CONFLICT (key) DO UPDATE SET built_s = excluded.built_s, took_s = excluded.took_s"
        )
        self._write(text, [(key, now_s, took_s, now_s)])

    def see(self, made: Pass) -> None:
        """Note who uses what, when that has changed or was noted long ago, and forget images that are gone."""
        images = {image.id: image for image in made.observed.images}
        used = _used(made, images)
        now_s = time.time()
        if self._written is None and not made.plan.steps and not made.busy:
            self._written, self._written_s = used, now_s
        before = self._written or {}
        if used == self._written and now_s - self._written_s < WRITE_EVERY_S:
            return
        ours = {image.key for image in images.values() if image.env_hash or image.stage}
        text = (
            "INSERT INTO images (key, used_s, used_by) VALUES (?, ?, ?) "
            "ON CONFLICT (key) DO UPDATE SET used_s = excluded.used_s, used_by = excluded.used_by"
        )
        # What has just ceased to be used was used until now.
        ended = {key: owners for key, owners in before.items() if key not in used and key in ours}
        self._write(text, [(key, now_s, ",".join(by)) for key, by in {**ended, **used}.items()])
        new = "INSERT OR IGNORE INTO images (key, used_s) VALUES (?, ?)"
        self._write(new, [(key, now_s) for key in sorted(ours - used.keys())])
        gone = [(key,) for key in self.read() if key not in ours]
        self._write("DELETE FROM images WHERE key = ?", gone)
        self._written, self._written_s = used, now_s

    def _write(self, text: str, rows: Sequence[tuple[object, ...]]) -> None:
        if not rows:
            return
        import sqlite3  # noqa: PLC0415 - see above

        try:
            with closing(sqlite3.connect(self._path, timeout=1.0)) as connection, connection:
                connection.execute("PRAGMA synchronous=OFF")
                connection.execute(_TABLE)
                connection.executemany(text, rows)
        except sqlite3.Error:
            return


def _used(made: Pass, images: Mapping[str, Image]) -> dict[str, tuple[str, ...]]:
    """Return the keys of the images that containers use, and the `pipeline/node` pairs that ask for those."""
    owners = {status.container: status.owners for status in made.statuses if status.container}
    used: dict[str, set[str]] = {}
    for container in made.observed.containers:
        image = images.get(container.image_id)
        if image is not None and image.env_hash:
            used.setdefault(image.key, set()).update(owners.get(container.name, ()))
    return {key: tuple(sorted(by)[:MOST_OWNERS]) for key, by in used.items()}


def name_of(image: Image) -> str:
    """Return an image's own name, or its id where somebody has taken that away."""
    own = names.env_image(image.env_hash) if image.env_hash else ""
    return own if own in image.tags else image.id
