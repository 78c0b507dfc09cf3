"""What each manifest file says, read and checked only when it has changed.

Rule: a file whose stat is the same is not opened; one whose bytes are known, from the last look or from the state
directory, or from earlier, is not parsed. Only new bytes cost the import of the parser and the models.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from reconciler.contract.values import dataclass
from reconciler.load.draft import FORM, Draft
from reconciler.load.files import Found, Signature, read, signature_of
from reconciler.load.tree import Problem

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from reconciler.load.drafts import Drafts
    from reconciler.load.store import Entry

MAX_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Said:
    """What one file says. `text` is what would be kept of it."""

    found: Found
    sha256: str
    text: str
    draft: Draft


@dataclass(frozen=True, slots=True)
class _Remembered:
    signature: Signature
    said: Said


class Reader:
    """Reads manifests, and remembers those of the last look."""

    def __init__(self, drafts: Drafts) -> None:
        self._drafts = drafts
        self._remembered: dict[str, _Remembered] = {}

    def read(self, files: Iterable[Found], known: Mapping[str, Entry]) -> list[Said]:
        """Return what each file says now. What can't be read is a problem in its draft."""
        before, self._remembered = self._remembered, {}
        return [self._read(found, before.get(found.key), known.get(found.key)) for found in files]

    def _read(self, found: Found, before: _Remembered | None, entry: Entry | None) -> Said:
        if before is not None and before.said.found == found and before.signature == signature_of(found.real):
            self._remembered[found.key] = before
            return before.said
        content = read(found.real, limit=MAX_BYTES)
        if content.why:
            return Said(found, "", "", Draft(problems=(Problem(1, 1, content.why),)))
        sha256 = hashlib.sha256(content.data).hexdigest()
        draft = _known_draft(sha256, before, entry) or self._drafts.get(sha256) or _check(content.data)
        text = "" if draft.problems else content.data.decode("utf-8")
        said = Said(found, sha256, text, draft)
        if content.settled or before is None or before.said.sha256 != sha256:
            # What may still change within a clock tick is remembered by its bytes, and read again.
            signature = content.signature if content.settled else ()
            self._remembered[found.key] = _Remembered(signature, said)
        else:
            self._remembered[found.key] = _Remembered((), said)
        return said


def _known_draft(sha256: str, before: _Remembered | None, entry: Entry | None) -> Draft | None:
    if before is not None and before.said.sha256 == sha256:
        return before.said.draft
    if entry is not None and entry.sha256 == sha256 and entry.form == FORM:
        return entry.draft
    return None


def _check(data: bytes) -> Draft:
    from reconciler.load.validate import check  # noqa: PLC0415 - costs 200 ms, which known bytes need not pay

    return check(data)
