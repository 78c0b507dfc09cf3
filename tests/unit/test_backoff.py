"""What ends again and again waits longer each time, up to a bound, until it has been up for ten minutes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reconciler.model.action import StartContainer, StartProcess, Step
from reconciler.model.manifest import Restart
from reconciler.model.memory import HEALTHY_AFTER_S, Memory, Outcome, Starts, begin, forget, remember, see_health
from reconciler.model.observed import Observed, ProcessEnd
from reconciler.plan.plan import plan
from tests.support.worlds import chain, desire, docker_node, host_node, rest

LONGEST_S = 3_600.0
SOON_S = 0.2
KINDS = pytest.mark.parametrize("container", [True, False], ids=["container", "process"])


class Life:
    """A node that is started whenever the plan says so, and ends when a test does."""

    def __init__(self, *, container: bool, longest_s: float = LONGEST_S) -> None:
        node = docker_node("echo") if container else host_node("echo", code="h")
        self.desired = desire(chain("echo", replace(node, restart=Restart("Always", longest_s))))
        self.up = rest(self.desired)
        silent = tuple(replace(files, alive=False) for files in self.up.node_files)
        (name,) = (files.name for files in silent)
        self.object = f"container/{name}" if container else f"process/{name}"
        self.silent: Observed = replace(self.up, node_files=silent)
        self.ended: Observed = replace(
            self.silent,
            containers=tuple(replace(found, state="exited", exit_code=1) for found in self.up.containers),
            processes=(),
            process_ends=tuple(ProcessEnd(found.name, found.pid, 1) for found in self.up.processes),
        )
        self.memory = Memory()
        self.now_s = 0.0

    @property
    def starts(self) -> Starts:
        return self.memory.starts[self.object]

    def look(self, observed: Observed, *, after_s: float) -> None:
        """Let time go by and see what there is, as a pass does."""
        self.now_s += after_s
        seen = see_health(self.memory, observed, now_s=self.now_s, in_flight=self.memory.in_flight)
        self.memory = forget(seen, observed, now_s=self.now_s)

    def wait(self) -> float:
        """Look until the node may be started, start it, and return how long that took."""
        began_s = self.now_s
        while True:
            found = plan(self.desired, self.ended, self.memory, now_s=self.now_s)
            start = next((step for step in found.steps if step.object == self.object), None)
            if start is not None:
                break
            assert found.requeue_s is not None
            self.look(self.ended, after_s=found.requeue_s)
        self.start(start)
        return self.now_s - began_s

    def start(self, step: Step) -> None:
        assert isinstance(step.action, StartContainer | StartProcess)
        self.memory = remember(begin(self.memory, step), step, Outcome(), now_s=self.now_s)

    def crashes(self) -> float:
        """End at once, and return the wait before the next start."""
        self.look(self.ended, after_s=0.1)
        return self.wait()

    def crash_for_long(self) -> None:
        self.wait()
        assert any(self.crashes() > LONGEST_S / 2 for _ in range(24))


@KINDS
def test_waits_grow_up_to_the_bound_and_stay_there(*, container: bool) -> None:
    """No wait is health, however long it is: it would start all over again every half hour."""
    life = Life(container=container)
    assert life.wait() == 0.0
    waits = [life.crashes() for _ in range(24)]
    assert max(waits) <= LONGEST_S
    assert waits[:8] == sorted(waits[:8])
    assert min(waits[16:]) >= LONGEST_S * 0.8 - 0.1
    assert life.starts.total == len(waits) + 1


@KINDS
def test_a_short_bound_is_kept(*, container: bool) -> None:
    life = Life(container=container, longest_s=1.0)
    life.wait()
    waits = [life.crashes() for _ in range(12)]
    assert max(waits) <= 1.0
    assert min(waits[4:]) >= 0.7


@KINDS
@pytest.mark.parametrize("looks", [1, 20])
def test_ten_minutes_up_start_it_over(looks: int, *, container: bool) -> None:
    """However often one has looked meanwhile: the end counts, too."""
    life = Life(container=container)
    life.crash_for_long()
    life.look(life.up, after_s=0.5)
    for _ in range(looks - 1):
        life.look(life.up, after_s=HEALTHY_AFTER_S / looks)
    life.look(life.ended, after_s=HEALTHY_AFTER_S / looks)
    assert life.wait() == 0.0
    assert life.crashes() <= SOON_S


@KINDS
def test_less_than_that_does_not(*, container: bool) -> None:
    life = Life(container=container)
    life.crash_for_long()
    life.look(life.up, after_s=0.5)
    life.look(life.ended, after_s=HEALTHY_AFTER_S - 1)
    assert life.wait() > HEALTHY_AFTER_S


@KINDS
def test_what_gives_no_sign_of_life_is_not_up(*, container: bool) -> None:
    life = Life(container=container)
    life.crash_for_long()
    for _ in range(30):
        life.look(life.silent, after_s=HEALTHY_AFTER_S / 10)
    assert life.starts.count > 1


def test_what_somebody_else_has_started_is_up_from_when_it_was_seen() -> None:
    life = Life(container=True)
    life.crash_for_long()
    count = life.starts.count
    for after_s in (0.1, HEALTHY_AFTER_S):
        life.look(life.ended, after_s=after_s)
    life.look(life.up, after_s=HEALTHY_AFTER_S)
    life.look(life.up, after_s=HEALTHY_AFTER_S - 1)
    assert life.starts.count == count
    life.look(life.up, after_s=1)
    assert life.starts.count == 0


def test_a_look_that_began_before_the_start_ended_says_nothing() -> None:
    life = Life(container=True)
    life.wait()
    before = life.memory
    after = see_health(before, life.ended, now_s=9.0, in_flight=frozenset({life.object}))
    assert after.starts == before.starts


def test_a_host_process_that_waits_is_not_forgotten_and_one_that_is_gone_is() -> None:
    life = Life(container=False)
    life.crash_for_long()
    count = life.starts.count
    for after_s in (0.1, HEALTHY_AFTER_S * 5):
        life.look(life.ended, after_s=after_s)
    assert life.starts.count == count
    life.look(replace(life.ended, node_files=(), process_ends=()), after_s=0.0)
    assert not life.memory.starts
