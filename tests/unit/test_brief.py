"""Brief passes: a session opens on the last whole look, where that still counts, and a whole one follows."""

from __future__ import annotations

import pytest

from reconciler.controller.loop import FOLLOW_LATEST_S, FOLLOW_S, Loop
from reconciler.model.action import RemoveEndpoints, WriteAssignments, WriteEndpoints
from tests.support.model_world import Model, is_ready
from tests.support.worlds import chain, desire, docker_node


def _at_rest() -> tuple[Model, Loop]:
    """Return a loop that has nothing to do, with one pipeline up."""
    model = Model(desire(chain("p", docker_node("n"))))
    loop = Loop(model.world(), say=lambda _: None)
    assert loop.run_until(is_ready, timeout_s=10)
    loop.turn()
    model.looks = 0
    model.written.clear()
    return model, loop


def test_a_session_opens_on_the_last_look_and_a_whole_one_follows() -> None:
    model, loop = _at_rest()
    model.desired = desire(chain("p", docker_node("n")), leases=(("one", "p"),))
    loop.wake(brief=True)
    assert loop.turn() <= FOLLOW_S
    assert [type(action) for action in model.written] == [WriteAssignments, WriteEndpoints]
    assert {found.session: found.ready for found in model.observed.endpoints} == {"one": False, "p": True}
    loop.wake(brief=True)  # as when the node says that it is ready
    assert loop.turn() <= FOLLOW_S
    loop.close()
    assert {found.session: found.ready for found in model.observed.endpoints} == {"one": True, "p": True}
    assert model.looks == 0
    loop.turn()
    assert model.looks == 1


@pytest.mark.parametrize("what", ["something else was told of", "there is more to do", "the last look failed"])
def test_a_look_of_before_is_not_enough_where(what: str) -> None:
    model, loop = _at_rest()
    model.desired = desire(chain("p", docker_node("n")), leases=(("one", "p"),))
    if what == "something else was told of":
        loop.wake()
    elif what == "there is more to do":
        model.desired = desire(chain("p", docker_node("n")), chain("q", docker_node("n", env=(("A", "b"),))))
    else:
        model.away = 1
        loop.turn()
        model.looks = 0
    loop.wake(brief=True)
    loop.turn()
    loop.close()
    assert model.looks == 1


def test_a_session_that_ends_is_not_taken_away_on_a_look_of_before() -> None:
    model, loop = _at_rest()
    model.desired = desire(chain("p", docker_node("n")), leases=(("one", "p"),))
    assert loop.run_until(is_ready, timeout_s=10)
    loop.turn()
    model.written.clear()
    model.desired = desire(chain("p", docker_node("n")))
    loop.wake(brief=True)
    loop.turn()
    assert not any(isinstance(action, RemoveEndpoints) for action in model.written)
    assert loop.run_until(lambda made: made.is_rest, timeout_s=10)
    loop.close()
    assert any(isinstance(action, RemoveEndpoints) for action in model.written)


def test_sessions_that_open_again_and_again_do_not_keep_the_loop_from_looking() -> None:
    model, loop = _at_rest()
    now_s = [0.0]
    loop._clock = lambda: now_s[0]
    loop.wake()
    loop.turn()
    model.looks = 0
    while now_s[0] <= FOLLOW_LATEST_S:
        loop.wake(brief=True)
        loop.turn()
        assert model.looks == 0
        now_s[0] += FOLLOW_S / 2
    loop.wake(brief=True)
    loop.turn()
    loop.close()
    assert model.looks == 1
