"""A convergence that is to end makes few passes while much is under way, and loses no time where little is."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from reconciler.controller import pace as pace_module
from reconciler.controller.glance import Glance
from reconciler.controller.loop import NEWS_MOST_S, NEWS_S, Loop, World
from reconciler.controller.pace import FEW, GATHER_MOST_S, GATHER_S, QUIET_EACH_S, QUIET_S, Pace
from reconciler.controller.queue import WORKERS
from reconciler.model.action import CreateContainer, StartContainer
from reconciler.model.errors import ShmError
from reconciler.plan.foresee import after, settle
from tests.support.worlds import BARE, chain, desire, docker_node

if TYPE_CHECKING:
    from pathlib import Path

    from reconciler.controller.loop import Pass
    from reconciler.model.action import Action
    from reconciler.model.observed import Observed

MANY = 10


def test_ends_gather_longer_with_each_pass_in_vain_while_much_is_under_way() -> None:
    pace = Pace()
    pace.passed(added=True, awaited=MANY, took_s=0)
    found = [pace.most_s(FEW + 1)]
    for _ in range(4):
        pace.passed(added=False, awaited=MANY, took_s=0)
        found.append(pace.most_s(FEW + 1))
    assert found == [GATHER_S, 2 * GATHER_S, GATHER_MOST_S, GATHER_MOST_S, GATHER_MOST_S]
    pace.passed(added=True, awaited=MANY, took_s=0)
    assert pace.most_s(FEW + 1) == GATHER_S


def test_where_calls_wait_for_workers_passes_are_a_second_apart() -> None:
    """What a pass adds then has to wait behind them."""
    pace = Pace()
    pace.passed(added=True, awaited=MANY, took_s=0)
    assert pace.most_s(pace_module.MANY + 1) == pace_module.MANY_S > GATHER_MOST_S
    assert pace.most_s(pace_module.MANY) == GATHER_S
    assert Pace.poll_s(pace_module.MANY + 1, told=True) == pace_module.MANY_S
    assert WORKERS < pace_module.MANY


def test_a_short_silence_is_enough_where_little_is_under_way() -> None:
    assert Pace().quiet_s(FEW) == QUIET_S < GATHER_S
    assert Pace().quiet_s(FEW + 1) == GATHER_MOST_S


def test_a_silence_is_as_short_as_the_nodes_are_few_that_have_still_to_give_word() -> None:
    """Twenty that start rarely pause; for one, waiting would take longer than the pass."""
    pace, found = Pace(), []
    for awaited in (0, 1, MANY, 2 * MANY):
        pace.passed(added=False, awaited=awaited, took_s=0)
        found.append(pace.quiet_s(FEW))
    assert found == [0, QUIET_EACH_S, QUIET_S, QUIET_S]
    for took_s in (QUIET_S / 2, 2 * QUIET_S):
        pace.passed(added=False, awaited=1, took_s=took_s)
        assert pace.quiet_s(FEW) == min(took_s, QUIET_S)
    assert pace.quiet_s(FEW + 1) == GATHER_MOST_S


def test_news_are_asked_for_by_what_asking_costs(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundred statuses take milliseconds, and those who write them want the same cores."""
    loop = Loop(World(lambda: BARE, lambda: BARE, lambda _: None), say=lambda _: None)  # type: ignore[arg-type, return-value]
    for took_s, expected_s in ((0.0, NEWS_S), (0.004, 0.08), (1.0, NEWS_MOST_S)):
        times = iter([0.0, took_s])
        monkeypatch.setattr("reconciler.controller.loop.time.thread_time", lambda times=times: next(times))
        assert loop._has(lambda: True)
        assert loop._news_s == pytest.approx(expected_s)


def test_who_is_told_of_what_happens_asks_less_often() -> None:
    polls_s = [Pace.poll_s(0, told=False), Pace.poll_s(0, told=True), Pace.poll_s(FEW + 1, told=True)]
    assert polls_s == sorted(set(polls_s))
    assert Pace.poll_s(1, told=False) == Pace.poll_s(0, told=True)


class Slow:
    """A world whose engine lets calls go in rows, as one does that starts many containers at once."""

    def __init__(self) -> None:
        nodes = [docker_node(f"n{number}", env=(("NUMBER", str(number)),)) for number in range(MANY)]
        self.desired = desire(chain("p", *nodes))
        self.observed: Observed = BARE
        self.looks = 0
        self.news = 0
        self._lock = threading.Lock()
        self._together = threading.Barrier(MANY)

    def look(self) -> Observed:
        with self._lock:
            self.looks += 1
            self.observed = settle(self.observed)
            return self.observed

    def act(self, action: Action) -> None:
        if isinstance(action, CreateContainer | StartContainer):
            self._together.wait(10)
        with self._lock:
            self.observed = after(self.observed, action)


