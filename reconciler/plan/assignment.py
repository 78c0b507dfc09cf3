"""Which instance serves which session, and when a session moves from an old instance to a new one.

Rule: a session moves as a whole, and only when everything it moves to is up. Until then it stays exactly as it is
assigned, and the instances that serve it stay wanted: so a new version that can't be built, started or made ready
leaves the old one serving. A session that opens meanwhile goes to the old one too.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from reconciler.contract.files import Assignments, Served
from reconciler.plan import service
from reconciler.plan.canonical import digest

if TYPE_CHECKING:
    from reconciler.model.manifest import Pipeline
    from reconciler.plan.facts import Facts
    from reconciler.plan.sharing import Wanted


@dataclass(slots=True)
class Placement:
    """The assignments there shall be, by instance name.

    `held` names the instances that only stay until their sessions can move; `waiting` the sessions that can't yet.
    """

    documents: dict[str, Assignments] = field(default_factory=dict)
    held: set[str] = field(default_factory=set)
    waiting: set[str] = field(default_factory=set)


def place(wanted: Wanted, facts: Facts) -> Placement:
    """Return the assignments of every instance that is wanted or still serves."""
    placement = Placement()
    serving: dict[str, list[Served]] = {name: [] for name in wanted.instances}
    for session, pipeline in wanted.sessions:
        if elders := _elders(session.name, pipeline, wanted, facts):
            placement.waiting.add(session.name)
            for node in pipeline.nodes:
                serving.setdefault(elders[node.id], []).append(service.served(pipeline, node, session.name))
        elif _may_assign(session.name, pipeline, wanted, facts):
            _assign(session.name, pipeline, wanted, serving)
        else:
            placement.waiting.add(session.name)
            _hold(session.name, facts, serving)
    placement.held = set(serving) - set(wanted.instances)
    placement.documents = {name: _document(name, entries) for name, entries in serving.items()}
    return placement


def _may_assign(session: str, pipeline: Pipeline, wanted: Wanted, facts: Facts) -> bool:
    """Whether a session's assignments may be written: nothing to move from, or everything to move to is up."""
    owners = [(pipeline.name, node.id) for node in pipeline.nodes]
    if any(owner in wanted.missing for owner in owners):
        return False
    targets = {wanted.placed[owner] for owner in owners}
    servers = facts.servers.get(session, frozenset())
    return servers <= targets or all(facts.up(name) for name in targets)


def _elders(session: str, pipeline: Pipeline, wanted: Wanted, facts: Facts) -> dict[str, str]:
    """Return the old instance of every node, for a session that opens while the new ones are not all up; else nothing.

    They are those that serve another session of the pipeline, and only of use while each node still has one.
    """
    targets = {wanted.placed.get((pipeline.name, node.id)) for node in pipeline.nodes}
    if session in facts.servers or all(name is not None and facts.up(name) for name in targets):
        return {}
    found: dict[str, str] = {}
    for files in facts.observed.node_files:
        for entry in files.assignments.sessions if files.assignments and facts.up(files.name) else ():
            if entry.pipeline == pipeline.name:
                found[entry.node] = files.name
    covered = {node.id for node in pipeline.nodes} <= set(found)
    return found if covered and not set(found.values()) <= targets else {}


def _assign(session: str, pipeline: Pipeline, wanted: Wanted, serving: dict[str, list[Served]]) -> None:
    for node in pipeline.nodes:
        serving[wanted.placed[pipeline.name, node.id]].append(service.served(pipeline, node, session))


def _hold(session: str, facts: Facts, serving: dict[str, list[Served]]) -> None:
    """Keep a session as it is assigned now."""
    for name in sorted(facts.servers.get(session, frozenset())):
        assignments = facts.files[name].assignments
        kept = [entry for entry in assignments.sessions if entry.session == session] if assignments else []
        serving.setdefault(name, []).extend(kept)


def _document(name: str, entries: list[Served]) -> Assignments:
    ordered = tuple(sorted(entries, key=lambda entry: (entry.session, entry.node)))
    generation = digest("assignments", {"sessions": ordered})
    return Assignments(name, generation[:12], ordered)
