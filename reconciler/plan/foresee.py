"""What the world becomes when steps succeed: the model by which `diff` shows the whole route to the end state.

Rule: an action's effect is the least that its success must show at the next look, nodes that start well included.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.contract import labels
from reconciler.contract.files import READY, SessionStatus, Status
from reconciler.contract.values import replace
from reconciler.model import action
from reconciler.model.memory import Memory, note_pull, see_sessions
from reconciler.model.observed import Container, ContainerState, Image, NodeFiles, Observed, Process
from reconciler.plan.plan import plan

if TYPE_CHECKING:
    from collections.abc import Callable

    from reconciler.model.action import Action, Step
    from reconciler.model.desired import Desired

LONGEST_ROUTE = 50
"""Passes after which a route counts as endless; the longest one known (a replacement) takes ten."""


def route(desired: Desired, observed: Observed, *, now_s: float = 0.0) -> tuple[Step, ...]:
    """Return every step from here to rest, in the order they would be taken.

    Raises:
        RuntimeError: if there is no rest, which is a defect of the planner.
    """
    taken: list[Step] = []
    memory = see_sessions(Memory(), desired, now_s=now_s)
    for _ in range(LONGEST_ROUTE):
        found = plan(desired, observed, memory, now_s=now_s)
        if not found.steps and not (found.waiting and settle(observed) != observed):
            return tuple(taken)
        taken += found.steps
        for step in found.steps:
            observed = after(observed, step.action)
            memory = note_pull(memory, step, now_s=now_s)
        observed = settle(observed)
    msg = f"no rest after {LONGEST_ROUTE} passes; the last steps were {[step.object for step in taken[-3:]]}"
    raise RuntimeError(msg)


def after(observed: Observed, done: Action) -> Observed:  # noqa: C901, PLR0911, PLR0912 - one arm for each action
    """Return the world after an action has succeeded."""
    match done:
        case action.PullImage(reference=reference) if any(reference in image.tags for image in observed.images):
            return observed  # the least it does: nothing has moved
        case action.PullImage(reference=reference):
            return _with_image(observed, Image(f"pulled:{reference}", (reference,)))
        case action.BuildImage(image=built):
            instance = observed.site.instance
            made = Image(f"built:{built.env_hash}", (built.tag,), built.env_hash, built.base_id, instance)
            return _with_image(observed, made)
        case action.WriteSource(digest=digest):
            return replace(observed, sources=observed.sources | {digest})
        case action.RemoveSource(name=name):
            left = tuple(broken for broken in observed.broken_sources if broken != name)
            return replace(observed, sources=observed.sources - {name}, broken_sources=left)
        case action.WriteAssignments(document=document):
            before = _files_of(observed, document.name)
            return _with_files(observed, replace(before, assignments=document))
        case action.WriteEndpoints(document=document):
            others = [e for e in observed.endpoints if e.session != document.session]
            return replace(observed, endpoints=tuple(sorted([*others, document], key=lambda e: e.session)))
        case action.RemoveEndpoints(session=session):
            return replace(observed, endpoints=tuple(e for e in observed.endpoints if e.session != session))
        case action.RemoveLease(session=session):
            return replace(observed, stale_leases=tuple(s for s in observed.stale_leases if s != session))
        case action.RemoveNodeFiles(name=name):
            return replace(observed, node_files=tuple(f for f in observed.node_files if f.name != name))
        case action.RemoveDeadNodes(ids=ids):
            return replace(observed, shm_nodes=tuple(n for n in observed.shm_nodes if n.id not in ids))
        case action.RemoveService(id=service):
            return replace(observed, shm_services=tuple(s for s in observed.shm_services if s.id != service))
        case action.RemoveImage(id=image):
            return replace(observed, images=tuple(i for i in observed.images if i.id != image))
        case action.StartProcess() | action.StopProcess():
            return _after_process(observed, done)
        case _:
            return _after_container(observed, done)


def settle(observed: Observed) -> Observed:
    """Return the world after running nodes have taken in their assignments and said so."""
    running = {c.name for c in observed.containers if c.state == "running"} | {p.name for p in observed.processes}
    return replace(observed, node_files=tuple(_settled(files, files.name in running) for files in observed.node_files))


def _settled(files: NodeFiles, runs: bool) -> NodeFiles:  # noqa: FBT001 - a fact, not a switch
    if not runs or files.assignments is None:
        return replace(files, alive=False)
    sessions = tuple(
        SessionStatus(s.session, s.node, READY, generation=s.generation) for s in files.assignments.sessions
    )
    return replace(files, alive=True, status=Status(files.name, files.assignments.generation, sessions))


def _after_process(observed: Observed, done: action.StartProcess | action.StopProcess) -> Observed:
    match done:
        case action.StartProcess(spec=spec):
            made = Process(spec.name, pid=1, started="0")
            processes = (*(p for p in observed.processes if p.name != spec.name), made)
            return replace(observed, processes=tuple(sorted(processes, key=lambda p: p.name)))
        case action.StopProcess(name=name):
            return replace(observed, processes=tuple(p for p in observed.processes if p.name != name))


def _after_container(observed: Observed, done: Action) -> Observed:
    match done:
        case action.CreateContainer(spec=spec) if spec.name in {c.name for c in observed.containers}:
            return observed  # the name is taken, by an earlier try of the same call
        case action.CreateContainer(spec=spec):
            marks = dict(spec.labels)
            image = next((image.id for image in observed.images if spec.image in (image.id, *image.tags)), "")
            hashes = (marks.get(labels.NODE_HASH, ""), marks.get(labels.ENV_HASH, ""))
            made = Container(f"new:{spec.name}", spec.name, "created", image, marks[labels.KIND], *hashes)
            joined = marks.get(labels.SANDBOX, "")
            made = replace(made, limits=spec.limits, networks=(spec.network,), sandbox=joined)
            return _with_containers(observed, [*observed.containers, made])
        case action.StartContainer(id=found) | action.UnpauseContainer(id=found) | action.RestartContainer(id=found):
            return _with_memory(_in_state(observed, found, "running"), found)
        case action.UpdateLimits(id=found, limits=limits):
            return _changed(observed, found, lambda c: replace(c, limits=limits))
        case action.ConnectNetwork(id=found, network=network):
            return _changed(observed, found, lambda c: replace(c, networks=(*(c.networks or ()), network)))
        case action.StopContainer(id=found):
            return _in_state(observed, found, "exited")
        case action.RemoveContainer(id=found):
            return _with_containers(observed, [c for c in observed.containers if c.id != found])
        case _:
            return observed


def _in_state(observed: Observed, found: str, state: ContainerState) -> Observed:
    return _changed(observed, found, lambda c: replace(c, state=state, exit_code=None))


def _with_memory(observed: Observed, started: str) -> Observed:
    """Give a sandbox that was started new memory, and a node that was the memory of its sandbox."""
    found = next((c for c in observed.containers if c.id == started), None)
    if found is None or (found.kind != labels.KIND_SANDBOX and not found.sandbox):
        return observed
    held = next((c.memory for c in observed.containers if c.id == found.sandbox), 0)
    memory = found.memory + 1 if found.kind == labels.KIND_SANDBOX else held
    return _changed(observed, started, lambda c: replace(c, memory=memory))


def _changed(observed: Observed, found: str, change: Callable[[Container], Container]) -> Observed:
    return _with_containers(observed, [change(c) if c.id == found else c for c in observed.containers])


def _with_containers(observed: Observed, containers: list[Container]) -> Observed:
    return replace(observed, containers=tuple(sorted(containers, key=lambda c: c.name)))


def _with_image(observed: Observed, image: Image) -> Observed:
    others = [present for present in observed.images if present.id != image.id]
    return replace(observed, images=tuple(sorted([*others, image], key=lambda i: i.tags)))


def _files_of(observed: Observed, name: str) -> NodeFiles:
    return next((files for files in observed.node_files if files.name == name), NodeFiles(name))


def _with_files(observed: Observed, files: NodeFiles) -> Observed:
    others = [present for present in observed.node_files if present.name != files.name]
    return replace(observed, node_files=tuple(sorted([*others, files], key=lambda f: f.name)))
