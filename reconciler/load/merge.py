"""From files to one world: which version of each file counts, and whose a name is (BY-03).

Rule: a file is taken whole or not at all. One that is not taken goes on in its last good version; where none is known,
something may be wanted that could not be read, and the world is not complete. Of two files that claim a name, the one
whose last good version has it keeps it, otherwise the first by path.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.contract.values import dataclass, field
from reconciler.load import kept
from reconciler.load.store import Entry
from reconciler.load.tree import Problem
from reconciler.load.words import instead
from reconciler.model.desired import Desired, Diagnostic, Session
from reconciler.model.manifest import Origin, Pipeline

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from reconciler.load.resolve import Resolved

Claim = tuple[str, str]
"""A kind and a name."""


@dataclass(frozen=True, slots=True)
class Merged:
    """The versions that count, by file, and what is wrong."""

    entries: Mapping[str, Entry]
    diagnostics: tuple[Diagnostic, ...] = ()
    complete: bool = True


@dataclass(slots=True)
class _Files:
    """Files while it is decided which of them are taken."""

    read: Mapping[str, Resolved]
    known: Mapping[str, Entry]
    held: Mapping[str, Entry]
    broken: dict[str, list[Problem]] = field(default_factory=dict)

    def claims(self) -> dict[Claim, list[str]]:
        """Return which files claim each name, in the order of their paths."""
        claims: dict[Claim, list[str]] = {}
        for key in sorted({*self.read, *self.held}):
            version = self.version(key)
            for claim in version.names if version else ():
                claims.setdefault(claim, []).append(key)
        return claims

    def version(self, key: str) -> Entry | None:
        """Return the version of a file that counts."""
        if key in self.held or key in self.broken:
            return self.known.get(key)
        return _entry(self.read[key])


def merge(read: Sequence[Resolved], known: Mapping[str, Entry], held: Mapping[str, Entry]) -> Merged:
    """Decide which version of each file counts. `held` are last good versions of files that could not be looked at."""
    files = _Files({each.said.found.key: each for each in read}, known, held)
    for key, each in files.read.items():
        if each.problems:
            files.broken[key] = list(each.problems)
        elif not each.pipelines and not each.sessions and key in known and known[key].names:
            files.broken[key] = [Problem(1, 1, "holds no manifest any more: to remove what it held, delete the file")]
    _settle(files)
    entries = {key: found for key in (*files.read, *held) if (found := files.version(key)) is not None}
    diagnostics = [_diagnostic(files, key, problem) for key, found in files.broken.items() for problem in found]
    complete = all(key in known for key in files.broken)
    return Merged(entries, tuple(diagnostics), complete)


def world(merged: Merged, *, leases: Iterable[Session] = (), complete: bool = True) -> Desired:
    """Return desired state: pipelines, and standing, declared and leased sessions; of equal names the first counts."""
    pipelines: dict[str, Pipeline] = {}
    declared: list[tuple[Session, Origin]] = []
    for _, entry in sorted(merged.entries.items()):
        for pipeline in entry.pipelines:
            pipelines.setdefault(pipeline.name, pipeline)
        declared.extend(_declared(entry))
    standing = [p for p in pipelines.values() if p.activation == "Always" and not p.suspend]
    sessions = {p.name: Session(p.name, p.name, "standing", p.origin) for p in standing}
    wrong: list[Diagnostic] = []
    for session, place in declared:
        if session.pipeline not in pipelines:
            hint = instead(session.pipeline, sorted(pipelines), of="pipelines here")
            wrong.append(Diagnostic(place, f'spec.pipeline: there is no pipeline "{session.pipeline}", {hint}'))
        elif session.name in pipelines and pipelines[session.name].activation == "Always":
            said = f'metadata.name: "{session.name}" is the standing session of that pipeline; choose another name'
            wrong.append(Diagnostic(session.origin, said))
        else:
            sessions.setdefault(session.name, session)
    for lease in leases:
        sessions.setdefault(lease.name, lease)
    return Desired(
        pipelines=tuple(pipelines[name] for name in sorted(pipelines)),
        sessions=tuple(sessions[name] for name in sorted(sessions)),
        complete=merged.complete and complete,
        kept=kept.names(merged.entries),
        diagnostics=tuple(sorted((*merged.diagnostics, *wrong), key=_order)),
    )


def _order(diagnostic: Diagnostic) -> tuple[str, int, int, str]:
    origin = diagnostic.origin
    return (origin.path, origin.line, origin.column, diagnostic.message)


def _entry(read: Resolved) -> Entry:
    said = read.said
    return Entry(said.found.key, said.sha256, said.text, said.draft, read.pipelines, read.sessions)


def _settle(files: _Files) -> None:
    """Break files that claim another one's name until every name is claimed once; each round breaks one at least."""
    while True:
        fallen: dict[str, list[Problem]] = {}
        for claim, keys in files.claims().items():
            keeper = next((key for key in keys if key in files.known and claim in files.known[key].names), keys[0])
            for key in keys:
                if key != keeper and key not in files.broken and key not in files.held:
                    fallen.setdefault(key, []).append(_taken(files, claim, loser=key, keeper=keeper))
        if not fallen:
            return
        files.broken.update(fallen)


def _taken(files: _Files, claim: Claim, *, loser: str, keeper: str) -> Problem:
    """Say that a name is taken, at the place where it was claimed."""
    mine, theirs = _place(files.version(loser), claim), _place(files.version(keeper), claim)
    said = (
        f'metadata.name: the {claim[0]} "{claim[1]}" is also in {theirs.path}:{theirs.line}, which keeps it; rename one'
    )
    return Problem(mine.line, mine.column, said)


def _place(entry: Entry | None, claim: Claim) -> Origin:
    if entry is None:
        return Origin("?")
    objects = entry.pipelines if claim[0] == "pipeline" else entry.sessions
    return next((each.origin for each in objects if each.name == claim[1]), Origin(entry.path))


def _diagnostic(files: _Files, key: str, problem: Problem) -> Diagnostic:
    read = files.read[key]
    origin = Origin(read.said.found.shown, problem.line, problem.column)
    return Diagnostic(origin, problem.message, _pipeline(files.known.get(key), read, problem))


def _pipeline(entry: Entry | None, read: Resolved, problem: Problem) -> str:
    """Name the pipeline whose last good version goes on: the one the problem is in, or the first of the file."""
    if entry is None:
        return ""
    going_on = [pipeline.name for pipeline in entry.pipelines]
    names = read.said.draft.names
    named = names[problem.document] if 0 <= problem.document < len(names) else ""
    return named if named in going_on else next(iter(going_on), "")


def _declared(entry: Entry) -> Iterable[tuple[Session, Origin]]:
    """Yield declared sessions, and where each names its pipeline."""
    drafts = {draft.name: draft for draft in entry.draft.sessions}
    for session in entry.sessions:
        draft = drafts.get(session.name)
        line, column = (draft.pipeline_line, draft.pipeline_column) if draft else (1, 1)
        yield session, Origin(session.origin.path, line, column)
