"""From drafts to pipelines: what lies outside the file is looked up, and everything gets its digest."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from reconciler.load.tree import Problem
from reconciler.load.words import instead
from reconciler.model.desired import Session
from reconciler.model.errors import SourceError
from reconciler.model.manifest import Node, Origin, Pipeline, Source, Volume

if TYPE_CHECKING:
    from reconciler.load.draft import NodePlace, PipelineDraft
    from reconciler.load.files import Found
    from reconciler.load.reading import Said
    from reconciler.load.sources import Sources

DEFAULT_SOURCE = "nodes"
GENERATION_FORM = 1


@dataclass(frozen=True, slots=True)
class Resolved:
    """One file with all it refers to; with problems, nothing in it counts."""

    said: Said
    pipelines: tuple[Pipeline, ...] = ()
    sessions: tuple[Session, ...] = ()
    problems: tuple[Problem, ...] = ()


def resolve(said: Said, sources: Sources) -> Resolved:
    """Look up what a file's drafts refer to."""
    if said.draft.problems:
        return Resolved(said, problems=said.draft.problems)
    base = os.path.dirname(said.found.real)  # noqa: PTH120 - plain strings, since this runs for every file in every pass
    pipelines: list[Pipeline] = []
    problems: list[Problem] = []
    for draft in said.draft.pipelines:
        nodes: list[Node] = []
        for node, place in zip(draft.pipeline.nodes, draft.places, strict=True):
            match _source(node, place, base, sources):
                case Problem() as problem:
                    problems.append(replace(problem, document=_document(said, draft)))
                case source:
                    nodes.append(_absolute(replace(node, source=source), base))
        pipelines.append(_finished(draft, tuple(nodes), said.found))
    if problems:
        return Resolved(said, problems=tuple(problems))
    sessions = tuple(
        Session(each.name, each.pipeline, "declared", Origin(said.found.shown, each.line, each.column))
        for each in said.draft.sessions
    )
    return Resolved(said, tuple(pipelines), sessions)


def source_dirs(said: Said) -> set[str]:
    """Return the directories of node source that a file names, but those that hold the file itself."""
    base = os.path.dirname(said.found.real)  # noqa: PTH120
    written = {node.source.path for draft in said.draft.pipelines for node in draft.pipeline.nodes if node.source.path}
    found = {os.path.normpath(os.path.join(base, path)) for path in written}  # noqa: PTH118
    return {path for path in found if not f"{base}/".startswith(f"{path}/")}


def generation(pipeline: Pipeline) -> str:
    """Return the digest of a spec: 64 hexadecimal digits, the same for equal specs in every version of this program.

    Names, marks and places are not in it, nor is what has its default value, so that a new field changes no digest.
    """
    spec = {
        name: value
        for name, value in _canonical(pipeline).items()
        if name not in ("name", "generation", "labels", "annotations", "origin")
    }
    form = {"form": GENERATION_FORM, "spec": spec}
    text = json.dumps(form, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _canonical(value: Any) -> Any:
    if isinstance(value, Source):
        return value.digest
    if isinstance(value, tuple):
        return [_canonical(each) for each in value]
    if not dataclasses.is_dataclass(value):
        return value
    found = {field.name: (field, getattr(value, field.name)) for field in dataclasses.fields(value)}
    return {name: _canonical(each) for name, (field, each) in found.items() if each != _default(field)}


def _default(field: dataclasses.Field[Any]) -> Any:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return field.default


def _finished(draft: PipelineDraft, nodes: tuple[Node, ...], found: Found) -> Pipeline:
    pipeline = replace(draft.pipeline, nodes=nodes, origin=replace(draft.pipeline.origin, path=found.shown))
    return replace(pipeline, generation=generation(pipeline))


def _document(said: Said, draft: PipelineDraft) -> int:
    names = said.draft.names
    return names.index(draft.pipeline.name) if draft.pipeline.name in names else -1


def _absolute(node: Node, base: str) -> Node:
    if node.docker is None or all(volume.host_path.startswith("/") for volume in node.docker.volumes):
        return node
    volumes = tuple(sorted(replace(each, host_path=_below(base, each)) for each in node.docker.volumes))
    return replace(node, docker=replace(node.docker, volumes=volumes))


def _below(base: str, volume: Volume) -> str:
    return os.path.normpath(os.path.join(base, volume.host_path))  # noqa: PTH118


def _source(node: Node, place: NodePlace, base: str, sources: Sources) -> Source | Problem:
    """Return where a node's code is; nothing where the image brings it; or what is wrong."""
    written = node.source.path
    directory = os.path.normpath(os.path.join(base, written or DEFAULT_SOURCE))  # noqa: PTH118
    if not os.path.isdir(directory):  # noqa: PTH112
        if written or not place.baked:
            return _no_directory(node, place, base)
        return Source("", "")
    try:
        digest = sources.digest(directory)
        missing = sources.missing(directory, node.node_type)
    except SourceError as error:
        return Problem(place.source_line, place.source_column, f'source of node "{node.id}": {error}')
    if not missing:
        return Source(directory, digest)
    if place.baked:
        # An image may bring what the manifest's own folder lacks, unless the folder was named.
        return Source(directory, digest) if written else Source("", "")
    where = written or f"./{DEFAULT_SOURCE}"
    return Problem(place.type_line, place.type_column, f'nodeType of node "{node.id}": {where} has {missing}')


def _no_directory(node: Node, place: NodePlace, base: str) -> Problem:
    written = node.source.path
    if not written:
        said = f'node "{node.id}" has no source: put its code into ./{DEFAULT_SOURCE} beside the manifest'
        return Problem(place.source_line, place.source_column, f"{said}, or name its directory")
    wanted = os.path.normpath(os.path.join(base, written))  # noqa: PTH118
    if os.path.exists(wanted):  # noqa: PTH110
        said = f'source of node "{node.id}": {written} is no directory'
    else:
        above, name = os.path.split(wanted)
        hint = instead(name, _folders(above), of=f"folders in {os.path.relpath(above, base)}")
        said = f'source of node "{node.id}": there is no directory {written}, {hint}'
    return Problem(place.source_line, place.source_column, said)


def _folders(directory: str) -> list[str]:
    try:
        with os.scandir(directory) as entries:
            return sorted(each.name for each in entries if each.is_dir() and not each.name.startswith("."))[:20]
    except OSError:
        return []
