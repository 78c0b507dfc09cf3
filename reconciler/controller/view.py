"""How things are, for commands that only look: from the controller that is on duty, or else by looking."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from reconciler.contract import lock
from reconciler.contract.files import read_text
from reconciler.model.status import Condition, ObjectStatus, carry_times

if TYPE_CHECKING:
    from pathlib import Path

    from reconciler.contract.paths import Paths
    from reconciler.model.desired import Desired
    from reconciler.model.observed import Observed


@dataclass(frozen=True, slots=True)
class Seen:
    """Desired and observed state, with the conditions they come to."""

    desired: Desired
    observed: Observed
    statuses: tuple[ObjectStatus, ...]


def look(paths: Paths, manifests: Path | None) -> Seen:
    """Return how an instance is now. Conditions of a controller on duty are taken over, since it remembers failures.

    Raises:
        EngineUnavailableError: if the engine does not answer.
    """
    from reconciler.controller.instance import Instance  # noqa: PLC0415 - brings the doors with it
    from reconciler.plan.plan import plan  # noqa: PLC0415 - most commands need no plan

    with Instance(paths, manifests) as instance:
        desired, observed = instance.load(), instance.look()
    published = _published(paths)
    derived = plan(desired, observed).statuses
    if lock.held(paths.controller):
        return Seen(desired, observed, tuple(published.get((s.kind, s.name), s) for s in derived))
    now_s = time.time()
    dated = (carry_times(published.get((s.kind, s.name)), s, now_s=now_s) for s in derived)
    return Seen(desired, observed, tuple(dated))


def _published(paths: Paths) -> dict[tuple[str, str], ObjectStatus]:
    """Return the conditions that a controller has published; none where the file is gone or damaged."""
    text = read_text(paths.status)
    try:
        found = [_status(raw) for raw in json.loads(text)] if text else []
    except (ValueError, TypeError, KeyError):
        return {}
    return {(status.kind, status.name): status for status in found}


def _status(raw: dict[str, Any]) -> ObjectStatus:
    conditions = tuple(Condition(**condition) for condition in raw["conditions"])
    lists = {"owners": tuple(raw["owners"]), "sessions": tuple(raw["sessions"])}
    return ObjectStatus(**{**raw, "conditions": conditions, **lists})
