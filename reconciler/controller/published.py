"""Conditions as a controller has published them: read back, so that a restart neither forgets nor repeats them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from reconciler.contract.files import read_text
from reconciler.model.status import Condition, ObjectStatus

if TYPE_CHECKING:
    from pathlib import Path


def read(path: Path) -> tuple[ObjectStatus, ...]:
    """Return published conditions; none where the file is gone or damaged."""
    text = read_text(path)
    try:
        return tuple(_status(raw) for raw in json.loads(text)) if text else ()
    except (ValueError, TypeError, KeyError):
        return ()


def _status(raw: dict[str, Any]) -> ObjectStatus:
    conditions = tuple(Condition(**condition) for condition in raw["conditions"])
    lists = {"owners": tuple(raw["owners"]), "sessions": tuple(raw["sessions"])}
    return ObjectStatus(**{**raw, "conditions": conditions, **lists})
