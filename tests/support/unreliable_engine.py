"""A model engine on a bad day: answers that get lost, lists that are late, removals that take their time or fail.

Rule: faults are told beforehand and used up, so that a history that is run again goes the same way.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from reconciler.contract import labels
from reconciler.model.errors import EngineError, EngineUnavailableError
from tests.support.model_engine import ModelEngine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from reconciler.model.observed import Container
    from tests.support.model_engine import Contained, When

Removal = Literal["slow", "fails"]

REMEMBERED = 12
"""Earlier lists that a late one may show."""

Fault = tuple[str, "When", int]
"""Verb, whether before or after its effect, and the status of the answer; 0 where there is none."""


@dataclass
class UnreliableEngine(ModelEngine):
    """A model engine whose calls and lists can be made to go wrong."""

    faults: list[Fault] = field(default_factory=list)
    late: list[int] = field(default_factory=list)
    """How many changes ago each of the next lists shows the world."""
    away_for: int = 0
    """Calls that find no engine."""
    removals: list[Removal] = field(default_factory=list)
    removed_by_us: list[Contained] = field(default_factory=list)
    _earlier: list[tuple[Contained, ...]] = field(default_factory=list)
    _going: dict[str, int] = field(default_factory=dict)

    def list_containers(self, instance: str) -> tuple[Container, ...]:
        """Return the containers, maybe as they were some changes ago."""
        self._pass_time()
        now = super().list_containers(instance)
        self._earlier = [*self._earlier[-REMEMBERED:], now]
        if not self.late:
            return now
        age = self.late.pop(0)
        return self._earlier[-1 - age] if age < len(self._earlier) else ()

    def remove(self, container: str) -> None:
        """Remove a container, maybe slowly, maybe leaving it dead."""
        found = self.containers.get(container)
        if found is None or found.state in {"running", "paused", "removing"} or not self.removals:
            super().remove(container)
            return
        if self.removals.pop(0) == "slow":
            found.state = "removing"
            self._going[container] = 2
            self._write("remove", lambda: None)
            return
        found.state = "dead"
        self._calls.write("remove")
        raise EngineError(f"unable to remove {found.spec.name}: device or resource busy", status=500)

    def recover(self) -> None:
        """Let everything go well from now on."""
        self.faults, self.late, self.away_for, self.removals = [], [], 0, []

    def stranger(self, found: Contained) -> bool:
        """Whether a container lacks our label."""
        return labels.INSTANCE not in dict(found.spec.labels)

    def _pass_time(self) -> None:
        for container in list(self._going):
            self._going[container] -= 1
            if self._going[container] <= 0:
                del self._going[container]
                self.containers.pop(container, None)

    def _write(self, verb: str, effect: Callable[[], None]) -> None:
        super()._write(verb, effect)
        owners = {labels_of(c).get(labels.INSTANCE) for c in self.containers.values()} - {None}
        for owner in owners:
            seen = (c.seen() for c in self.containers.values() if labels_of(c).get(labels.INSTANCE) == owner)
            self._earlier = [*self._earlier[-REMEMBERED:], tuple(sorted(seen, key=lambda c: c.name))]

    def _answer(self, verb: str, when: When) -> None:
        super()._answer(verb, when)
        if when == "before" and self.away_for:
            self.away_for -= 1
            msg = "no Docker Engine: start the daemon"
            raise EngineUnavailableError(msg)
        fault = next((fault for fault in self.faults if fault[:2] == (verb, when)), None)
        if fault is None:
            return
        self.faults.remove(fault)
        if not fault[2]:
            msg = "the Docker Engine does not answer in time"
            raise EngineUnavailableError(msg)
        raise EngineError(f"{verb} failed {when} its effect", status=fault[2])


def labels_of(found: Contained) -> dict[str, str]:
    """Return a container's labels."""
    return dict(found.spec.labels)


def ours(engine: ModelEngine, instance: str) -> Iterator[Contained]:
    """Return the containers of an instance, as they really are."""
    return (c for c in engine.containers.values() if labels_of(c).get(labels.INSTANCE) == instance)
