"""Hashes that never change because this program did.

Rule: a hash is taken over a canonical, versioned form made of plain JSON values. A new form gets a new version number,
and old fixtures in `tests/golden/hashes.json` hold the old one.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

from reconciler.contract.values import named

if TYPE_CHECKING:
    from collections.abc import Mapping

FORM = 1


def digest(kind: str, values: Mapping[str, object]) -> str:
    """Return the SHA-256 of named values, as 64 hexadecimal digits. Values of the contract go by their fields."""
    form = {"form": FORM, "kind": kind, **values}
    text = json.dumps(form, sort_keys=True, separators=(",", ":"), ensure_ascii=True, default=named)
    return hashlib.sha256(text.encode()).hexdigest()
