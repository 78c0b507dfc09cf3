"""What an instance needs next: its image, its source, its files, then the container or process itself.

Rule: at most one step for an object, and only one that its surroundings are ready for; the rest follows in later
passes, on fresh facts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.model import action
from reconciler.model.action import Step
from reconciler.model.instance import ContainerSpec, ProcessSpec
from reconciler.plan import drift, image, ports, sandbox
from reconciler.plan.upkeep import upkeep

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from reconciler.model.observed import Container
    from reconciler.plan.assignment import Placement
    from reconciler.plan.facts import Facts
    from reconciler.plan.sharing import NodeInstance, Wanted


PULL_AGAIN_S = 600.0
"""How long what a tag means is believed where it is to be pulled always."""


def rollout(wanted: Wanted, placement: Placement, facts: Facts, *, due: Iterable[str] = ()) -> Iterator[Step]:
    """Yield the steps towards every wanted instance, in the order of their objects' names. Objects may repeat.

    `due` are base images to be pulled again.
    """
    absent = {missing.reference for missing in wanted.missing.values()}
    for reference in sorted({missing.reference for missing in wanted.missing.values() if missing.pull}):
        yield Step(action.PullImage(reference), drift.BASE_MISSING)
    for reference in sorted(set(due) - absent):
        yield Step(action.PullImage(reference), drift.BASE_MAY_HAVE_MOVED)
    for _, instance in sorted(wanted.instances.items()):
        yield from _ingredients(instance, facts)
    for name, document in sorted(placement.documents.items()):
        files = facts.files.get(name)
        if files is None or files.assignments is None:
            yield Step(action.WriteAssignments(document), drift.ASSIGNMENTS_MISSING)
        elif files.assignments != document:
            yield Step(action.WriteAssignments(document), drift.ASSIGNMENTS_DIFFER)
    yield from sandbox.rollout(wanted, facts)
    for _, instance in sorted(wanted.instances.items()):
        if instance.name not in wanted.refused and not ports.outdated_holders(instance, facts, wanted.instances):
            yield from _itself(instance, facts)


def _ingredients(instance: NodeInstance, facts: Facts) -> Iterator[Step]:
    container = facts.containers.get(instance.name)
    made = container is not None and (not instance.sandbox or instance.sandbox in facts.sandboxes)
    if instance.image and not made and not image.is_built(instance.image, facts):
        yield Step(action.BuildImage(instance.image), drift.IMAGE_MISSING)
    if instance.source.digest and instance.source.digest not in facts.observed.sources:
        yield Step(action.WriteSource(instance.source.digest, instance.source.path), drift.SOURCE_MISSING)


def _itself(instance: NodeInstance, facts: Facts) -> Iterator[Step]:
    match instance.spec:
        case ContainerSpec() as spec:
            container = facts.containers.get(instance.name)
            if container is not None and sandbox.has_other(container, instance.sandbox, facts):
                return  # it can't join another one, and is on its way out
            if container is not None and container.state == "running":
                yield from upkeep(container, spec)
            elif container is not None:
                yield from _revive(container, instance, facts)
            elif is_supplied(instance, facts):
                yield Step(action.CreateContainer(spec), drift.CONTAINER_MISSING)
        case ProcessSpec() as spec:
            done = is_finished(instance, facts)
            if instance.name not in facts.processes and not done and is_supplied(instance, facts):
                yield Step(action.StartProcess(spec), drift.PROCESS_MISSING)


def is_supplied(instance: NodeInstance, facts: Facts, *, made: bool = False) -> bool:
    """Whether all that is mounted or read at the start is in place. A container that is made has its image."""
    source = instance.source.digest
    files = facts.files.get(instance.name)
    return (
        (made or instance.image is None or image.is_built(instance.image, facts))
        and (not source or source in facts.observed.sources)
        and files is not None
        and files.assignments is not None
        and sandbox.is_there(instance.sandbox, facts)
    )


def _revive(container: Container, instance: NodeInstance, facts: Facts) -> Iterator[Step]:
    """Yield the step that lets a container run again. A start fails while what is mounted is missing, so it waits."""
    supplied = is_supplied(instance, facts, made=True)
    cause = drift.WANTED_AGAIN if container.name in facts.stopped else drift.ended(container.exit_code)
    match container.state:
        case "created" if supplied:
            yield Step(action.StartContainer(container.name, container.id), drift.NEVER_STARTED)
        case "exited" if supplied and not is_finished(instance, facts):
            yield Step(action.StartContainer(container.name, container.id), cause)
        case "paused":
            yield Step(action.UnpauseContainer(container.name, container.id), drift.PAUSED)
        case _:  # it has to wait, or the engine is at work on it: the next look tells
            return


def is_finished(instance: NodeInstance, facts: Facts) -> bool:
    """Whether an instance has ended and is to stay so by its restart policy."""
    if not facts.has_ended(instance.name):
        return False
    match instance.restart.policy:
        case "Never":
            return True
        case "OnFailure":
            return facts.exit_code(instance.name) == 0
        case "Always":
            return False
