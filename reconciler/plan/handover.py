"""How a session that is open goes from old instances of its nodes to new ones: nothing lost, nothing doubled.

1. The new instances are assigned the session beside the old ones. They initialize, and wait for the session's seats.
2. When each of them says that it is ready but for that, the old ones are told to leave: to serve until what is sent
   comes to the new one, too, and to stay until their readers have acknowledged all they sent. Then each gives its seat
   up, and the new one goes on.
3. An old instance is done when its status has taken that in and no longer names the session. Nobody wants it then.

Nothing is remembered between passes: what is assigned and what statuses say tells how far a handover is.

Rule: an old instance leaves only what a new one has got ready for, and in good order only where the ends of the session
are the same; an edit of the graph makes other channels, and what is in the old ones is lost.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.contract import files
from reconciler.contract.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from reconciler.contract.files import Served
    from reconciler.plan.facts import Facts

HAS_GOT_READY = frozenset({files.WAITING, files.READY, files.ERRING})


@dataclass(frozen=True, slots=True)
class Elder:
    """What an old instance has of a session in one node. `leaving`: it was told to leave."""

    name: str
    served: Served
    leaving: bool = False


def elders(session: str, targets: Mapping[str, str], facts: Facts) -> Iterator[Elder]:
    """Yield what instances have of a session that is another one's now; `targets` are the new ones by node."""
    for name in sorted(facts.servers.get(session, frozenset())):
        assignments = facts.files[name].assignments
        if assignments is not None:
            for entry in of_session(assignments.sessions, session):
                if targets.get(entry.node) != name:
                    yield Elder(name, entry)
            for entry in of_session(assignments.leaving, session):
                if targets.get(entry.node) != name:
                    yield Elder(name, entry, leaving=True)


def of_session(entries: Iterable[Served], session: str) -> list[Served]:
    """Return the entries of one session."""
    return [entry for entry in entries if entry.session == session]


def is_ready(name: str, served: Served, facts: Facts) -> bool:
    """Whether an instance has got ready for a session, but for its seat, and what it says is not of an earlier time."""
    assignments, found = facts.files[name].assignments if name in facts.files else None, status_of(name, served, facts)
    if assignments is None or found is None or not _has_taken_in(name, facts):
        return False
    return served in assignments.sessions and found.generation == served.generation and found.state in HAS_GOT_READY


def has_left(elder: Elder, facts: Facts) -> bool:
    """Whether nothing of an old instance serves the session any more."""
    if not facts.up(elder.name):
        return not facts.runs(elder.name)
    told = elder.leaving and _has_taken_in(elder.name, facts)
    return told and status_of(elder.name, elder.served, facts) is None


def _has_taken_in(name: str, facts: Facts) -> bool:
    """Whether an instance has taken in its assignments as they are."""
    found = facts.files[name]
    if found.status is None or found.assignments is None:
        return False
    return found.status.generation == found.assignments.generation


def status_of(name: str, served: Served, facts: Facts) -> files.SessionStatus | None:
    """Return what an instance says of a session in a node, or None."""
    found = facts.files.get(name)
    status = found.status if found else None
    key = (served.session, served.node)
    return next((each for each in status.sessions if (each.session, each.node) == key), None) if status else None


def same_ends(old: Served, new: Served) -> bool:
    """Whether a session enters and leaves a node by the same channels."""
    return (old.inputs, old.outputs) == (new.inputs, new.outputs)
