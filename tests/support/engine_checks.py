"""What any engine must do, model or real: the same checks run on both, so that the model can't drift.

A rig is an engine, the instance to use on it, an image to start from, and a person's hand that works past our door.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

import pytest

from reconciler.contract import labels, names
from reconciler.model.errors import EngineError, NameTakenError
from reconciler.model.instance import ContainerSpec
from reconciler.model.manifest import Limits
from tests.support.place import eventually

if TYPE_CHECKING:
    from reconciler.engine import EnginePort
    from reconciler.model.observed import Container

STAY = ("sleep", "600")
MISSING = "f" * 64


class Hand(Protocol):
    """What a person or a fault does to the engine without us."""

    def stranger(self, name: str) -> None:
        """Create a container that is not ours."""

    def strangers(self) -> tuple[str, ...]:
        """Return the names that exist of those made by `stranger`."""

    def pause(self, container: str) -> None:
        """Pause a container."""

    def limits(self, container: str) -> Limits | None:
        """Return the limits that a running container is held to."""

    def disconnect(self, container: str, network: str) -> None:
        """Take a container off a network."""

    def kill(self, container: str) -> None:
        """Kill a container and wait until the engine knows."""

    def await_end(self, container: str) -> None:
        """Wait until a container has ended."""


@dataclass(frozen=True, slots=True)
class Rig:
    """An engine under check."""

    engine: EnginePort
    instance: str
    image: str
    hand: Hand

    def spec(self, number: int = 0, *, command: tuple[str, ...] = STAY, image: str = "") -> ContainerSpec:
        """Return the wish for a container."""
        hashed = f"{number:x}".rjust(64, "0")[::-1]
        marks = {
            labels.INSTANCE: self.instance,
            labels.KIND: labels.KIND_NODE,
            labels.NODE_HASH: hashed,
            labels.ENV_HASH: "e" * 64,
        }
        return ContainerSpec(
            name=names.instance_name(self.instance, hashed),
            image=image or self.image,
            labels=tuple(sorted(marks.items())),
            environment=(),
            mounts=(),
            network="none",
            user="0:0",
            command=command,
        )

    def one(self) -> Container:
        """Return the instance's only container."""
        (found,) = self.engine.list_containers(self.instance)
        return found

    def created(self, *, command: tuple[str, ...] = STAY) -> Container:
        """Create a container and return it."""
        self.engine.create(self.spec(command=command))
        return self.one()

    def running(self) -> Container:
        """Start a container that stays, and return it."""
        self.engine.start(self.created().id)
        return self.one()

    def ended(self) -> Container:
        """Return the container once the list says that it ended: newer engines say so a moment after they act."""
        eventually(lambda: self.one().state == "exited", within_s=10)
        return self.one()


