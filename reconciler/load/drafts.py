"""What files said, by the digest of their bytes: who goes back to an earlier text need not parse it again.

Parsing and checking costs its libraries' import, half of what `--once` for one container computes. Last good versions
spare it while a file stays as it is; these, after `down` and `--once`, a revert, or the same file under another name.

Rule: a draft depends on bytes alone, so this is a cache, which may be lost or damaged and costs time only. Bounded.
"""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING

from reconciler.contract.files import read_text, replace_text
from reconciler.contract.values import dataclass
from reconciler.load.codec import DamagedError, decode, encode
from reconciler.load.draft import FORM, Draft

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from reconciler.load.store import Entry

KEPT = 256
"""Drafts that are kept, the newest; each is some 2 KB for a node."""


@dataclass(frozen=True, slots=True)
class _Kept:
    sha256: str
    form: str
    draft: Draft


class Drafts:
    """A directory of drafts, one file for each digest; without a directory there are none."""

    def __init__(self, directory: Path | None) -> None:
        self._directory = directory
        self._missed: set[str] = set()

    def get(self, sha256: str) -> Draft | None:
        """Return what a text of this digest said, if that is known in the present form. Never raises."""
        text = read_text(self._place(self._directory, sha256)) if self._directory is not None else None
        with suppress(ValueError, RecursionError, DamagedError):
            kept = decode(_Kept, json.loads(text)) if text else None
            if kept is not None and (kept.sha256, kept.form) == (sha256, FORM):
                return kept.draft
        self._missed.add(sha256)
        return None

    def keep(self, entries: Iterable[Entry]) -> None:
        """Write down the drafts of good versions that were asked for in vain, and nothing where there are none.

        Never raises: what can't be written is parsed again.
        """
        if self._directory is None or not self._missed:
            return
        new = {entry.sha256: entry.draft for entry in entries if entry.sha256 in self._missed}
        self._missed.clear()
        with suppress(OSError):
            for sha256, draft in new.items():
                self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
                kept = json.dumps(encode(_Kept(sha256, FORM, draft)))
                replace_text(self._place(self._directory, sha256), kept)
            if new:
                self._drop_oldest(self._directory)

    @staticmethod
    def _place(directory: Path, sha256: str) -> Path:
        return directory / f"{sha256[:24]}.json"

    @staticmethod
    def _drop_oldest(directory: Path) -> None:
        by_age = sorted(directory.glob("*.json"), key=lambda path: path.stat().st_mtime_ns)
        for old in by_age[:-KEPT]:
            old.unlink(missing_ok=True)
