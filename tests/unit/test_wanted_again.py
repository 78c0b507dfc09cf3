"""What was stopped because nobody wanted it and is wanted again before it is gone: it is started, and is no crash."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from reconciler.model.action import StartContainer, StartProcess, StopContainer, StopProcess
from reconciler.model.manifest import Restart
from reconciler.model.memory import Memory, Outcome, Starts, begin, forget, remember
from reconciler.model.observed import ProcessEnd
from reconciler.plan.foresee import after
from reconciler.plan.plan import plan
from tests.support.worlds import chain, desire, docker_node, host_node, rest

if TYPE_CHECKING:
    from reconciler.model.action import Step
    from reconciler.model.desired import Desired
    from reconciler.model.manifest import RestartPolicy
    from reconciler.model.observed import Observed

POLICIES: tuple[RestartPolicy, ...] = ("Always", "OnFailure", "Never")
OFTEN = 9
"""Starts in a row after which one that has crashed waits for most of a minute."""


class Scene:
    """A session has left, its node is told to end, and another session comes before the node is gone."""

    def __init__(self, policy: RestartPolicy = "Always", *, container: bool = True) -> None:
        node = docker_node("echo") if container else host_node("echo", code="h")
        pipeline = chain("echo", replace(node, restart=Restart(policy)), activation="OnDemand")
        self.idle: Desired = desire(pipeline)
        self.wanted: Desired = desire(pipeline, leases=(("one", "echo"),))
        self.before: Observed = rest(self.wanted)
        steps = plan(self.idle, self.before).steps
        self.stop: Step = next(s for s in steps if isinstance(s.action, StopContainer | StopProcess))
        self.memory = Memory(starts={self.stop.object: Starts(OFTEN, 99.0, OFTEN)})

    @property
    def ended(self) -> Observed:
        """The world after the node has ended, as it is told to: with exit code 0."""
        world, stopped = after(self.before, self.stop.action), self.stop.action
        world = replace(world, node_files=tuple(replace(files, alive=False) for files in world.node_files))
        if isinstance(stopped, StopProcess):
            return replace(world, process_ends=(ProcessEnd(stopped.name, stopped.pid, 0),))
        return replace(world, containers=tuple(replace(found, exit_code=0) for found in world.containers))

    def told(self, memory: Memory) -> dict[str, str]:
        """Return the reasons of all conditions that are not as they are to be."""
        statuses = plan(self.wanted, self.ended, memory, now_s=100.0).statuses
        good = {"Degraded": "False"}
        return {
            f"{status.kind} {found.type}": found.reason
            for status in statuses
            for found in status.conditions
            if found.status != good.get(found.type, "True")
        }


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("container", [True, False], ids=["container", "process"])
def test_it_is_started_at_once_whatever_its_restart_policy(policy: RestartPolicy, *, container: bool) -> None:
    scene = Scene(policy, container=container)
    memory = remember(begin(scene.memory, scene.stop), scene.stop, Outcome(), now_s=100.0)
    memory = forget(memory, scene.ended, now_s=100.0)
    found = plan(scene.wanted, scene.ended, memory, now_s=100.0)
    starts = [step for step in found.steps if isinstance(step.action, StartContainer | StartProcess)]
    assert [step.object for step in starts] == [scene.stop.object], found.blocked
    assert "ended" not in starts[0].cause
    assert set(scene.told(memory).values()) == {"Starting"}


@pytest.mark.parametrize("policy", POLICIES)
def test_while_it_is_being_stopped_it_is_told_as_what_starts(policy: RestartPolicy) -> None:
    """The look may see that it has ended before the call has returned."""
    scene = Scene(policy)
    assert set(scene.told(begin(scene.memory, scene.stop)).values()) == {"Starting"}


def test_what_ends_by_itself_is_a_crash_all_the_same() -> None:
    """Without our doing, where our call failed, and in its next life."""
    scene = Scene()
    asked = begin(scene.memory, scene.stop)
    refused = remember(asked, scene.stop, Outcome("EngineError", "no"), now_s=100.0)
    stopped = remember(asked, scene.stop, Outcome(), now_s=100.0)
    (start,) = (s for s in plan(scene.wanted, scene.ended, stopped, now_s=100.0).steps if s.object == scene.stop.object)
    again = remember(begin(stopped, start), start, Outcome(), now_s=101.0)
    for memory in (scene.memory, refused, again):
        assert set(scene.told(memory).values()) <= {"CrashLoop", "Restarting"}


def test_what_lives_again_without_our_knowledge_crashes_when_it_ends() -> None:
    """The engine started it although its answer was lost, or somebody else did: its end is not that of our stop."""
    scene = Scene()
    asked = begin(scene.memory, scene.stop)
    stopped = remember(asked, scene.stop, Outcome(), now_s=100.0)
    lives = forget(stopped, scene.before, now_s=101.0)
    assert set(scene.told(lives).values()) <= {"CrashLoop", "Restarting"}
    for memory, world, in_flight in (
        (asked, scene.before, asked.in_flight),
        (stopped, scene.before, asked.in_flight),  # the call returned after the look had begun
        (stopped, replace(scene.before, node_files=scene.ended.node_files), stopped.in_flight),  # the list lags behind
    ):
        assert set(scene.told(forget(memory, world, now_s=101.0, in_flight=in_flight)).values()) == {"Starting"}


def test_what_gave_no_sign_of_life_is_not_forgiven() -> None:
    scene = Scene(container=False)
    silent = replace(scene.memory, silent_since_s={scene.stop.object.split("/")[1]: 10.0})
    assert begin(silent, scene.stop).starts == silent.starts


def test_what_is_gone_is_forgotten() -> None:
    scene = Scene()
    memory = remember(begin(scene.memory, scene.stop), scene.stop, Outcome(), now_s=100.0)
    assert forget(memory, scene.ended, now_s=100.0).stopped
    gone = replace(scene.ended, containers=(), node_files=())
    assert not forget(memory, gone, now_s=100.0).stopped
