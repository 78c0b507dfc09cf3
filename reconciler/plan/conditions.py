"""Conditions of nodes, sessions and pipelines, derived from the same facts as the steps.

Rule: a condition is true only of what was observed. A reason is one CamelCase word, a message what a person needs
next.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.contract import exits, files
from reconciler.contract.files import Endpoints
from reconciler.contract.values import dataclass, field, replace
from reconciler.model import action
from reconciler.model.action import Step
from reconciler.model.instance import ContainerSpec
from reconciler.model.status import Condition, ConditionStatus, ObjectStatus
from reconciler.plan import drift, image, limits, outlook, sandbox, service
from reconciler.plan.backoff import delay_s
from reconciler.plan.rollout import is_finished
from reconciler.plan.upkeep import upkeep

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reconciler.model.desired import Desired
    from reconciler.model.manifest import Node, Pipeline
    from reconciler.model.memory import Memory
    from reconciler.plan.assignment import Placement
    from reconciler.plan.facts import Facts
    from reconciler.plan.patience import Patience
    from reconciler.plan.sharing import NodeInstance, Wanted

CRASH_LOOP_AFTER = 3
"""Starts in a row (without a healthy while between) from which a node counts as crash looping."""

RAISED = "NodeRaised"
"""Reason of a session that is served, and in whose present stream a node raised."""

Said = tuple[ConditionStatus, str, str]
"""Status, reason, message."""

Problem = tuple[str, str]
"""Reason, message."""

KEPT = "its manifest is gone, and the annotation reconciler.dev/prune: disabled keeps it"

YES: Said = ("True", "Yes", "")


@dataclass(frozen=True, slots=True)
class View:
    """Everything the conditions are derived from."""

    desired: Desired
    facts: Facts
    wanted: Wanted
    placement: Placement
    memory: Memory
    patience: Patience
    readiness: dict[str, Said] = field(default_factory=dict)
    """Of the sessions that were asked for so far: their endpoints and their status say the same."""

    def failure(self, key: str) -> Problem | None:
        """Return reason and message of an object's last failure, or None."""
        found = self.memory.failures.get(key)
        return (found.reason, found.message) if found else None


def statuses(view: View) -> tuple[ObjectStatus, ...]:
    """Return the status of every pipeline, then of every node, then of every session, each sorted by name."""
    pipelines = sorted(view.desired.pipelines, key=lambda pipeline: pipeline.name)
    nodes = [_node_status(view, pipeline, node) for pipeline in pipelines for node in pipeline.nodes]
    sessions = [_session_status(view, name) for name in sorted({s.name for s in view.desired.sessions})]
    by_pipeline: dict[str, list[ObjectStatus]] = {}
    for status in [*nodes, *sessions]:
        by_pipeline.setdefault(status.pipeline, []).append(status)
    return (
        *(_pipeline_status(view, pipeline, by_pipeline.get(pipeline.name, [])) for pipeline in pipelines),
        *nodes,
        *sessions,
    )


def endpoint_steps(view: View) -> Iterator[Step]:
    """Yield the steps that tell clients where their sessions are."""
    present = {endpoints.session: endpoints for endpoints in view.facts.observed.endpoints}
    for name in sorted({session.name for session in view.desired.sessions}):
        document = _endpoints(view, name, present.get(name))
        if document != present.get(name):
            cause = drift.ENDPOINTS_DIFFER if name in present else drift.ENDPOINTS_MISSING
            yield Step(action.WriteEndpoints(document), cause)


def _endpoints(view: View, session: str, present: Endpoints | None) -> Endpoints:
    ready, reason, message = _session_ready(view, session)
    pipeline = _pipeline_of(view, session)
    if pipeline is None:
        asked = next(entry.pipeline for entry in view.desired.sessions if entry.name == session)
        return Endpoints(session, asked, reason=reason, message=message)
    stays = present is not None and present.inputs and session in view.placement.waiting
    document = present if present is not None and stays else service.endpoints(pipeline, session)
    document = replace(document, memory=_memory(view, pipeline))
    if ready == "True" or reason == RAISED:  # the next program's stream is another one
        return replace(document, ready=True, reason="", message="")
    return replace(document, ready=False, reason=reason, message=message)


def _memory(view: View, pipeline: Pipeline) -> int:
    """Return the number of a pipeline's own shared memory, 0 if it has the host's."""
    placed = (view.wanted.placed.get((pipeline.name, node.id), "") for node in pipeline.nodes)
    instance = next((view.wanted.instances[name] for name in placed if name), None)
    found = view.facts.sandboxes.get(instance.sandbox) if instance is not None else None
    return found.memory if found is not None else 0


