"""What `--once` waits for, and what it can't wait for: what stays as it is until a person acts ends it at once."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from reconciler.contract import files
from reconciler.model.manifest import Restart
from reconciler.model.memory import Failure, Memory, Starts
from reconciler.model.observed import ProcessEnd
from reconciler.plan.foresee import after
from reconciler.plan.outlook import GIVE_UP_AFTER
from reconciler.plan.plan import plan
from tests.support.worlds import BARE, chain, desire, docker_node, host_node, rest

if TYPE_CHECKING:
    from reconciler.model.desired import Desired
    from reconciler.model.observed import Observed

ABSENT = chain("absent", docker_node("echo", pull_policy="Never", python="3.12"))
ECHO = chain("echo", docker_node("echo"))
HOST = chain("host", host_node("echo", code="h"))


def with_status(world: Observed, **changes: object) -> Observed:
    """Let every node's runtime say something else of its sessions."""
    found = []
    for there in world.node_files:
        assert there.status is not None
        sessions = tuple(replace(each, **changes) for each in there.status.sessions)  # type: ignore[arg-type]
        found.append(replace(there, status=replace(there.status, sessions=sessions)))
    return replace(world, node_files=tuple(found))


def told(desired: Desired, world: Observed, memory: Memory | None = None) -> Observed:
    """Do what there is to do, and let no node get on by itself."""
    while steps := plan(desired, world, memory).steps:
        for step in steps:
            world = after(world, step.action)
    return world


def test_an_image_that_can_never_come_is_not_waited_for() -> None:
    desired = desire(ABSENT)
    found = plan(desired, rest(desired))
    assert found.is_stuck
    assert "pullPolicy is Never" in str(found.statuses[0].condition("Ready"))


def test_what_others_are_on_their_way_to_is_waited_for_all_the_same() -> None:
    both = desire(ABSENT, ECHO)
    assert not plan(both, BARE).is_stuck
    world = rest(both)
    loading = tuple(replace(there, status=None) for there in world.node_files)
    assert not plan(both, replace(world, node_files=loading)).is_stuck
    assert not plan(both, with_status(world, state=files.STARTING)).is_stuck
    assert plan(both, world).is_stuck


def test_a_new_version_whose_base_is_absent_leaves_the_old_one_and_is_not_waited_for() -> None:
    world = rest(desire(ECHO))
    edited = replace(ECHO, nodes=ABSENT.nodes)
    found = plan(desire(edited), told(desire(edited), world))
    assert found.is_stuck
    ready, degraded = (found.statuses[0].condition(kind) for kind in ("Ready", "Degraded"))
    assert ready is not None
    assert degraded is not None
    assert (ready.status, degraded.status, degraded.reason) == ("True", "True", "BaseImageMissing")


def test_a_session_that_moves_is_waited_for() -> None:
    world = rest(desire(ECHO))
    edited = desire(chain("echo", docker_node("echo", code="b")))
    assert not plan(edited, world).is_stuck
    assert not plan(edited, rest(edited, world)).is_stuck or not plan(edited, rest(edited, world)).waiting


@pytest.mark.parametrize(("failures", "stuck"), [(1, False), (GIVE_UP_AFTER - 1, False), (GIVE_UP_AFTER, True)])
def test_a_node_that_can_not_be_got_ready_is_given_up_after_some_tries(failures: int, *, stuck: bool) -> None:
    world = with_status(rest(desire(ECHO)), state=files.FAILED, message="ValueError: no model", failures=failures)
    found = plan(desire(ECHO), told(desire(ECHO), world))
    assert found.is_stuck is stuck
    assert "no model" in str(found.statuses[0].condition("Ready"))


def test_a_stream_in_which_a_node_raised_stays_so_until_the_next_one() -> None:
    world = with_status(rest(desire(ECHO)), state=files.ERRING, message="ValueError")
    assert plan(desire(ECHO), told(desire(ECHO), world)).is_stuck


@pytest.mark.parametrize(
    ("count", "retryable", "stuck"), [(1, True, False), (GIVE_UP_AFTER, True, True), (1, False, True)]
)
def test_a_step_that_fails_is_tried_again_where_that_can_help(count: int, *, retryable: bool, stuck: bool) -> None:
    steps = [step for step in plan(desire(ECHO), BARE).steps if step.object.startswith("image/")]
    failure = Failure(count, 0.0, "BuildFailed", "no", retryable, type(steps[0].action).__name__)
    memory = Memory(failures={steps[0].object: failure})
    assert plan(desire(ECHO), told(desire(ECHO), BARE, memory), memory).is_stuck is stuck


def test_a_node_that_starts_again_and_is_not_up_yet_is_waited_for() -> None:
    world = rest(desire(HOST))
    name = world.processes[0].name
    memory = Memory(starts={f"process/{name}": Starts(2, 0.0, 2)})
    loading = replace(world, node_files=tuple(replace(there, status=None) for there in world.node_files))
    assert not plan(desire(HOST), loading, memory).is_stuck


def test_a_node_that_has_ended_for_good_is_not_waited_for() -> None:
    once = desire(replace(HOST, nodes=(replace(HOST.nodes[0], restart=Restart("Never")),)))
    world = rest(once)
    (process,) = world.processes
    ended = replace(world, processes=(), process_ends=(ProcessEnd(process.name, process.pid, 3),))
    found = plan(once, told(once, ended))
    assert found.is_stuck
    assert "exit code 3" in str(found.statuses[0].condition("Ready"))
