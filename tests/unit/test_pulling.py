"""When a base image is pulled (FR-016): what `pullPolicy` says, and no more often."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from reconciler.model.action import PullImage
from reconciler.model.memory import Memory, Outcome, begin, remember
from reconciler.plan.foresee import route
from reconciler.plan.plan import plan
from reconciler.plan.rollout import PULL_AGAIN_S
from tests.support.worlds import BARE, chain, desire, docker_node, rest

if TYPE_CHECKING:
    from reconciler.model.desired import Desired
    from reconciler.model.observed import Observed

BASE = "python:3.11-slim"


def wanted(policy: str, **more: object) -> Desired:
    return desire(chain("echo", docker_node("echo", pull_policy=policy, **more)))


def pulls(desired: Desired, observed: Observed, memory: Memory | None = None, *, now_s: float = 0.0) -> list[str]:
    found = plan(desired, observed, memory, now_s=now_s)
    return [step.action.reference for step in found.steps if isinstance(step.action, PullImage)]


@pytest.mark.parametrize(("policy", "there", "absent"), [("Always", 1, 1), ("IfNotPresent", 0, 1), ("Never", 0, 0)])
def test_the_policy_decides(policy: str, there: int, absent: int) -> None:
    desired = wanted(policy)
    assert len(pulls(desired, BARE)) == there
    assert len(pulls(desired, replace(BARE, images=()))) == absent


def test_never_says_what_is_missing() -> None:
    found = plan(wanted("Never"), replace(BARE, images=()))
    condition = next(s for s in found.statuses if s.kind == "Node").condition("ImageReady")
    assert condition is not None
    assert condition.reason == "BaseImageMissing"
    assert condition.message == (
        f"base image {BASE} is not on the engine, and pullPolicy is Never: build, load or pull it there"
    )


def test_a_tag_that_may_move_is_pulled_again_in_time_and_not_before() -> None:
    desired = wanted("Always")
    world = rest(wanted("IfNotPresent"))  # the same world: the policy is in no hash
    (step,) = (step for step in plan(desired, world).steps if isinstance(step.action, PullImage))
    assert step.cause == "its tag may have moved, and pullPolicy is Always"
    memory = remember(begin(Memory(), step), step, Outcome(), now_s=100.0)
    assert pulls(desired, world, memory, now_s=100.0 + PULL_AGAIN_S - 1) == []
    assert plan(desired, world, memory, now_s=100.0).requeue_s == PULL_AGAIN_S
    assert pulls(desired, world, memory, now_s=100.0 + PULL_AGAIN_S) == [BASE]
    failed = remember(begin(memory, step), step, Outcome("PullFailed", "no"), now_s=800.0)
    assert pulls(desired, world, failed, now_s=800.1) == [], "it waits after a failure"
    assert plan(desired, world, failed, now_s=800.1).statuses == plan(desired, world, memory, now_s=100.0).statuses


def test_a_digest_does_not_move() -> None:
    reference = f"{BASE}@sha256:{'0' * 64}"
    images = tuple(replace(image, tags=(*image.tags, reference)) for image in BARE.images if BASE in image.tags)
    assert pulls(wanted("Always", base_image=reference), replace(BARE, images=images)) == []


def test_what_would_be_done_is_told_with_the_pull_once() -> None:
    desired = wanted("Always")
    taken = [step for step in route(desired, BARE) if isinstance(step.action, PullImage)]
    assert len(taken) == 1


@pytest.mark.parametrize("policy", ["Never", "IfNotPresent"])
def test_an_environment_of_another_base_is_none_of_one_that_is_absent(policy: str) -> None:
    """A typing error in `baseImage` is told, or pulled; the same packages on the standard image are something else."""
    standard = rest(wanted("IfNotPresent"))
    elsewhere = wanted(policy, base_image="cuda:12")
    assert pulls(elsewhere, standard) == (["cuda:12"] if policy == "IfNotPresent" else [])
    image = next(s for s in plan(elsewhere, standard).statuses if s.kind == "Node").condition("ImageReady")
    assert image is not None
    assert image.reason == ("Pulling" if policy == "IfNotPresent" else "BaseImageMissing")
