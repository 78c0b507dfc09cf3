"""Which instance serves which session, and when a session moves from an old instance to a new one.

Rule: a session moves as a whole, and only when everything it moves to is up and has got ready for it. Until then the
instances that serve it stay wanted: so a new version that can't be built, started, initialized or made ready leaves the
old one serving. A session that opens meanwhile goes to the old one too. The order of a move is in `handover.py`.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from reconciler.contract.files import Assignments, Served
from reconciler.contract.values import dataclass, field
from reconciler.plan import handover, ports, service
from reconciler.plan.again import remembered
from reconciler.plan.canonical import digest

if TYPE_CHECKING:
    from collections.abc import Iterable

    from reconciler.model.manifest import Pipeline
    from reconciler.plan.facts import Facts
    from reconciler.plan.sharing import Wanted


@dataclass(slots=True)
class Placement:
    """The assignments there shall be, by instance name.

    `held` names the instances that only stay until their sessions have moved; `waiting` the sessions that have not,
    and `moving` those of them that are on their way. `serving` says which instance answers for a node in a session: by
    session and node.
    """

    documents: dict[str, Assignments] = field(default_factory=dict)
    held: set[str] = field(default_factory=set)
    waiting: set[str] = field(default_factory=set)
    moving: set[str] = field(default_factory=set)
    serving: dict[tuple[str, str], str] = field(default_factory=dict)


@dataclass(slots=True)
class _Entries:
    sessions: dict[str, list[Served]]
    leaving: dict[str, list[Served]]


def place(wanted: Wanted, facts: Facts) -> Placement:
    """Return the assignments of every instance that is wanted or still serves."""
    placement = Placement()
    entries = _Entries(defaultdict(list), defaultdict(list))
    for session, pipeline in wanted.sessions:
        if elders := _elders(session.name, pipeline, wanted, facts):
            placement.waiting.add(session.name)
            for node in pipeline.nodes:
                _put(placement, entries, elders[node.id], service.served(pipeline, node, session.name))
        elif _may_assign(session.name, pipeline, wanted, facts):
            _assign(session.name, pipeline, wanted, placement=placement, entries=entries, facts=facts)
        else:
            placement.waiting.add(session.name)
            _hold(session.name, pipeline, wanted, placement=placement, entries=entries, facts=facts)
    names = {*wanted.instances, *entries.sessions, *entries.leaving}
    placement.held = names - set(wanted.instances)
    placement.documents = {
        name: _document(
            name, len(entries.sessions.get(name, [])), *entries.sessions.get(name, []), *entries.leaving.get(name, [])
        )
        for name in sorted(names)
    }
    return placement


def _put(placement: Placement, entries: _Entries, name: str, served: Served) -> None:
    entries.sessions[name].append(served)
    placement.serving[served.session, served.node] = name


def _may_assign(session: str, pipeline: Pipeline, wanted: Wanted, facts: Facts) -> bool:
    """Whether a session's assignments may be written: nothing to move from, or everything to move to is up."""
    owners = [(pipeline.name, node.id) for node in pipeline.nodes]
    if any(owner in wanted.missing for owner in owners):
        return False
    targets = {wanted.placed[owner] for owner in owners}
    servers = facts.servers.get(session, frozenset())
    return servers <= targets or all(facts.up(name) for name in targets) or _is_in_the_way(targets, wanted, facts)


def _is_in_the_way(targets: Iterable[str | None], wanted: Wanted, facts: Facts) -> bool:
    """Whether an old instance has a port of the host that a new one needs, so that they can't be side by side."""
    found = (wanted.instances[name] for name in targets if name is not None)
    return any(ports.outdated_holders(instance, facts, wanted.instances) for instance in found)


def _elders(session: str, pipeline: Pipeline, wanted: Wanted, facts: Facts) -> dict[str, str]:
    """Return the old instance of every node, for a session that opens while the new ones are not all up; else nothing.

    They are those that serve another session of the pipeline, and only of use while each node still has one.
    """
    targets = {wanted.placed.get((pipeline.name, node.id)) for node in pipeline.nodes}
    if session in facts.servers or all(name is not None and facts.up(name) for name in targets):
        return {}
    if _is_in_the_way(targets, wanted, facts):
        return {}
    found: dict[str, str] = {}
    for files in facts.observed.node_files:
        for entry in files.assignments.sessions if files.assignments and facts.up(files.name) else ():
            if entry.pipeline == pipeline.name:
                found[entry.node] = files.name
    covered = {node.id for node in pipeline.nodes} <= set(found)
    return found if covered and not set(found.values()) <= targets else {}


def _assign(
    session: str, pipeline: Pipeline, wanted: Wanted, *, placement: Placement, entries: _Entries, facts: Facts
) -> None:
    """Assign a session to the instances it is to be in, and let go of it in others as far as the handover is."""
    targets = {node.id: wanted.placed[pipeline.name, node.id] for node in pipeline.nodes}
    new = {node.id: service.served(pipeline, node, session) for node in pipeline.nodes}
    for node, served in new.items():
        _put(placement, entries, targets[node], served)
    elders = list(handover.elders(session, targets, facts))
    moving = {elder.served.node for elder in elders} & set(new)
    ready = all(handover.is_ready(targets[node], new[node], facts) for node in moving)
    ready |= _is_in_the_way(targets.values(), wanted, facts)
    for elder in elders:
        successor = new.get(elder.served.node)
        if handover.has_left(elder, facts):
            continue
        if not (elder.leaving or ready):
            _put(placement, entries, elder.name, elder.served)
            placement.moving.add(session)
        elif successor is not None and handover.same_ends(elder.served, successor):
            entries.leaving[elder.name].append(elder.served)
            placement.moving.add(session)
    placement.waiting |= placement.moving


def _hold(
    session: str, pipeline: Pipeline, wanted: Wanted, *, placement: Placement, entries: _Entries, facts: Facts
) -> None:
    """Keep a session as it is assigned now; where two instances have it, the old one answers for it."""
    targets = {wanted.placed.get((pipeline.name, node.id)) for node in pipeline.nodes}
    for name in sorted(facts.servers.get(session, frozenset()), key=lambda name: (name not in targets, name)):
        assignments = facts.files[name].assignments
        if assignments is not None:
            for served in handover.of_session(assignments.sessions, session):
                _put(placement, entries, name, served)
            entries.leaving[name] += handover.of_session(assignments.leaving, session)


@remembered
def _document(name: str, staying: int, *entries: Served) -> Assignments:
    """Return an instance's assignments: the first `staying` sessions are served, the others leave."""

    def ordered(entries: tuple[Served, ...]) -> tuple[Served, ...]:
        return tuple(sorted(entries, key=lambda entry: (entry.session, entry.node)))

    sessions, leaving = entries[:staying], entries[staying:]
    content: dict[str, object] = {"sessions": ordered(sessions)}
    if leaving:
        content["leaving"] = ordered(leaving)
    return Assignments(name, digest("assignments", content)[:12], ordered(sessions), ordered(leaving))