class EngineChecks:
    """Subclasses give the fixture `rig`."""

    def test_nothing_is_an_empty_list(self, rig: Rig) -> None:
        assert rig.engine.list_containers(rig.instance) == ()

    def test_created_container_is_listed_as_asked_for(self, rig: Rig) -> None:
        rig.engine.create(rig.spec(1))
        found = rig.one()
        wanted = rig.spec(1)
        assert (found.name, found.state, found.kind) == (wanted.name, "created", "node")
        assert (found.node_hash, found.env_hash) == (dict(wanted.labels)[labels.NODE_HASH], "e" * 64)
        assert found.exit_code is None
        assert found.image_id in {image.id for image in rig.engine.list_images()}

    def test_create_twice_is_one_container(self, rig: Rig) -> None:
        first = rig.created()
        assert rig.created() == first

    def test_create_without_its_image_says_so(self, rig: Rig) -> None:
        with pytest.raises(EngineError) as caught:
            rig.engine.create(rig.spec(image="reconciler-test/missing:never"))
        assert (caught.value.status, caught.value.reason, caught.value.retryable) == (404, "ImageMissing", True)
        assert rig.engine.list_containers(rig.instance) == ()

    def test_name_of_a_stranger_is_left_alone(self, rig: Rig) -> None:
        rig.hand.stranger(rig.spec().name)
        with pytest.raises(NameTakenError, match=rig.spec().name):
            rig.engine.create(rig.spec())
        assert rig.engine.list_containers(rig.instance) == ()
        assert rig.hand.strangers() == (rig.spec().name,)

    def test_start_twice_runs_once(self, rig: Rig) -> None:
        found = rig.running()
        rig.engine.start(found.id)
        assert (rig.one().id, rig.one().state) == (found.id, "running")

    def test_start_of_what_is_gone_is_an_error(self, rig: Rig) -> None:
        with pytest.raises(EngineError) as caught:
            rig.engine.start(MISSING)
        assert caught.value.status == 404

    def test_exit_code_is_in_the_list(self, rig: Rig) -> None:
        found = rig.created(command=("sh", "-c", "exit 3"))
        rig.engine.start(found.id)
        rig.hand.await_end(found.id)
        assert rig.ended().exit_code == 3

    def test_ended_container_starts_again(self, rig: Rig) -> None:
        found = rig.running()
        rig.hand.kill(found.id)
        assert rig.ended().exit_code == 137
        rig.engine.start(found.id)
        assert (rig.one().id, rig.one().state, rig.one().exit_code) == (found.id, "running", None)

    def test_stop_ends_and_repeats(self, rig: Rig) -> None:
        found = rig.running()
        rig.engine.stop(found.id, timeout_s=5)
        assert rig.ended().exit_code == 143
        rig.engine.stop(found.id, timeout_s=5)
        assert rig.one().exit_code == 143

    def test_stop_of_what_never_ran_or_is_gone_is_success(self, rig: Rig) -> None:
        found = rig.created()
        rig.engine.stop(found.id, timeout_s=1)
        assert rig.one().state == "created"
        rig.engine.stop(MISSING, timeout_s=1)

    def test_restart_ends_and_starts(self, rig: Rig) -> None:
        found = rig.running()
        for _ in range(2):
            rig.engine.restart(found.id, timeout_s=5)
            assert (rig.one().id, rig.one().state) == (found.id, "running")
        with pytest.raises(EngineError) as caught:
            rig.engine.restart(MISSING, timeout_s=1)
        assert caught.value.status == 404

    def test_remove_twice(self, rig: Rig) -> None:
        found = rig.created()
        rig.engine.remove(found.id)
        assert rig.engine.list_containers(rig.instance) == ()
        rig.engine.remove(found.id)

    def test_remove_refuses_what_runs(self, rig: Rig) -> None:
        found = rig.running()
        with pytest.raises(EngineError) as caught:
            rig.engine.remove(found.id)
        assert caught.value.status == 409
        assert rig.one().state == "running"

    def test_unpause_and_again(self, rig: Rig) -> None:
        found = rig.running()
        rig.hand.pause(found.id)
        assert rig.one().state == "paused"
        rig.engine.unpause(found.id)
        assert rig.one().state == "running"
        rig.engine.unpause(found.id)

    def test_unpause_of_what_is_gone_is_an_error(self, rig: Rig) -> None:
        with pytest.raises(EngineError) as caught:
            rig.engine.unpause(MISSING)
        assert caught.value.status == 404

    @pytest.mark.parametrize(
        "limits",
        [Limits(64 << 20, 250_000_000, 16), Limits(128 << 20), Limits(None, 1_000_000_000), Limits(pids=20)],
    )
    def test_limits_are_changed_in_place_and_taken_away(self, rig: Rig, limits: Limits) -> None:
        """BY-07."""
        rig.engine.create(replace(rig.spec(), limits=Limits(96 << 20, 500_000_000, 32)))
        found = rig.one()
        rig.engine.start(found.id)
        assert rig.hand.limits(found.id) == Limits(96 << 20, 500_000_000, 32)
        for wanted in (limits, limits, Limits(), limits):
            rig.engine.update(found.id, wanted)
            assert rig.hand.limits(found.id) == wanted
        assert (rig.one().id, rig.one().state) == (found.id, "running")

    def test_limits_come_where_there_were_none(self, rig: Rig) -> None:
        found = rig.running()
        assert rig.hand.limits(found.id) == Limits()
        rig.engine.update(found.id, Limits(64 << 20, 250_000_000, 16))
        assert rig.hand.limits(found.id) == Limits(64 << 20, 250_000_000, 16)

    def test_update_of_what_is_gone_is_an_error(self, rig: Rig) -> None:
        with pytest.raises(EngineError) as caught:
            rig.engine.update(MISSING, Limits())
        assert caught.value.status == 404

    def test_join_and_again(self, rig: Rig) -> None:
        rig.engine.create(replace(rig.spec(), network="bridge"))
        found = rig.one()
        rig.engine.start(found.id)
        assert "bridge" in (rig.one().networks or ())
        rig.hand.disconnect(found.id, "bridge")
        assert rig.one().networks == ()
        for _ in range(2):
            rig.engine.join(found.id, "bridge")
            assert "bridge" in (rig.one().networks or ())

    def test_join_to_what_is_not_there_is_an_error(self, rig: Rig) -> None:
        found = rig.running()
        for container, network in ((found.id, "reconciler-test-never"), (MISSING, "bridge")):
            with pytest.raises(EngineError) as caught:
                rig.engine.join(container, network)
            assert caught.value.status == 404

    def test_list_is_by_name_and_of_one_instance(self, rig: Rig) -> None:
        for number in (3, 1, 2):
            rig.engine.create(rig.spec(number))
        rig.hand.stranger(f"{rig.instance}-stranger")
        found = [container.name for container in rig.engine.list_containers(rig.instance)]
        assert found == [rig.spec(number).name for number in (1, 2, 3)]
        assert rig.engine.list_containers(f"{rig.instance}-other") == ()

    def test_image_in_use_is_not_removed(self, rig: Rig) -> None:
        found = rig.running()
        with pytest.raises(EngineError) as caught:
            rig.engine.remove_image(found.image_id)
        assert caught.value.status == 409
        assert found.image_id in {image.id for image in rig.engine.list_images()}

    def test_image_that_is_gone_is_removed(self, rig: Rig) -> None:
        rig.engine.remove_image(f"sha256:{MISSING}")

    def test_looks_are_reads_and_the_rest_writes(self, rig: Rig) -> None:
        rig.engine.list_containers(rig.instance)
        rig.engine.list_images()
        assert not rig.engine.calls.writes
        assert sum(rig.engine.calls.reads.values()) == 2
        rig.engine.stop(MISSING, timeout_s=1)
        assert dict(rig.engine.calls.writes) == {"stop": 1}
