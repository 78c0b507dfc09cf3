"""From drafts to pipelines: what lies outside the file is looked up, and everything gets its digest."""

from __future__ import annotations

import hashlib
import json
import os
from typing import TYPE_CHECKING, Any

from reconciler.contract.values import dataclass, default_of, is_value, names_of, replace
from reconciler.load.host import Outside, with_digests
from reconciler.load.locks import AGAIN, SUFFIX, Locks, environment_of
from reconciler.load.sources import Sources
from reconciler.load.tree import Problem
from reconciler.load.words import instead
from reconciler.model.desired import Session
from reconciler.model.errors import SourceError
from reconciler.model.manifest import Node, Origin, Pipeline, Source, Volume

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from reconciler.load.draft import NodePlace, PipelineDraft
    from reconciler.load.host import Host
    from reconciler.load.locks import Lock
    from reconciler.load.reading import Said
    from reconciler.load.store import Entry

    _Found = tuple[Lock | None, tuple[tuple[tuple[Source | Problem, Outside], ...], ...]]

DEFAULT_SOURCE = "nodes"
GENERATION_FORM = 1


@dataclass(frozen=True, slots=True)
class Resolved:
    """One file with all it refers to; with problems, nothing in it counts."""

    said: Said
    pipelines: tuple[Pipeline, ...] = ()
    sessions: tuple[Session, ...] = ()
    problems: tuple[Problem, ...] = ()


class Resolver:
    """Looks up what drafts refer to. A file whose draft and sources are as before is what it was before.

    Without `locked`, locks are passed over: who writes them must not need them.
    """

    def __init__(self, host: Host, *, locked: bool = True) -> None:
        self._host = host
        self._root = ""
        self._refused: dict[tuple[str, str], str] = {}
        self._sources = Sources()
        self._locks = Locks() if locked else None
        self._looks: dict[str, tuple[_Found, Resolved]] = {}

    def resolve(self, files: Iterable[Said], known: Mapping[str, Entry], *, root: str) -> list[Resolved]:
        """Resolve all files of a pass. `known` are last good versions, whose node types need no second check.

        `root` is the directory of all manifests, links resolved.
        """
        self._sources.begin()
        self._refused = {}
        self._root = root
        for entry in known.values() if not self._looks else ():
            for node in (node for pipeline in entry.pipelines for node in pipeline.nodes if node.source.digest):
                self._sources.trust(node.source.digest, node.node_type)
        before, self._looks = self._looks, {}
        return [self._resolve(said, before.get(said.found.key)) for said in files]

    def _resolve(self, said: Said, before: tuple[_Found, Resolved] | None) -> Resolved:
        if said.draft.problems:
            return Resolved(said, problems=said.draft.problems)
        lock = self._locks.beside(said.found.real) if self._locks and said.draft.pipelines else None
        found = (lock, tuple(self._found(said, draft) for draft in said.draft.pipelines))
        same = before is not None and before[0] == found and before[1].said is said
        resolved = before[1] if before is not None and same else _made(said, found)
        self._looks[said.found.key] = (found, resolved)
        return resolved

    def _found(self, said: Said, draft: PipelineDraft) -> tuple[tuple[Source | Problem, Outside], ...]:
        base = os.path.split(said.found.real)[0]
        pairs = zip(draft.pipeline.nodes, draft.places, strict=True)
        return tuple(
            (self._source(node, place, base), self._host.outside(node, place, base, self._root))
            for node, place in pairs
        )

    def _source(self, node: Node, place: NodePlace, base: str) -> Source | Problem:
        written = node.source.path or DEFAULT_SOURCE
        said = "" if written.startswith("/") else self._refusal(written, base)
        if said:
            return Problem(place.source_line, place.source_column, f'source of node "{node.id}": {said}')
        return _source(node, place, base, self._sources)

    def _refusal(self, written: str, base: str) -> str:
        """Return what the host says of a place, which most nodes share: asked once in a pass."""
        if (written, base) not in self._refused:
            self._refused[written, base] = self._host.refusal(written, base, self._root)
        return self._refused[written, base]


