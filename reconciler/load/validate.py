"""From the bytes of one file to a draft: every document checked, everything wrong said with line and column."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import ValidationError

from reconciler.contract import names
from reconciler.contract.values import dataclass, replace
from reconciler.load import graph, v1, written
from reconciler.load.convert import pipeline_draft, session_draft
from reconciler.load.draft import Draft, PipelineDraft, SessionDraft
from reconciler.load.messages import problems
from reconciler.load.parse import parse
from reconciler.load.tree import Problem, as_text, at, plain, texts
from reconciler.load.words import found_text, instead

if TYPE_CHECKING:
    from reconciler.load.tree import Item

_KINDS = ("Pipeline", "Session")
_TEXTS = (("metadata", "labels"), ("metadata", "annotations"), ("spec", "nodes", "*", "docker", "env"))
"""Mappings in which a number or a boolean is taken as the text that was written."""


@dataclass(frozen=True, slots=True)
class _Checked:
    made: PipelineDraft | SessionDraft | None = None
    problems: tuple[Problem, ...] = ()


def check(data: bytes) -> Draft:
    """Return what a file says. Never raises, whatever the bytes."""
    parsed = parse(data)
    if parsed.problems:
        named = tuple(name for document in parsed.documents if (name := _name(document)))
        return Draft(problems=parsed.problems, names=named)
    pipelines: list[PipelineDraft] = []
    sessions: list[SessionDraft] = []
    found: list[Problem] = []
    for index, document in enumerate(parsed.documents):
        checked = _check(document)
        found.extend(replace(problem, document=index) for problem in checked.problems)
        match checked.made:
            case PipelineDraft() as made:
                pipelines.append(made)
            case SessionDraft() as session:
                sessions.append(session)
    found.extend(_twice(pipelines, sessions))
    found.sort(key=lambda each: (each.line, each.column))
    named = tuple(_name(document) for document in parsed.documents)
    if found:
        return Draft(problems=tuple(found), names=named)
    return Draft(tuple(pipelines), tuple(sessions), names=named)


def _name(document: Item) -> str:
    """Return a document's name as far as it can be told, so that a problem can be reported to its pipeline."""
    name = (v1.rewrite(document)[0] if v1.is_v1(document) else document).get("metadata", "name")
    return name.value if name and isinstance(name.value, str) and names.NAME.fullmatch(name.value) else ""


def _check(document: Item) -> _Checked:
    if not isinstance(document.value, dict):
        said = f"found {found_text(document)}, expected a manifest (apiVersion: {written.API_VERSION}, kind, ...)"
        return _Checked(problems=(document.problem(said),))
    if v1.is_v1(document):
        document, slips = v1.rewrite(document)
        checked = _pipeline(document)
        wrong = (*slips, *checked.problems)
        return _Checked(problems=wrong) if wrong else checked
    version, kind = document.get("apiVersion"), document.get("kind")
    if version is None or version.value != written.API_VERSION:
        return _Checked(problems=(_version(document, version),))
    if kind is None or kind.value not in _KINDS:
        return _Checked(problems=(_kind(document, kind),))
    return _pipeline(document) if kind.value == "Pipeline" else _session(document)


def _version(document: Item, version: Item | None) -> Problem:
    expected = f'expected "{written.API_VERSION}"'
    if version is None:
        hint = next((e.key for name, e in document.entries().items() if name.lower() == "apiversion"), document)
        return hint.problem(f'"apiVersion" is missing, {expected} (or a document with `version: v1`)')
    return version.problem(f"apiVersion: found {found_text(version)}, {expected}")


def _kind(document: Item, kind: Item | None) -> Problem:
    allowed = ", ".join(f'"{each}"' for each in _KINDS)
    if kind is None:
        return document.problem(f'"kind" is missing, allowed: {allowed}')
    hint = f"; {instead(kind.text, _KINDS)}" if isinstance(kind.value, str) else ""
    said = f"kind: found {found_text(kind)}, allowed: {allowed}"
    return kind.problem(said + (hint if "did you mean" in hint else ""))


def _pipeline(document: Item) -> _Checked:
    document = at(document, ("spec", "sharedMemory", "size"), as_text)
    for way in _TEXTS:
        document = at(document, way, texts)
    try:
        manifest = written.PipelineManifest.model_validate(plain(document))
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False)
        return _Checked(problems=tuple(problems(details, document, written.PipelineManifest)))
    wrong = graph.check(manifest.spec, document)
    if wrong:
        return _Checked(problems=tuple(wrong))
    return _Checked(pipeline_draft(manifest, document))


def _session(document: Item) -> _Checked:
    for way in _TEXTS[:2]:
        document = at(document, way, texts)
    try:
        manifest = written.SessionManifest.model_validate(plain(document))
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False)
        return _Checked(problems=tuple(problems(details, document, written.SessionManifest)))
    return _Checked(session_draft(manifest, document))


def _twice(pipelines: list[PipelineDraft], sessions: list[SessionDraft]) -> list[Problem]:
    """Say which names are there twice in one file."""
    found: list[Problem] = []
    places = [("pipeline", d.pipeline.name, d.pipeline.origin.line, d.pipeline.origin.column) for d in pipelines]
    places += [("session", d.name, d.line, d.column) for d in sessions]
    first: dict[tuple[str, str], int] = {}
    for kind, name, line, column in places:
        if (kind, name) in first:
            said = f'{kind} "{name}" is there twice in this file, first on line {first[kind, name]}'
            found.append(Problem(line, column, said))
        first.setdefault((kind, name), line)
    return found
