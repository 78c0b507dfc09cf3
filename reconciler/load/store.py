"""Last good versions of manifests, in the state directory: what goes on when a file breaks (BY-03).

Rule: an entry is made from a file that was valid as a whole, and holds what was made of it, source digests included,
so that it can go on when file, folder and source are all gone. Reading never writes; `save` is called by the one
writer of the instance alone.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

from reconciler.contract.files import replace_text
from reconciler.contract.values import dataclass
from reconciler.load.codec import DamagedError, decode, encode
from reconciler.load.draft import FORM, Draft
from reconciler.model.desired import Session  # noqa: TC001 - the codec reads hints at run time
from reconciler.model.errors import StateError
from reconciler.model.manifest import Pipeline  # noqa: TC001 - the codec reads hints at run time

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Entry:
    """The last good version of one file. `path` is absolute, links in it not resolved; `sha256` is of `text`."""

    path: str
    sha256: str
    text: str
    draft: Draft
    pipelines: tuple[Pipeline, ...] = ()
    sessions: tuple[Session, ...] = ()
    form: str = FORM

    @property
    def names(self) -> tuple[tuple[str, str], ...]:
        """What this version claims: pairs of kind and name."""
        pipelines = (("pipeline", pipeline.name) for pipeline in self.pipelines)
        return (*pipelines, *(("session", session.name) for session in self.sessions))


@dataclass(frozen=True, slots=True)
class Known:
    """What a store holds. `damaged` are files that hold something which can't be read."""

    entries: Mapping[str, Entry]
    damaged: tuple[Path, ...] = ()


class Store:
    """A directory of last good versions, one JSON file for each manifest file."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def place(self, path: str) -> Path:
        """Return where the last good version of a manifest file is kept."""
        return self.directory / f"{hashlib.sha256(path.encode('utf-8', 'surrogateescape')).hexdigest()[:24]}.json"

    def read(self) -> Known:
        """Return all that is known. Never raises: what can't be read is named in `damaged`."""
        entries: dict[str, Entry] = {}
        damaged: list[Path] = []
        try:
            files = sorted(self.directory.glob("*.json"))
            if self.directory.exists() and not self.directory.is_dir():
                damaged.append(self.directory)
        except OSError:
            return Known({}, (self.directory,))
        for file in files:
            entry = _read(file)
            if entry is None or self.place(entry.path) != file:
                damaged.append(file)
            else:
                entries[entry.path] = entry
        return Known(entries, tuple(damaged))

    def save(self, before: Mapping[str, Entry], after: Mapping[str, Entry]) -> None:
        """Write what has changed from one set of entries to another.

        Raises:
            StateError: if the directory can't be written.
        """
        try:
            self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            for path, entry in after.items():
                if before.get(path) != entry:
                    replace_text(self.place(path), json.dumps(encode(entry), sort_keys=True, indent=1) + "\n")
            for path in before.keys() - after.keys():
                self.place(path).unlink(missing_ok=True)
        except OSError as error:
            raise StateError(
                f"can't keep the last good manifests in {self.directory}: {error.strerror}; "
                "make room there or choose another --state-dir"
            ) from error


def _read(file: Path) -> Entry | None:
    try:
        raw = json.loads(file.read_text(encoding="utf-8"))
        return decode(Entry, raw)
    except (OSError, ValueError, RecursionError, DamagedError):
        return None
