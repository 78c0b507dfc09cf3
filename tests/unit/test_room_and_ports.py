"""Who gets memory and ports of a host that has not enough of them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reconciler.controller.instance import memory_bytes
from reconciler.model.action import CreateContainer, StartContainer, StopContainer
from reconciler.model.manifest import Limits
from reconciler.plan.foresee import route
from reconciler.plan.plan import plan
from tests.support.worlds import BARE, chain, desire, docker_node, rest

MIB = 1 << 20


FIRST = chain("first", docker_node("n", code="a", limits=Limits(96 * MIB)))
SECOND = chain("second", docker_node("n", code="b", limits=Limits(64 * MIB)))
UP = rest(desire(FIRST))


def test_what_exists_keeps_its_room_and_what_finds_none_is_told_who_has_it() -> None:
    crowded = replace(UP, site=replace(UP.site, memory_bytes=128 * MIB))
    found = plan(desire(FIRST, SECOND), crowded)
    assert len(found.refused) == 1
    assert not [step for step in found.steps if isinstance(step.action, CreateContainer)]
    (status,) = [status for status in found.statuses if status.name == "second/n"]
    ready = status.condition("Ready")
    assert ready is not None
    assert ready.reason == "NoRoom"
    assert ready.message.startswith(
        "asks for 64 MiB of memory; limits may add up to 128 MiB, and 96 MiB are taken (first/n 96 MiB)"
    )


@pytest.mark.parametrize("mib", [0, 160])
def test_room_that_suffices_or_is_not_bounded_refuses_nothing(mib: int) -> None:
    assert plan(desire(FIRST, SECOND), replace(UP, site=replace(UP.site, memory_bytes=mib * MIB))).refused == ()


def test_a_new_version_beside_the_old_counts_once() -> None:
    crowded = replace(UP, site=replace(UP.site, memory_bytes=128 * MIB))
    edited = chain("first", docker_node("n", code="c", limits=Limits(96 * MIB)))
    assert plan(desire(edited), crowded).refused == ()


def test_a_new_version_gets_its_port_from_the_old_one_which_goes_first() -> None:
    before = chain("first", docker_node("n", code="a", ports=("8080:80",)))
    world = rest(desire(before))
    held = replace(world, containers=tuple(replace(c, ports=frozenset({"8080/tcp"})) for c in world.containers))
    after = chain("first", docker_node("n", code="c", ports=("127.0.0.1:8080:80/tcp",)))
    verbs = [type(step.action) for step in route(desire(after), held)]
    assert verbs.index(StopContainer) < verbs.index(StartContainer)
    beside = chain("first", docker_node("n", code="c", ports=("8081:80",)))
    verbs = [type(step.action) for step in route(desire(beside), held)]
    assert verbs.index(StopContainer) > verbs.index(StartContainer)


def test_what_the_machine_has_is_the_bound_unless_another_is_given() -> None:
    assert memory_bytes({"RECONCILE_MEMORY_MB": "100"}) == 100 * MIB
    assert memory_bytes({"RECONCILE_MEMORY_MB": "0"}) == 0
    assert memory_bytes({}) > 100 * MIB
    with pytest.raises(ValueError, match="RECONCILE_MEMORY_MB is 'much'"):
        memory_bytes({"RECONCILE_MEMORY_MB": "much"})
    assert BARE.site.memory_bytes == 0
