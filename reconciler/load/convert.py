"""From the checked manifest to the frozen values that every layer speaks of."""

from __future__ import annotations

import json
import posixpath
from typing import TYPE_CHECKING

from reconciler.load.draft import NodePlace, PipelineDraft, SessionDraft
from reconciler.model.manifest import (
    ALL_GPUS,
    Connection,
    Docker,
    Limits,
    Node,
    Origin,
    Pipeline,
    Restart,
    SecretFile,
    SharedMemory,
    Source,
    Volume,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from reconciler.load import written
    from reconciler.load.tree import Item
    from reconciler.model.manifest import Pairs

BAKED_DIR = "/app/nodes"
"""Where an image brings its own node code."""

_UNITS = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40}


def pipeline_draft(manifest: written.PipelineManifest, root: Item) -> PipelineDraft:
    """Convert a pipeline; what lies outside the file is left for later."""
    spec = manifest.spec
    name = root.get("metadata", "name") or root
    pipeline = Pipeline(
        name=manifest.metadata.name,
        generation="",
        nodes=tuple(_node(node) for node in spec.nodes),
        connections=tuple(_connection(connection) for connection in spec.connections),
        labels=_pairs(manifest.metadata.labels),
        annotations=_pairs(manifest.metadata.annotations),
        activation=spec.activation,
        idle_timeout_s=float(spec.idle_timeout_seconds),
        suspend=spec.suspend,
        shared_memory=SharedMemory(spec.shared_memory.isolation, quantity(spec.shared_memory.size)),
        origin=Origin("", name.line, name.column),
    )
    places = tuple(_place(node, root.get("spec", "nodes", index) or root) for index, node in enumerate(spec.nodes))
    return PipelineDraft(pipeline, places)


def session_draft(manifest: written.SessionManifest, root: Item) -> SessionDraft:
    """Convert a declared session."""
    name = root.get("metadata", "name") or root
    pipeline = root.get("spec", "pipeline") or root
    return SessionDraft(
        name=manifest.metadata.name,
        pipeline=manifest.spec.pipeline,
        line=name.line,
        column=name.column,
        pipeline_line=pipeline.line,
        pipeline_column=pipeline.column,
    )


def quantity(text: str) -> int:
    """Return a size in bytes, like `512Mi`."""
    unit = text[-2:]
    return int(text[:-2]) << _UNITS[unit] if unit in _UNITS else int(text)


def _pairs(mapping: Mapping[str, str]) -> Pairs:
    return tuple(sorted(mapping.items()))


def _node(node: written.Node) -> Node:
    return Node(
        id=node.id,
        node_type=node.node_type,
        source=Source(node.source or "", ""),
        params=json.dumps(node.params, sort_keys=True, separators=(",", ":")),
        docker=_docker(node.container) if node.container is not None else None,
        restart=Restart(node.restart.policy, float(node.restart.max_backoff_seconds)),
        on_error=node.on_error,
        stall_timeout_s=None if node.stall_timeout_seconds is None else float(node.stall_timeout_seconds),
    )


def _docker(docker: written.Docker) -> Docker:
    return Docker(
        python_version=docker.python_version,
        system_dependencies=tuple(docker.system_dependencies),
        python_packages=tuple(docker.python_packages),
        limits=_limits(docker.resource_limits),
        base_image=docker.base_image,
        env=_pairs(docker.env),
        volumes=tuple(_volume(docker.volumes[index]) for index in _order(docker)),
        network=docker.network,
        ports=tuple(docker.ports),
        gpus=_gpus(docker.gpus),
        isolated=docker.isolated,
        gpu_ids=tuple(docker.gpus) if isinstance(docker.gpus, list) else (),
        open_files=docker.resource_limits.open_files,
        env_from=tuple(SecretFile(each.file) for each in docker.env_from),
        secrets=tuple(SecretFile(each.file, each.name) for each in docker.secrets),
        pull_policy=docker.pull_policy,
    )


def _gpus(asked: object) -> int:
    if asked == "all":
        return ALL_GPUS
    return asked if isinstance(asked, int) else 0


def _order(docker: written.Docker) -> list[int]:
    """Return the places of volumes in the order of what they say, in which they make no difference."""
    return sorted(range(len(docker.volumes)), key=lambda index: _volume(docker.volumes[index]))


def _limits(limits: written.ResourceLimits) -> Limits:
    return Limits(
        memory_bytes=None if limits.memory_mb is None else limits.memory_mb << 20,
        nano_cpus=None if limits.cpu_cores is None else round(limits.cpu_cores * 1e9),
        pids=limits.pids,
    )


def _volume(volume: written.Volume) -> Volume:
    path = posixpath.normpath("/" + volume.container_path.lstrip("/"))
    return Volume(volume.host_path, path, volume.read_only)


def _connection(connection: written.Connection) -> Connection:
    return Connection(
        source=connection.from_,
        target=connection.to,
        from_output=connection.from_output or "",
        to_input=connection.to_input or "",
        delivery=connection.delivery,
        buffer=connection.buffer,
    )


def _place(node: written.Node, item: Item) -> NodePlace:
    source = item.get("source") or item
    kind = item.get("nodeType") or item
    docker = node.container
    return NodePlace(
        source.line,
        source.column,
        kind.line,
        kind.column,
        _baked(node),
        volumes=_places(item, "volumes", "hostPath", _order(docker) if docker else ()),
        env_from=_places(item, "envFrom", "file", range(len(docker.env_from) if docker else 0)),
        secrets=_places(item, "secrets", "file", range(len(docker.secrets) if docker else 0)),
    )


def _places(node: Item, field: str, key: str, order: Iterable[int]) -> tuple[tuple[int, int], ...]:
    found = [node.get("docker", field, index, key) or node for index in order]
    return tuple((each.line, each.column) for each in found)


def _baked(node: written.Node) -> bool:
    """Whether an image or a volume may bring the node's code."""
    docker = node.container
    if docker is None:
        return False
    paths = [posixpath.normpath(volume.container_path) for volume in docker.volumes]
    return docker.base_image is not None or any(f"{BAKED_DIR}/".startswith(f"{path}/") for path in paths)