def _pipeline_of(view: View, session: str) -> Pipeline | None:
    return next((pipeline for found, pipeline in view.wanted.sessions if found.name == session), None)


def _session_status(view: View, name: str) -> ObjectStatus:
    asked = next(session for session in view.desired.sessions if session.name == name)
    pipeline = _pipeline_of(view, name)
    ready = _condition("Ready", _session_ready(view, name), pipeline.generation if pipeline else "")
    return ObjectStatus("Session", name, (ready,), pipeline=asked.pipeline)


def _session_ready(view: View, session: str) -> Said:
    """Return status, reason and message: ready when every node of the pipeline says so for this session."""
    if session not in view.readiness:
        view.readiness[session] = _readiness(view, session)
    return view.readiness[session]


def _readiness(view: View, session: str) -> Said:
    pipeline = _pipeline_of(view, session)
    if pipeline is None:
        return _no_pipeline(view, session)
    for node in pipeline.nodes:
        name = _server(view, pipeline, node, session)
        problem = _instance_problem(view, pipeline, node, name) or _served_problem(view, name, node, session)
        if problem:
            return ("False", problem[0], f"node {node.id}: {problem[1]}")
    return YES


def _no_pipeline(view: View, session: str) -> Said:
    asked = next(entry.pipeline for entry in view.desired.sessions if entry.name == session)
    if any(pipeline.name == asked for pipeline in view.desired.pipelines):
        return ("False", "Suspended", f"pipeline {asked} is suspended: set spec.suspend to false")
    known = ", ".join(sorted(pipeline.name for pipeline in view.desired.pipelines)) or "none"
    return ("False", "PipelineNotFound", f"no pipeline {asked!r} in the manifests (there are: {known})")


def _server(view: View, pipeline: Pipeline, node: Node, session: str) -> str | None:
    """Return the instance that answers for a node in a session: the one it goes to, or the one it is held by."""
    placed = view.wanted.placed.get((pipeline.name, node.id))
    return view.placement.serving.get((session, node.id), placed)


def _served_problem(view: View, name: str | None, node: Node, session: str) -> Problem | None:
    """Return what keeps an instance that is up from serving a session, or None."""
    if _is_done(view, name or ""):
        return None
    instance_files = view.facts.files.get(name or "")
    document = view.placement.documents.get(name or "")
    status = instance_files.status if instance_files else None
    key = (session, node.id)
    asked = next((s for s in document.sessions if (s.session, s.node) == key), None) if document else None
    found = next((s for s in status.sessions if (s.session, s.node) == key), None) if status else None
    if asked is None or found is None or found.generation != asked.generation:
        return ("Starting", "is taking in its assignments")
    if found.state == files.STARTING:
        return ("Initializing", "is initializing")
    reason = {files.FAILED: "NodeFailed", files.ERRING: RAISED}.get(found.state)
    return (reason, _advised(found.message) + _refusal(view, name)) if reason else None


def _not_taken_over(view: View, pipeline: Pipeline, node: Node, session: str) -> Problem | None:
    """Return why a new instance can't take a session over, which the old one then goes on serving, or None."""
    name = view.wanted.placed.get((pipeline.name, node.id))
    if name == view.placement.serving.get((session, node.id)):
        return None
    problem = _served_problem(view, name, node, session)
    return problem if problem and problem[0] == "NodeFailed" else None


def _refusal(view: View, name: str | None) -> str:
    """Return what the limits of a container that runs have to do with a failure of its node."""
    instance, instance_files = view.wanted.instances.get(name or ""), view.facts.files.get(name or "")
    if instance is None or instance_files is None or not isinstance(instance.spec, ContainerSpec):
        return ""
    usage = instance_files.status.usage if instance_files.status else files.Usage()
    return limits.refusal(instance.spec.limits, usage)


def _instance_problem(view: View, pipeline: Pipeline, node: Node, name: str | None) -> Problem | None:
    """Return what keeps an instance from being up, or None."""
    if name is None:
        return _image_problem(view, pipeline, node) or ("Starting", "has no instance yet")
    instance, container = view.wanted.instances.get(name), view.facts.containers.get(name)
    if instance is not None and container is not None and sandbox.is_stray(container, instance.sandbox, view.facts):
        return _failed_step(view, instance) or ("Restarting", f"{drift.STRAYED}; it joins the new one")
    if view.facts.up(name) or _is_done(view, name):
        return None
    if instance is None:
        return ("Starting", "the instance that served it is gone; waiting for the new one")
    if name in view.wanted.refused:
        return ("NoRoom", view.wanted.refused[name])
    if container is None and (problem := _image_problem(view, pipeline, node)):
        return problem
    return _ended_problem(view, instance) or _failed_step(view, instance) or ("Starting", "is being started")