def _is_ready(made: Pass) -> bool:
    return made.is_rest and all(status.is_true("Ready") for status in made.statuses if status.kind == "Pipeline")


def test_calls_that_end_together_cause_few_passes() -> None:
    """One for files, image, creation, start and what the nodes say then: not one for each of the many that end."""
    world = Slow()
    loop = Loop(World(lambda: world.desired, world.look, world.act), say=lambda _: None)
    assert loop.run_until(_is_ready, timeout_s=60)
    loop.close()
    assert world.looks < MANY


def test_news_are_a_reason_for_a_pass() -> None:
    world = Slow()
    world.desired = desire()
    asked = []

    def news() -> bool:
        asked.append(1)
        return len(asked) == 2

    loop = Loop(World(lambda: world.desired, world.look, world.act), say=lambda _: None)
    assert loop.run_until(lambda _: world.looks == 2, timeout_s=60, news=news)
    loop.close()
    assert len(asked) <= 3 + QUIET_S / NEWS_S


def test_a_convergence_that_gathers_can_be_stopped() -> None:
    world = Slow()
    loop = Loop(World(lambda: world.desired, world.look, world.act), say=lambda _: None)

    def news() -> bool:
        if world.looks:
            loop.stop()
        return True

    assert not loop.run_until(lambda _: False, timeout_s=60, news=news)
    assert world.looks <= 2
    loop.close()


def test_a_glance_tells_of_statuses_that_are_new_or_another(tmp_path: Path) -> None:
    glance = Glance(tmp_path / "nodes")
    assert not glance()
    node = tmp_path / "nodes" / "rc-a"
    node.mkdir(parents=True)
    assert not glance()
    (node / "status.json").write_text("{}")
    assert glance()
    assert not glance()
    (node / ".status").write_text("{}")
    (node / ".status").replace(node / "status.json")
    assert glance()
    (node / "status.json").unlink()
    assert not glance()


def test_a_convergence_has_glimpses_and_ends_with_a_whole_look() -> None:
    world = Slow()
    ways: list[str] = []

    def look() -> Observed:
        ways.append("look")
        return world.look()

    def glimpse() -> tuple[Observed, bool]:
        ways.append("glimpse")
        return world.look(), False

    loop = Loop(World(lambda: world.desired, look, world.act, glimpse=glimpse), say=lambda _: None)
    assert loop.run_until(_is_ready, timeout_s=60)
    loop.turn()
    loop.close()
    assert (ways[0], ways[-2:]) == ("look", ["look", "look"])
    assert set(ways[1:-2]) == {"glimpse"}
    assert len(ways) > 4


@pytest.mark.parametrize("sure", [True, False])
def test_a_controller_at_rest_has_a_glimpse_first_and_a_whole_look_where_it_left_something_out(*, sure: bool) -> None:
    """Who died takes a while to find out, and conditions need not wait for that."""
    world = Slow()
    world.desired = desire()
    ways: list[str] = []

    def seen(way: str) -> Observed:
        ways.append(way)
        if len(ways) == 1:
            loop.wake()
        elif way == "look" or sure:
            loop.stop()
        return world.look()

    glimpse = lambda: (seen("glimpse"), sure)  # noqa: E731 - one of two alike
    loop = Loop(World(lambda: world.desired, lambda: seen("look"), world.act, glimpse=glimpse), say=lambda _: None)
    loop.run()
    loop.close()
    assert ways == (["look", "glimpse"] if sure else ["look", "glimpse", "look"])


def test_a_look_that_fails_again_and_again_is_said_once_though_glimpses_see() -> None:
    world = Slow()
    world.desired = desire()
    looks, said = [0], []

    def look() -> Observed:
        looks[0] += 1
        if looks[0] > 1:
            msg = "can't look at shared memory"
            raise ShmError(msg)
        return world.look()

    loop = Loop(World(lambda: world.desired, look, world.act, glimpse=lambda: (world.look(), False)), say=said.append)
    loop.turn()
    for _ in range(3):
        loop._turn_after_rest()
    loop.close()
    assert looks[0] == 4
    assert [event.message for event in said] == ["can't look at shared memory"]