def _made(said: Said, found: _Found) -> Resolved:
    problems: list[Problem] = []
    pipelines: list[Pipeline] = []
    lock, looked = found
    for draft, nodes in zip(said.draft.pipelines, looked, strict=True):
        wrong = [source for source, _ in nodes if isinstance(source, Problem)]
        wrong += [problem for _, outside in nodes for problem in outside.problems]
        wrong += _stale(said, draft, lock) if lock else ()
        problems.extend(replace(each, document=_document(said, draft)) for each in wrong)
        if not wrong:
            pipelines.append(_pipeline(said, draft, [(s, o) for s, o in nodes if isinstance(s, Source)], lock))
    if problems:
        return Resolved(said, problems=tuple(problems))
    sessions = tuple(
        Session(each.name, each.pipeline, "declared", Origin(said.found.shown, each.line, each.column))
        for each in said.draft.sessions
    )
    return Resolved(said, tuple(pipelines), sessions)


def _stale(said: Said, draft: PipelineDraft, lock: Lock) -> list[Problem]:
    """Return what of a pipeline is not in the lock that lies beside its file."""
    name = os.path.split(said.found.shown)[1] + SUFFIX
    if lock.why:
        return [Problem(1, 1, f"{name} {lock.why}")]
    pairs = zip(draft.pipeline.nodes, draft.places, strict=True)
    return [
        Problem(
            place.type_line, place.type_column, f'{name} is stale: it lacks what node "{node.id}" asks for; {AGAIN}'
        )
        for node, place in pairs
        if node.docker is not None and environment_of(node.docker) not in lock.resolved
    ]


def _pipeline(said: Said, draft: PipelineDraft, found: Sequence[tuple[Source, Outside]], lock: Lock | None) -> Pipeline:
    base = os.path.split(said.found.real)[0]
    pairs = zip(draft.pipeline.nodes, found, strict=True)
    absolute = (_absolute(replace(node, source=source), outside, base) for node, (source, outside) in pairs)
    nodes = tuple(_locked(node, lock) for node in absolute)
    pipeline = replace(draft.pipeline, nodes=nodes, origin=replace(draft.pipeline.origin, path=said.found.shown))
    return replace(pipeline, generation=generation(pipeline))


def _locked(node: Node, lock: Lock | None) -> Node:
    if lock is None or node.docker is None:
        return node
    return replace(node, docker=replace(node.docker, resolved=lock.resolved[environment_of(node.docker)]))


def source_dirs(said: Said) -> set[str]:
    """Return the directories of node source that a file names, but those that hold the file itself."""
    base = os.path.split(said.found.real)[0]
    written = {node.source.path for draft in said.draft.pipelines for node in draft.pipeline.nodes if node.source.path}
    found = {os.path.normpath(os.path.join(base, path)) for path in written}
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
    if not is_value(value):
        return value
    found = ((name, getattr(value, name)) for name in names_of(value))
    return {name: _canonical(each) for name, each in found if each != default_of(value, name)}


def _document(said: Said, draft: PipelineDraft) -> int:
    names = said.draft.names
    return names.index(draft.pipeline.name) if draft.pipeline.name in names else -1


def _absolute(node: Node, outside: Outside, base: str) -> Node:
    docker = node.docker
    if docker is None:
        return node
    if outside.digests:
        docker = with_digests(docker, outside.digests, base)
    if not all(volume.host_path.startswith("/") for volume in docker.volumes):
        volumes = tuple(sorted(replace(each, host_path=_below(base, each)) for each in docker.volumes))
        docker = replace(docker, volumes=volumes)
    return replace(node, docker=docker)


def _below(base: str, volume: Volume) -> str:
    return os.path.normpath(os.path.join(base, volume.host_path))


def _source(node: Node, place: NodePlace, base: str, sources: Sources) -> Source | Problem:
    """Return where a node's code is; nothing where the image brings it; or what is wrong."""
    written = node.source.path
    directory = os.path.normpath(os.path.join(base, written or DEFAULT_SOURCE))
    if not os.path.isdir(directory):
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
    wanted = os.path.normpath(os.path.join(base, written))
    if os.path.exists(wanted):
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