def _failed_step(view: View, instance: NodeInstance) -> Problem | None:
    """Return the failure of whatever the instance needs, or None."""
    return next((found for key in outlook.ingredients(instance) if (found := view.failure(key))), None)


def _ended_problem(view: View, instance: NodeInstance) -> Problem | None:
    name = instance.name
    container = view.facts.containers.get(name)
    key = f"container/{name}" if container else f"process/{name}"
    starts = view.memory.starts.get(key)
    count = starts.count if starts else 0
    said = _how_it_ended(view, name) + _last_words(view, name)
    if is_finished(instance, view.facts):
        return ("Ended", f"{said}; its restart policy leaves it so")
    if count >= CRASH_LOOP_AFTER:
        wait_s = delay_s(key, count, longest_s=instance.restart.max_backoff_s)
        return ("CrashLoop", f"{said}; started {count} times, the next attempt is {wait_s:.1f} s after the last")
    if count > 1 or view.facts.has_ended(name) or (count and not view.facts.runs(name)):
        return ("Restarting", f"{said}; is started again")
    return None


def _how_it_ended(view: View, name: str) -> str:
    end = view.memory.ends.get(name)
    if end is not None and end.limit:
        return end.limit
    exit_code = view.facts.exit_code(name)
    if exit_code is None and end is not None:
        exit_code = end.exit_code
    return "ended" if exit_code is None else f"ended with {exits.told(exit_code)}"


def _is_done(view: View, name: str) -> bool:
    """Whether an instance ended well and is to stay so: a one-shot that counts as ready."""
    instance = view.wanted.instances.get(name)
    return instance is not None and view.facts.exit_code(name) == 0 and is_finished(instance, view.facts)


def _last_words(view: View, name: str) -> str:
    """Return the runtime's own last error, or else the last lines that it wrote."""
    instance_files = view.facts.files.get(name)
    status = instance_files.status if instance_files else None
    end = view.memory.ends.get(name)
    said = status.error if status and status.error else " | ".join(end.lines if end else ())
    return f" ({_advised(said)})" if said else ""


def _advised(said: str) -> str:
    """Return what a node said of its failure, with what to do about it where that is known."""
    from reconciler.model.remedy import remedy  # noqa: PLC0415 - its patterns cost what no pass at rest must pay

    advice = remedy([said])
    return f"{said}; {advice}" if advice else said


def _image_problem(view: View, pipeline: Pipeline, node: Node) -> Problem | None:
    """Return what keeps a node's image from being there, or None."""
    missing = view.wanted.missing.get((pipeline.name, node.id))
    if missing and not missing.pull:
        return ("BaseImageMissing", missing.told)
    if missing:
        waiting = ("Pulling", f"base image {missing.reference} is being pulled")
        return view.failure(f"image/{missing.reference}") or waiting
    name = view.wanted.placed.get((pipeline.name, node.id), "")
    instance = view.wanted.instances.get(name)
    if instance is None or instance.image is None or image.is_built(instance.image, view.facts):
        return None
    tag = instance.image.tag
    return view.failure(f"image/{tag}") or ("Building", f"image {tag} is being built")


def _node_status(view: View, pipeline: Pipeline, node: Node) -> ObjectStatus:
    owner = (pipeline.name, node.id)
    name = view.wanted.placed.get(owner, "")
    instance = view.wanted.instances.get(name)
    document = view.placement.documents.get(name)
    key = f"container/{name}" if name in view.facts.containers else f"process/{name}"
    starts = view.memory.starts.get(key)
    return ObjectStatus(
        "Node",
        f"{pipeline.name}/{node.id}",
        tuple(_node_conditions(view, pipeline, node, name)),
        pipeline=pipeline.name,
        instance=name,
        container=name if name in view.facts.containers else "",
        owners=tuple(f"{p}/{n}" for p, n in instance.owners) if instance else (),
        sessions=tuple(sorted({s.session for s in document.sessions})) if document else (),
        restarts=starts.total - 1 if starts else 0,
    )


