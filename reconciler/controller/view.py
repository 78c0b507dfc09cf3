"""How things are, for commands that only look: from the controller that is on duty, or else by looking."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from reconciler.contract import lock
from reconciler.contract.values import dataclass
from reconciler.controller.published import read
from reconciler.model.status import carry_times

if TYPE_CHECKING:
    from pathlib import Path

    from reconciler.contract.paths import Paths
    from reconciler.model.desired import Desired
    from reconciler.model.observed import Observed
    from reconciler.model.status import ObjectStatus


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
    published = {(status.kind, status.name): status for status in read(paths.status)}
    derived = plan(desired, observed).statuses
    if lock.held(paths.controller):
        return Seen(desired, observed, tuple(published.get((s.kind, s.name), s) for s in derived))
    now_s = time.time()
    dated = (carry_times(published.get((s.kind, s.name)), s, now_s=now_s) for s in derived)
    return Seen(desired, observed, tuple(dated))
