"""The model engine keeps the manners of the real one, and fails when it is told to."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pytest

from reconciler.model.errors import EngineError, EngineUnavailableError
from tests.support.engine_checks import EngineChecks, Rig
from tests.support.model_engine import ModelEngine

if TYPE_CHECKING:
    from reconciler.model.manifest import Limits


@dataclass(frozen=True, slots=True)
class ModelHand:
    """A person's hand on the model."""

    engine: ModelEngine

    def stranger(self, name: str) -> None:
        self.engine.add(replace(Rig(self.engine, "nobody", "", self).spec(), name=name, labels=()))

    def strangers(self) -> tuple[str, ...]:
        return tuple(c.spec.name for c in self.engine.containers.values() if not c.spec.labels)

    def pause(self, container: str) -> None:
        self.engine.containers[container].state = "paused"

    def limits(self, container: str) -> Limits | None:
        return self.engine.containers[container].spec.limits

    def disconnect(self, container: str, network: str) -> None:
        self.engine.containers[container].networks.discard(network)

    def kill(self, container: str) -> None:
        self.engine.end(container, 137)

    def await_end(self, container: str) -> None:
        assert self.engine.containers[container].state == "exited"


@pytest.fixture
def rig() -> Rig:
    engine = ModelEngine(tags=("base:1",))
    return Rig(engine, "test-model", "base:1", ModelHand(engine))


class TestModelEngine(EngineChecks):
    def test_fault_before_leaves_the_world_as_it_was(self, rig: Rig) -> None:
        assert isinstance(rig.engine, ModelEngine)
        rig.engine.fail("create", "before")
        with pytest.raises(EngineError):
            rig.engine.create(rig.spec())
        assert rig.engine.list_containers(rig.instance) == ()

    def test_fault_after_has_happened_all_the_same(self, rig: Rig) -> None:
        assert isinstance(rig.engine, ModelEngine)
        rig.engine.fail("create", "after")
        with pytest.raises(EngineError):
            rig.engine.create(rig.spec())
        assert rig.one().state == "created"

    def test_engine_that_is_away_is_no_empty_world(self, rig: Rig) -> None:
        assert isinstance(rig.engine, ModelEngine)
        rig.engine.away = True
        with pytest.raises(EngineUnavailableError):
            rig.engine.list_containers(rig.instance)
