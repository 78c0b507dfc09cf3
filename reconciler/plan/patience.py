"""Which steps have to wait: those that failed lately, and starts of what keeps ending.

Rule: an action that failed is tried again after a backoff, whatever else changes; what names a different object (a new
hash) has no failures and is tried at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.model.action import RestartContainer, StartContainer, StartProcess, Step
from reconciler.plan.backoff import LONGEST_S, delay_s

if TYPE_CHECKING:
    from collections.abc import Iterable

    from reconciler.model.memory import Memory
    from reconciler.plan.sharing import Wanted

AFTER_FAILURE_S = 1.0
"""First wait after a call that failed; a node that ended is started again sooner."""


class Patience:
    """Holds back steps; `wait_s` is how long until the first of them may be taken."""

    def __init__(self, memory: Memory, wanted: Wanted, *, now_s: float) -> None:
        self._memory = memory
        self._wanted = wanted
        self._now_s = now_s
        self.wait_s: float | None = None

    def sift(self, steps: Iterable[Step]) -> tuple[list[Step], list[Step]]:
        """Part steps into those to take now and those that wait."""
        now: list[Step] = []
        later: list[Step] = []
        for step in steps:
            wait_s = self.left_s(step)
            if wait_s <= 0:
                now.append(step)
            else:
                later.append(step)
                self.wait_s = min(wait_s, self.wait_s or wait_s)
        return now, later

    def left_s(self, step: Step) -> float:
        """Return how long a step has to wait yet; zero or less means not at all."""
        return max(self._after_failure(step), self._after_starts(step)) - self._now_s

    def _after_failure(self, step: Step) -> float:
        failure = self._memory.failures.get(step.object)
        if failure is None or failure.action != type(step.action).__name__:
            return self._now_s
        if not failure.retryable:
            return failure.at_s + LONGEST_S
        return failure.at_s + delay_s(step.object, failure.count, first_s=AFTER_FAILURE_S)

    def _after_starts(self, step: Step) -> float:
        starts = self._memory.starts.get(step.object)
        if starts is None or not isinstance(step.action, StartContainer | StartProcess | RestartContainer):
            return self._now_s
        instance = self._wanted.instances.get(step.object.split("/", 1)[1])
        longest_s = instance.restart.max_backoff_s if instance else LONGEST_S
        return starts.at_s + delay_s(step.object, starts.count, longest_s=longest_s)