def _node_conditions(view: View, pipeline: Pipeline, node: Node, name: str) -> Iterator[Condition]:
    generation = pipeline.generation
    if pipeline.name not in view.wanted.active:
        idle: Problem = ("Idle", "no session is open")
        why = ("Suspended", "the pipeline is suspended") if pipeline.suspend else idle
        yield _condition("Running", ("False", *why), generation)
        yield _condition("Ready", ("False", *why), generation)
        return
    if node.docker is not None:
        problem = _image_problem(view, pipeline, node)
        yield _condition("ImageReady", ("False", *problem) if problem else YES, generation)
    problem = _instance_problem(view, pipeline, node, name or None)
    yield _condition("Running", ("False", *problem) if problem else YES, generation)
    for session, asked in view.wanted.sessions:
        lasting = asked.name == pipeline.name and session.kind != "lease"
        if lasting and not problem and session.name in view.placement.waiting:
            problem = _not_taken_over(view, pipeline, node, session.name)
        elif lasting and not problem:
            problem = _served_problem(view, name, node, session.name)
    yield _condition("Ready", ("False", *problem) if problem else YES, generation)
    instance, instance_files = view.wanted.instances.get(name), view.facts.files.get(name)
    if instance is not None and isinstance(instance.spec, ContainerSpec) and view.facts.up(name):
        usage = instance_files.status.usage if instance_files and instance_files.status else files.Usage()
        yield from limits.bites(instance.spec.limits, usage, generation)


def _pipeline_status(view: View, pipeline: Pipeline, parts: list[ObjectStatus]) -> ObjectStatus:
    generation = pipeline.generation
    wrong = next((d for d in view.desired.diagnostics if d.pipeline == pipeline.name), None)
    accepted: Said = ("True", "Kept", KEPT) if pipeline.name in view.desired.kept else YES
    if wrong:
        accepted = ("False", "Invalid", f"{wrong}; the last good version goes on")
    conditions = (
        _condition("Accepted", accepted, generation),
        _condition("ImagesReady", _all(parts, "Node", "ImageReady"), generation),
        _condition("Ready", _pipeline_ready(view, pipeline, parts), generation),
        _condition("Degraded", _degraded(view, pipeline, parts), generation),
    )
    return ObjectStatus("Pipeline", pipeline.name, conditions, pipeline=pipeline.name)


def _pipeline_ready(view: View, pipeline: Pipeline, parts: list[ObjectStatus]) -> Said:
    """Ready for the sessions that last; one that a program has just opened says for itself when it is."""
    if pipeline.suspend:
        return ("False", "Suspended", "spec.suspend is true")
    if pipeline.name not in view.wanted.active:
        return ("True", "Idle", "starts with the first session")
    brief = {session.name for session in view.desired.sessions if session.kind == "lease"}
    lasting = [part for part in parts if part.kind == "Session" and part.name not in brief]
    return _all(lasting, "Session", "Ready") if lasting else _all(parts, "Node", "Running")


def _degraded(view: View, pipeline: Pipeline, parts: list[ObjectStatus]) -> Said:
    """Degraded: an old version serves because the new one can't, a node that ran does not, or a repair is refused."""
    holding = [s.name for s, asked in view.wanted.sessions if asked is pipeline and s.name in view.placement.waiting]
    served = [name for name in holding if view.facts.servers.get(name)]
    problem = _all(parts, "Node", "Running")
    if served and problem[0] == "False":
        return ("True", problem[1], f"the version before goes on serving: {problem[2]}")
    for name in served:
        for node in pipeline.nodes:
            if stuck := _not_taken_over(view, pipeline, node, name):
                return ("True", stuck[0], f"the version before goes on serving: node {node.id}: {stuck[1]}")
    if problem[0] == "False" and problem[1] in {"CrashLoop", "Restarting", "Ended"}:
        return ("True", problem[1], problem[2])
    for node in pipeline.nodes:
        refused = _refused_upkeep(view, view.wanted.placed.get((pipeline.name, node.id), ""))
        if refused:
            return ("True", refused[0], f"node {node.id}: {refused[1]}")
    return ("False", "No", "")


def _refused_upkeep(view: View, name: str) -> Problem | None:
    """Return why a running container can't be put in order, or None."""
    failure = view.failure(f"container/{name}")
    container, instance = view.facts.containers.get(name), view.wanted.instances.get(name)
    if failure is None or container is None or instance is None or not isinstance(instance.spec, ContainerSpec):
        return None
    step = next(upkeep(container, instance.spec), None) if container.state == "running" else None
    return (failure[0], f"{step.cause}: {failure[1]}") if step else None


def _all(parts: list[ObjectStatus], kind: str, condition: str) -> Said:
    """Return the first part's condition that does not hold, or yes."""
    for part in parts:
        found = part.condition(condition) if part.kind == kind else None
        if found is not None and found.status != "True":
            name = part.name.rsplit("/", 1)[-1]
            message = found.message if kind == "Session" else f"node {name}: {found.message}"
            return (found.status, found.reason, message)
    return YES


def _condition(kind: str, said: Said, generation: str) -> Condition:
    return Condition(kind, *said, generation)
