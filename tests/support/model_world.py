"""A world for the loop alone: it does what actions say, at once, and can be made unreachable."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from reconciler.contract.values import replace
from reconciler.controller.loop import World
from reconciler.model.errors import EngineUnavailableError
from reconciler.plan.foresee import after, settle
from tests.support.worlds import BARE

if TYPE_CHECKING:
    from reconciler.controller.loop import Pass
    from reconciler.model.action import Action
    from reconciler.model.desired import Desired
    from reconciler.model.observed import Observed


class Model:
    """A world that does what actions say, at once, and can be made unreachable."""

    def __init__(self, desired: Desired) -> None:
        self.desired = desired
        self.observed: Observed = BARE
        self.away = 0
        self.looks = 0
        self.written: list[Action] = []
        self._lock = threading.Lock()

    def look(self) -> Observed:
        with self._lock:
            self.looks += 1
            if self.away:
                self.away -= 1
                msg = "the engine does not answer"
                raise EngineUnavailableError(msg)
            self.observed = settle(self.observed)
            return self.observed

    def act(self, action: Action) -> None:
        with self._lock:
            self.written.append(action)
            self.observed = after(self.observed, action)

    def world(self) -> World:
        return World(lambda: self.desired, self.look, self.act, load_leases=lambda: self.desired, glance=self.glance)

    def glance(self, before: Observed) -> Observed:
        with self._lock:
            self.observed = settle(self.observed)
            now = self.observed
        return replace(before, node_files=now.node_files, endpoints=now.endpoints, stale_leases=now.stale_leases)


def is_ready(made: Pass) -> bool:
    """Whether all pipelines are ready, and nothing is left to do."""
    pipelines = [status for status in made.statuses if status.kind == "Pipeline"]
    return made.is_rest and all(status.is_true("Ready") for status in pipelines)
