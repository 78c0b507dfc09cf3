"""A plan as text: the vocabulary of `diff` and of the golden tests."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from reconciler.model.action import Action, Step
    from reconciler.model.status import ObjectStatus


def verb(action: Action) -> str:
    """Return an action's name as users see it: `CreateContainer` is `create container`."""
    return re.sub(r"(?<!^)(?=[A-Z])", " ", type(action).__name__).lower()


def render_step(step: Step) -> str:
    """Return one line: what, on which object, why."""
    return f"{verb(step.action):<18} {step.object.split('/', 1)[1]:<40} because {step.cause}"


def render_steps(steps: Iterable[Step]) -> str:
    """Return a line for each step, in order."""
    return "".join(f"{render_step(step)}\n" for step in steps)


def render_statuses(statuses: Iterable[ObjectStatus]) -> str:
    """Return a line for each condition, without times."""
    lines = []
    for status in statuses:
        for condition in status.conditions:
            said = f" {condition.message}" if condition.message else ""
            head = f"{status.kind.lower()}/{status.name}"
            lines.append(f"{head:<32} {condition.type}={condition.status} {condition.reason}{said}\n")
    return "".join(lines)
