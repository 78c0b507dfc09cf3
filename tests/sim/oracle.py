"""What the world must come to, told without the planner: wishes counted, sessions followed, endpoints read."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.contract import env, files, labels
from reconciler.contract.files import READY
from tests.support.simulation import INSTANCE, process_wish
from tests.support.unreliable_engine import labels_of, ours

if TYPE_CHECKING:
    from reconciler.model.desired import Desired
    from reconciler.model.manifest import Node, Pipeline
    from tests.support.model_engine import Contained
    from tests.support.simulation import Simulation

Wish = tuple[str, str, str, str]
"""Node type, source digest, Python version ("" for a host process), and the pipeline if it is that one's alone."""

ALONE = "3.9"
"""Nodes of this Python version are isolated in simulations, so that a container's wish can be told from outside."""


def awake(desired: Desired) -> dict[str, Pipeline]:
    """Return the pipelines that some session uses, by session."""
    there = {pipeline.name: pipeline for pipeline in desired.pipelines if not pipeline.suspend}
    return {session.name: there[session.pipeline] for session in desired.sessions if session.pipeline in there}


def wish_of(pipeline: Pipeline, node: Node) -> Wish:
    """Return what a node asks for."""
    python = node.docker.python_version if node.docker else ""
    return node.node_type, node.source.digest, python, pipeline.name if node.docker and node.docker.isolated else ""


def wishes(desired: Desired) -> Counter[Wish]:
    """Count the instances that must run: equal wishes are one."""
    return Counter({wish_of(pipeline, node) for pipeline in awake(desired).values() for node in pipeline.nodes})


def wish_in(simulation: Simulation, found: Contained) -> Wish:
    """Read a container's wish from what it was created with."""
    environment = dict(found.spec.environment)
    digest = next(v.host_path for v in found.spec.mounts if v.container_path == environment[env.SOURCE_DIR])
    base = simulation.engine.images[found.image_id].base_id
    python = next(tag for tag in simulation.engine.images[base].tags).removeprefix("python:").removesuffix("-slim")
    alone = labels_of(found)[labels.PIPELINE] if python == ALONE else ""
    return environment[env.NODE_TYPE], digest.rsplit("/", 1)[-1], python, alone


def differences(simulation: Simulation) -> list[str]:
    """Return everything in which the world is not what is desired."""
    return [
        *_instances(simulation),
        *_sessions(simulation),
        *_endpoints(simulation),
        *_leftovers(simulation),
        *_restarts(simulation),
    ]


def _instances(simulation: Simulation) -> list[str]:
    containers = list(ours(simulation.engine, INSTANCE))
    found = [f"{c.spec.name} is {c.state}" for c in containers if c.state != "running"]
    there = Counter(wish_in(simulation, c) for c in containers)
    there += Counter((*process_wish(spec), "", "") for spec, _ in simulation.processes.living.values())
    wanted = wishes(simulation.desired)
    return found if there == wanted else [*found, f"there are {there}, wanted are {wanted}"]


def _sessions(simulation: Simulation) -> list[str]:
    """Every node of every session is served by exactly one instance of its wish, with its parameters."""
    served: dict[tuple[str, str], list[tuple[Wish, str]]] = {}
    for name, wish in _by_name(simulation).items():
        place = Path(simulation.site.nodes_dir, name)
        assignments = files.parse_assignments(files.read_text(place / "assignments.json") or "")
        status = files.parse_status(files.read_text(place / "status.json") or "")
        ready = {(s.session, s.node) for s in status.sessions if s.state == READY} if status else set()
        for entry in assignments.sessions if assignments else ():
            if (entry.session, entry.node) in ready:
                served.setdefault((entry.session, entry.node), []).append((wish, entry.params))
    wanted = {
        (session, node.id): [(wish_of(pipeline, node), node.params)]
        for session, pipeline in awake(simulation.desired).items()
        for node in pipeline.nodes
    }
    return [] if served == wanted else [f"served are {served}, wanted are {wanted}"]


def _by_name(simulation: Simulation) -> dict[str, Wish]:
    found = {c.spec.name: wish_in(simulation, c) for c in ours(simulation.engine, INSTANCE)}
    return found | {spec.name: (*process_wish(spec), "", "") for spec, _ in simulation.processes.living.values()}


def _endpoints(simulation: Simulation) -> list[str]:
    used = awake(simulation.desired)
    wanted = {session.name: session.name in used for session in simulation.desired.sessions}
    found = {}
    for path in Path(simulation.site.endpoints_dir).glob("*.json"):
        document = files.parse_endpoints(path.read_text())
        found[path.stem] = document is not None and document.ready
    return [] if found == wanted else [f"endpoints say {found}, wanted are {wanted}"]


def _leftovers(simulation: Simulation) -> list[str]:
    places = {path.name for path in Path(simulation.site.nodes_dir).iterdir()}
    found = (
        [f"directories of nobody: {places - set(_by_name(simulation))}"] if places - set(_by_name(simulation)) else []
    )
    if simulation.shm.dead:
        found.append(f"dead nodes: {simulation.shm.dead}")
    named = {node.source.digest for pipeline in simulation.desired.pipelines for node in pipeline.nodes}
    snapshots = {path.name for path in Path(simulation.site.sources_dir).iterdir()}
    if snapshots - named:
        found.append(f"snapshots of nobody: {snapshots - named}")
    sessions = {session.name for session in simulation.desired.sessions}
    gone = [name for name in simulation.shm.services if name.split("_")[0] not in sessions]
    return [*found, f"services of gone sessions: {gone}"] if gone else found


def _restarts(simulation: Simulation) -> list[str]:
    """Nothing was started more often than something had ended it: a fault, or we while it was not wanted."""
    return [
        f"{c.spec.name} was started {c.started} times and ended {c.stopped + simulation.ended.get(c.id, 0)} times"
        for c in ours(simulation.engine, INSTANCE)
        if c.started != 1 + c.stopped + simulation.ended.get(c.id, 0)
    ]
