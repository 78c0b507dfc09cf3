"""Conditions, in the manner of Kubernetes: derived, so they may be lost; no phase."""

from __future__ import annotations

from typing import Literal

from reconciler.contract.values import dataclass, replace

ConditionStatus = Literal["True", "False", "Unknown"]


@dataclass(frozen=True, slots=True)
class Condition:
    """One statement about an object. `transition_s` is when `status` last changed (seconds since the epoch)."""

    type: str
    status: ConditionStatus
    reason: str
    message: str = ""
    generation: str = ""
    transition_s: float = 0.0


@dataclass(frozen=True, slots=True)
class ObjectStatus:
    """The conditions of one pipeline, node or session, with what `get` shows beside them.

    `owners` are the `pipeline/node` pairs that ask for a node instance; `instance` is its name, `sessions` what it
    serves; `restarts` counts starts after the first.
    """

    kind: Literal["Pipeline", "Node", "Session"]
    name: str
    conditions: tuple[Condition, ...]
    pipeline: str = ""
    instance: str = ""
    container: str = ""
    owners: tuple[str, ...] = ()
    sessions: tuple[str, ...] = ()
    restarts: int = 0

    def condition(self, kind: str) -> Condition | None:
        """Return the condition of a type, or None."""
        return next((condition for condition in self.conditions if condition.type == kind), None)

    def is_true(self, kind: str) -> bool:
        """Whether a condition is there and holds."""
        found = self.condition(kind)
        return found is not None and found.status == "True"


def carry_times(previous: ObjectStatus | None, current: ObjectStatus, *, now_s: float) -> ObjectStatus:
    """Return `current` with transition times that moved only where a status changed; `previous` itself if none did."""
    known = {condition.type: condition for condition in previous.conditions} if previous is not None else {}
    dated = tuple([_dated(known.get(condition.type), condition, now_s) for condition in current.conditions])
    made = replace(current, conditions=dated)
    return previous if previous is not None and made == previous else made


def _dated(before: Condition | None, now: Condition, now_s: float) -> Condition:
    if before is None or before.status != now.status:
        return replace(now, transition_s=now_s)
    if (before.reason, before.message, before.generation) == (now.reason, now.message, now.generation):
        return before
    return replace(now, transition_s=before.transition_s)
