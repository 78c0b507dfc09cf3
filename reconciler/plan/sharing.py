"""Who wants what: node instances derived from pipelines and live sessions. Reference counts are never stored.

Rule: two nodes with the same hash are one instance; an instance nobody asks for is an orphan. Sharing, orphan clean-up
and replacement are this one derivation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.contract import names
from reconciler.contract.values import dataclass, field, replace
from reconciler.model.instance import ContainerSpec, EnvImage, ProcessSpec
from reconciler.plan import container, image, process, sandbox
from reconciler.plan.again import remembered
from reconciler.plan.image import MissingBase

if TYPE_CHECKING:
    from reconciler.model.desired import Desired, Session
    from reconciler.model.manifest import Docker, Node, Pipeline, Restart, Source
    from reconciler.model.memory import Memory
    from reconciler.model.observed import Site
    from reconciler.plan.facts import Facts

Owner = tuple[str, str]
"""A pipeline's name and a node's id in it."""


@dataclass(frozen=True, slots=True)
class NodeInstance:
    """One container or host process that somebody wants, and who does."""

    name: str
    spec: ContainerSpec | ProcessSpec
    source: Source
    restart: Restart
    image: EnvImage | None
    owners: tuple[Owner, ...]
    sandbox: str = ""
    """Name of the container whose shared memory it joins; the host's where there is none."""


@dataclass(slots=True)
class Wanted:
    """Everything wanted, by name. `placed` says which instance an owner's node is to run in."""

    instances: dict[str, NodeInstance] = field(default_factory=dict)
    placed: dict[Owner, str] = field(default_factory=dict)
    missing: dict[Owner, MissingBase] = field(default_factory=dict)
    moving: set[str] = field(default_factory=set)
    """Base images that are to be pulled again and again."""
    sandboxes: dict[str, ContainerSpec] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    """Instances for which the host has no room, with what to tell."""
    active: dict[str, Pipeline] = field(default_factory=dict)
    sessions: list[tuple[Session, Pipeline]] = field(default_factory=list)
    linger_until_s: float | None = None
    """When the first lingering pipeline is to go, for the requeue."""


def derive(desired: Desired, facts: Facts, memory: Memory, *, now_s: float) -> Wanted:
    """Return what manifests and sessions want."""
    wanted = Wanted()
    pipelines = {pipeline.name: pipeline for pipeline in desired.pipelines}
    for session in sorted(desired.sessions, key=lambda session: session.name):
        pipeline = pipelines.get(session.pipeline)
        if pipeline is not None and not pipeline.suspend:
            wanted.sessions.append((session, pipeline))
    used = {pipeline.name for _, pipeline in wanted.sessions}
    for pipeline in sorted(desired.pipelines, key=lambda pipeline: pipeline.name):
        if not pipeline.suspend and (pipeline.name in used or _lingers(pipeline, wanted, memory, now_s=now_s)):
            wanted.active[pipeline.name] = pipeline
            for node in pipeline.nodes:
                _want(wanted, pipeline, node, facts)
    return wanted


def _lingers(pipeline: Pipeline, wanted: Wanted, memory: Memory, *, now_s: float) -> bool:
    """Whether an on-demand pipeline stays for the next session, its last one having left lately."""
    last_s = memory.last_session_s.get(pipeline.name)
    if pipeline.activation != "OnDemand" or last_s is None:
        return False
    until_s = last_s + pipeline.idle_timeout_s
    if now_s >= until_s:
        return False
    wanted.linger_until_s = min(until_s, wanted.linger_until_s or until_s)
    return True


def _want(wanted: Wanted, pipeline: Pipeline, node: Node, facts: Facts) -> None:
    owner = (pipeline.name, node.id)
    if node.docker is not None and image.may_move(node.docker):
        wanted.moving.add(image.base_reference(node.docker))
    made = _instance(pipeline, node, facts)
    if isinstance(made, MissingBase):
        wanted.missing[owner] = made
        return
    wanted.placed[owner] = made.name
    if made.sandbox and made.sandbox not in wanted.sandboxes and made.image is not None:
        wanted.sandboxes[made.sandbox] = sandbox.sandbox_spec(
            pipeline,
            image=made.image,
            reference=image.reference(made.image, facts),
            site=facts.site,
            user=container.user_of(facts.site),
        )
    present = wanted.instances.get(made.name)
    wanted.instances[made.name] = _share(present, made) if present else made


def _instance(pipeline: Pipeline, node: Node, facts: Facts) -> NodeInstance | MissingBase:
    owners = ((pipeline.name, node.id),)
    if node.docker is None:
        spec = process.process_spec(node, site=facts.site, hashed=process.process_hash(node))
        return NodeInstance(spec.name, spec, node.source, node.restart, None, owners)
    built = image.environment(node.docker, facts)
    if isinstance(built, MissingBase):
        return built
    return _container(pipeline, node, node.docker, built=built, facts=facts)


def _container(pipeline: Pipeline, node: Node, docker: Docker, *, built: EnvImage, facts: Facts) -> NodeInstance:
    user = container.user_of(facts.site)
    spec, hashed = _specified(pipeline, node, docker, built, facts.site, user)
    reference = image.reference(built, facts)
    spec = spec if spec.image == reference else replace(spec, image=reference)
    owners = ((pipeline.name, node.id),)
    name = names.instance_name(facts.site.instance, hashed)
    if pipeline.shared_memory.isolation != "Private":
        return NodeInstance(name, spec, node.source, node.restart, built, owners)
    held_in = names.instance_name(facts.site.instance, sandbox.sandbox_hash(pipeline, user=user))
    present = facts.sandboxes.get(held_in)
    spec = container.joined(spec, present.id if present is not None else "", facts.site)
    return NodeInstance(name, spec, node.source, node.restart, built, owners, held_in)


@remembered
def _specified(  # noqa: PLR0917 - all that a container depends on, by place
    pipeline: Pipeline, node: Node, docker: Docker, built: EnvImage, site: Site, user: str
) -> tuple[ContainerSpec, str]:
    """Return the container of a node, and its hash."""
    hashed = container.node_hash(node, docker, pipeline=pipeline, env_hash=built.env_hash, user=user)
    spec = container.container_spec(node, docker, pipeline=pipeline, image=built, site=site, hashed=hashed)
    return spec, hashed


def _share(first: NodeInstance, second: NodeInstance) -> NodeInstance:
    """Return one instance for two owners: the first asker's, with limits wide enough for both."""
    spec = first.spec
    if isinstance(spec, ContainerSpec) and isinstance(second.spec, ContainerSpec):
        spec = replace(spec, limits=container.widest(spec.limits, second.spec.limits))
    return replace(first, spec=spec, owners=(*first.owners, *second.owners))
