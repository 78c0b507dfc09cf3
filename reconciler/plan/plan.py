"""The planner: desired state, observed state, memory and time in; steps, conditions and a time to look again out."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from reconciler.contract.values import dataclass
from reconciler.model.action import RemoveImage, Step, WriteAssignments, WriteEndpoints
from reconciler.model.memory import Memory
from reconciler.plan import conditions, outlook, prune, room
from reconciler.plan.assignment import place
from reconciler.plan.facts import index
from reconciler.plan.image import environments
from reconciler.plan.patience import Patience
from reconciler.plan.rollout import PULL_AGAIN_S, rollout
from reconciler.plan.sharing import derive

if TYPE_CHECKING:
    from collections.abc import Iterable

    from reconciler.model.action import Action
    from reconciler.model.desired import Desired
    from reconciler.model.observed import Observed
    from reconciler.model.status import ObjectStatus
    from reconciler.plan.facts import Facts


TRANSITION_S = 1.0
"""When to look again while an instance runs and its runtime does not (it starts, or it dies and nobody told), and while
a session moves."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do now, how things are, and when to look again (seconds from now; None means when something happens).

    `blocked` are steps that wait for backoff, and `hopeless` the objects of those that have failed often enough;
    `waiting` are sessions that wait for a new version of their nodes, `refused` instances for which the host has no
    room, `coming` pipelines that may get on without a step of ours and without a person.
    """

    steps: tuple[Step, ...]
    statuses: tuple[ObjectStatus, ...]
    requeue_s: float | None = None
    blocked: tuple[Step, ...] = ()
    waiting: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    hopeless: tuple[str, ...] = ()
    coming: tuple[str, ...] = ()
    ages_in_s: float | None = None
    """In how many seconds an image that nobody uses gets old, so that it may have to go; None: none does."""

    @property
    def is_stuck(self) -> bool:
        """Whether it will not help to wait, where something is not as it is to be."""
        makes_room = self.refused and self.requeue_s is not None  # something is to go, and may take its limits along
        return not (self.steps or self.coming or makes_room) and len(self.hopeless) == len(self.blocked)


def plan(desired: Desired, observed: Observed, memory: Memory | None = None, *, now_s: float = 0.0) -> Plan:
    """Return at most one enabled step for each object, each with its cause."""
    memory = memory or Memory()
    facts = index(observed, memory.stopped)
    wanted = derive(desired, facts, memory, now_s=now_s)
    wanted.refused = room.refused(wanted, facts)
    placement = place(wanted, facts)
    keep = set(wanted.instances) | placement.held
    sessions = {session.name for session in desired.sessions}
    patience = Patience(memory, wanted, now_s=now_s)
    view = conditions.View(desired, facts, wanted, placement, memory, patience)
    pruned = prune.prune(facts, keep=keep, sessions=sessions, complete=desired.complete, at_once=desired.at_once)
    pruned += prune.renew_strayed(wanted.instances, facts)
    if desired.complete:
        pruned += prune.prune_sandboxes(facts, wanted=wanted.sandboxes)
    pruned += prune.restart_silent(wanted.instances, facts, memory.silent_since_s, now_s=now_s)
    wished = {instance.image.env_hash for instance in wanted.instances.values() if instance.image}
    building = any(busy.startswith("image/") for busy in memory.in_flight)
    pruned += prune.prune_builds(facts, building=building, wished=wished if desired.complete else None)
    if desired.complete:
        copying = any(busy.startswith("source/") for busy in memory.in_flight)
        pruned += prune.prune_sources(facts, wanted=wanted.instances, pipelines=desired.pipelines, copying=copying)
        asked = partial(environments, desired, facts)
        pruned += prune.prune_images(facts, wished=asked, cache=desired.images, used_s=memory.image_used_s, now_s=now_s)
    pulled_s = {base: memory.pulled_s[base] for base in wanted.moving if base in memory.pulled_s}
    pull_in_s = {base: at_s + PULL_AGAIN_S - now_s for base, at_s in pulled_s.items()}
    due = {base for base in wanted.moving if pull_in_s.get(base, 0) <= 0}
    found = [*pruned, *rollout(wanted, placement, facts, due=due), *conditions.endpoint_steps(view)]
    steps, blocked = patience.sift(_first_of_each(found, memory))
    # An image that the engine won't give up is another instance's business: nothing waits for it to go.
    blocked = [step for step in blocked if not isinstance(step.action, RemoveImage)]
    waits = [
        *(left_s for base, left_s in pull_in_s.items() if base not in due),
        patience.wait_s,
        None if wanted.linger_until_s is None else wanted.linger_until_s - now_s,
        TRANSITION_S if any(facts.runs(name) and not facts.up(name) for name in keep) else None,
        TRANSITION_S if placement.moving else None,
    ]
    requeue_s = min((wait_s for wait_s in waits if wait_s is not None), default=None)
    statuses = conditions.statuses(view)
    hopeless = tuple(step.object for step in blocked if outlook.is_hopeless(memory, step.object))
    return Plan(
        tuple(steps),
        statuses,
        requeue_s,
        tuple(blocked),
        tuple(sorted(placement.waiting)),
        tuple(sorted(wanted.refused)),
        hopeless,
        outlook.coming(statuses, wanted=wanted, placement=placement, facts=facts, hopeless=hopeless),
        prune.ages_in_s(facts, cache=desired.images, used_s=memory.image_used_s, now_s=now_s),
    )


def plan_sessions(desired: Desired, observed: Observed, memory: Memory, *, now_s: float) -> tuple[Step, ...] | None:
    """Return the steps for sessions that open where all is well: assignments to instances that are up, and endpoints.

    None where the plan has more than that, or may have; what it takes away and how all is are left to it.
    """
    facts = index(observed, memory.stopped)
    wanted = derive(desired, facts, memory, now_s=now_s)
    wanted.refused = room.refused(wanted, facts)
    placement = place(wanted, facts)
    patience = Patience(memory, wanted, now_s=now_s)
    view = conditions.View(desired, facts, wanted, placement, memory, patience)
    found = [*rollout(wanted, placement, facts, due=set()), *conditions.endpoint_steps(view)]
    steps, _ = patience.sift(_first_of_each(found, memory))
    return tuple(steps) if all(_is_of_a_session(step.action, facts) for step in steps) else None


def _is_of_a_session(wanted: Action, facts: Facts) -> bool:
    match wanted:
        case WriteEndpoints():
            return True
        case WriteAssignments(document=document):
            return facts.up(document.name)
        case _:
            return False


def _first_of_each(steps: Iterable[Step], memory: Memory) -> list[Step]:
    """Keep the first step for every object that has none under way."""
    chosen: dict[str, Step] = {}
    for step in steps:
        if step.object not in memory.in_flight:
            chosen.setdefault(step.object, step)
    return list(chosen.values())
