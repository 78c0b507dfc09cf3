"""Shared memory of a pipeline's own: a tiny container holds it, and the pipeline's nodes join it (ADR 0011).

Rule: the memory lives as long as the sandbox runs, and goes with it. A node that joined another one than runs now is
made anew; one that joined an earlier run of it is restarted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.contract import labels, names
from reconciler.model import action
from reconciler.model.action import Step
from reconciler.model.instance import ContainerSpec
from reconciler.model.manifest import Limits
from reconciler.plan import drift
from reconciler.plan.canonical import digest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reconciler.model.instance import EnvImage
    from reconciler.model.manifest import Pipeline
    from reconciler.model.observed import Container, Site
    from reconciler.plan.facts import Facts
    from reconciler.plan.sharing import Wanted

PIDS = 8
COMMAND = ("sleep", "infinity")


def sandbox_hash(pipeline: Pipeline, *, user: str) -> str:
    """Return the identity of a pipeline's own memory. What image holds it is not in it: nothing runs there."""
    size = pipeline.shared_memory.size_bytes
    return digest("sandbox", {"pipeline": pipeline.name, "size": size, "user": user})


def sandbox_spec(pipeline: Pipeline, *, image: EnvImage, reference: str, site: Site, user: str) -> ContainerSpec:
    """Return the container that holds a pipeline's memory; any image will do, so it is that of the first node."""
    hashed = sandbox_hash(pipeline, user=user)
    marks = {
        labels.INSTANCE: site.instance,
        labels.KIND: labels.KIND_SANDBOX,
        labels.NODE_HASH: hashed,
        labels.ENV_HASH: image.env_hash,
        labels.PIPELINE: pipeline.name,
        labels.VERSION: site.version,
    }
    return ContainerSpec(
        name=names.instance_name(site.instance, hashed),
        image=reference,
        labels=tuple(sorted(marks.items())),
        environment=(),
        mounts=(),
        network="none",
        user=user,
        limits=Limits(pids=PIDS),
        command=COMMAND,
        ipc="shareable",
        shm_bytes=pipeline.shared_memory.size_bytes,
    )


def rollout(wanted: Wanted, facts: Facts) -> Iterator[Step]:
    """Yield the steps towards the sandboxes that are wanted, in the order of their names."""
    for name, spec in sorted(wanted.sandboxes.items()):
        found = facts.sandboxes.get(name)
        if found is None:
            built = dict(spec.labels)[labels.ENV_HASH] in facts.images_by_env
            yield from [Step(action.CreateContainer(spec), drift.CONTAINER_MISSING)] if built else []
        elif found.state == "created":
            yield Step(action.StartContainer(name, found.id), drift.NEVER_STARTED)
        elif found.state == "exited":
            yield Step(action.StartContainer(name, found.id), drift.ended(found.exit_code))
        elif found.state == "paused":
            yield Step(action.UnpauseContainer(name, found.id), drift.PAUSED)


def is_there(name: str, facts: Facts) -> bool:
    """Whether a sandbox runs, so that nodes can join it; there is nothing to join without one."""
    found = facts.sandboxes.get(name)
    return not name or (found is not None and found.state == "running")


def is_stray(container: Container, sandbox: str, facts: Facts) -> bool:
    """Whether a node's container has not the memory that it shall have."""
    if not sandbox:
        return False
    return (
        not is_there(sandbox, facts) or has_other(container, sandbox, facts) or has_earlier(container, sandbox, facts)
    )


def has_other(container: Container, sandbox: str, facts: Facts) -> bool:
    """Whether a node's container joined a sandbox that is not the one it shall join."""
    found = facts.sandboxes.get(sandbox)
    return found is not None and container.sandbox != found.id


def has_earlier(container: Container, sandbox: str, facts: Facts) -> bool:
    """Whether a node's container still has the memory of an earlier run of its sandbox."""
    found = facts.sandboxes.get(sandbox)
    memories = (container.memory, found.memory if found is not None else 0)
    return container.state == "running" and all(memories) and memories[0] != memories[1]
