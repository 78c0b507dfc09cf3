"""What may still come by itself, and what can't before a person acts: `--once` waits for the one and not for the other.

Rule: a condition that does not hold is either on its way, held up by a step that is tried again, or there to stay.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.contract import files

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from reconciler.model.memory import Memory
    from reconciler.model.status import Condition, ObjectStatus
    from reconciler.plan.assignment import Placement
    from reconciler.plan.facts import Facts
    from reconciler.plan.sharing import NodeInstance, Wanted

GIVE_UP_AFTER = 5
"""Failures in a row after which it is not worth waiting any more; with backoff some fifteen seconds of them."""

ON_ITS_WAY = {"Starting", "Initializing", "Building", "Pulling"}
"""Reasons of conditions that do not hold yet, and will without anybody's doing."""


def is_hopeless(memory: Memory, name: str) -> bool:
    """Whether a step that waits has failed for good or often enough, or what it starts has ended as often."""
    failure, starts = memory.failures.get(name), memory.starts.get(name)
    if failure is not None and (not failure.retryable or failure.count >= GIVE_UP_AFTER):
        return True
    return starts is not None and starts.count >= GIVE_UP_AFTER


def ingredients(instance: NodeInstance) -> tuple[str, ...]:
    """Return the objects that an instance can't run without, itself first."""
    own = (f"{kind}/{instance.name}" for kind in ("container", "process", "assignments"))
    return (*own, f"container/{instance.sandbox}", f"source/{instance.source.digest[:12]}")


def coming(
    statuses: Collection[ObjectStatus],
    *,
    wanted: Wanted,
    placement: Placement,
    facts: Facts,
    hopeless: Collection[str],
) -> tuple[str, ...]:
    """Return the pipelines of which something is on its way, and nothing that it needs is `hopeless`, by name."""
    brief = {session.name for session, _ in wanted.sessions if session.kind == "lease"}
    lasting = [status for status in statuses if status.kind == "Node" or status.name not in brief]
    found = set()
    for pipeline in wanted.active.values():
        broken = [c for status in lasting if status.pipeline == pipeline.name for c in _broken(status)]
        names = {wanted.placed.get((pipeline.name, node.id), "") for node in pipeline.nodes}
        instances = [wanted.instances[name] for name in names if name in wanted.instances]
        held_up = any(key in hopeless for instance in instances for key in ingredients(instance))
        moves = any(asked is pipeline and session.name in placement.waiting for session, asked in wanted.sessions)
        tries = any(_tries_again(instance, pipeline.name, facts) for instance in instances)
        wakes = any(facts.runs(instance.name) and not facts.up(instance.name) for instance in instances)
        on_its_way = any(condition.reason in ON_ITS_WAY for condition in broken) or (moves and not broken)
        if not held_up and (on_its_way or tries or wakes):
            found.add(pipeline.name)
    return tuple(sorted(found))


def _broken(status: ObjectStatus) -> Iterator[Condition]:
    """Yield what does not hold of a node or a session; of a pipeline, all that is said is said of these."""
    if status.kind != "Pipeline":
        yield from (c for c in status.conditions if c.type in {"Ready", "Running", "ImageReady"} and c.status != "True")


def _tries_again(instance: NodeInstance, pipeline: str, facts: Facts) -> bool:
    """Whether a node that raised when it was initialized is to be tried again soon."""
    there = facts.files.get(instance.name)
    status = there.status if there is not None and facts.up(instance.name) else None
    ids = {node for owner, node in instance.owners if owner == pipeline}
    served = [each for each in status.sessions if each.node in ids] if status is not None else []
    return any(each.state == files.FAILED and each.failures < GIVE_UP_AFTER for each in served)
