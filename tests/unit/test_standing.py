"""A plan is kept for as long as it is the one that would be made."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from reconciler.controller.standing import Standing
from reconciler.model.memory import Failure, Memory, see_images, see_sessions
from reconciler.model.observed import Image
from reconciler.plan.plan import plan
from tests.support.worlds import chain, desire, docker_node, rest

if TYPE_CHECKING:
    from collections.abc import Callable

    from reconciler.model.desired import Desired
    from reconciler.model.observed import Observed

    World = tuple[Desired, Observed, Memory]

DESIRED = desire(chain("echo", docker_node("echo")))
OBSERVED = rest(DESIRED)
LEFT = Image("sha256:left", instance="test", env_hash="left")


def _seen(desired: Desired, observed: Observed, memory: Memory, now_s: float) -> World:
    memory = see_images(see_sessions(memory, desired, now_s=now_s), observed, now_s=now_s)
    return desired, observed, memory


def test_it_stands_while_nothing_changes() -> None:
    standing = Standing()
    first = standing.plan(*_seen(DESIRED, OBSERVED, Memory(), 1.0), now_s=1.0)
    assert not first.steps
    assert standing.plan(*_seen(DESIRED, replace(OBSERVED), Memory(), 5_000.0), now_s=5_000.0) is first


@pytest.mark.parametrize(
    "change",
    [
        lambda _, observed, memory: (desire(chain("other", docker_node("echo"))), observed, memory),
        lambda desired, observed, memory: (desired, replace(observed, containers=()), memory),
        lambda desired, observed, memory: (
            desired,
            observed,
            replace(memory, failures={"image/x": Failure(1, 1.0, "no", "no")}),
        ),
    ],
    ids=["desired", "observed", "memory"],
)
def test_it_does_not_when_anything_does(change: Callable[[Desired, Observed, Memory], World]) -> None:
    standing = Standing()
    before = _seen(DESIRED, OBSERVED, Memory(), 1.0)
    first = standing.plan(*before, now_s=1.0)
    changed = change(*before)
    found = standing.plan(*changed, now_s=2.0)
    assert found is not first
    assert found == plan(*changed, now_s=2.0)


def test_what_has_steps_is_planned_anew() -> None:
    standing = Standing()
    bare = replace(OBSERVED, containers=())
    first = standing.plan(DESIRED, bare, Memory(), now_s=1.0)
    assert first.steps
    assert standing.plan(DESIRED, bare, Memory(), now_s=1.0) is not first


def test_it_stands_until_an_image_that_nobody_uses_is_old() -> None:
    """Nothing else tells that it may have to go now."""
    cache = replace(DESIRED.images, max_count=0, min_age_s=100.0)
    desired = replace(DESIRED, images=cache)
    observed = replace(OBSERVED, images=(*OBSERVED.images, LEFT))
    standing, memory = Standing(), Memory()
    found = []
    for now_s in (1.0, 100.0, 101.5):
        world = _seen(desired, observed, memory, now_s)
        memory = world[2]
        found.append(standing.plan(*world, now_s=now_s))
    assert found[0] is found[1]
    assert [len(each.steps) for each in found] == [0, 0, 1]
