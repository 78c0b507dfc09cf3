"""What the values of a pipeline mean together: ids, connections, cycles, ports, paths.

Rule: everything here is a pure function of one document; the checks need neither disk nor other files.
"""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING

from reconciler.contract import names
from reconciler.load.words import cut, instead

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reconciler.load.tree import Item, Problem
    from reconciler.load.written import Docker, PipelineSpec

RESERVED_PATHS = (
    "/dev",
    "/proc",
    "/sys",
    "/run/reconciler",
    names.CONTAINER_SECRETS_DIR,
    names.CONTAINER_SOURCE_DIR,
)
"""Container paths a volume may not cover: the system's own, and those the node runtime lives on."""

MAX_PORT = 65_535


def check(spec: PipelineSpec, root: Item) -> list[Problem]:
    """Return what is wrong with a pipeline as a whole. `root` is its document."""
    found = [*_ids(spec, root), *_ends(spec, root)]
    if not found:
        found = [*_twice(spec, root), *_cycle(spec, root)]
    if spec.shared_memory.isolation == "Private":
        found.extend(_outside(spec, root))
    for index, node in enumerate(spec.nodes):
        if node.container is not None:
            item = root.get("spec", "nodes", index, "docker") or root
            found.extend(_container(node.container, item))
    return sorted(found, key=lambda each: (each.line, each.column))


def _outside(spec: PipelineSpec, root: Item) -> Iterator[Problem]:
    """Say which nodes could not join the pipeline's own memory: a host process has the host's."""
    for index, node in enumerate(spec.nodes):
        if node.container is None:
            item = root.get("spec", "nodes", index, "id") or root
            said = f'node "{node.id}" is a process on the host, which has no part in Private shared memory'
            yield item.problem(f"spec.sharedMemory.isolation: {said}; give it a docker block")


def _ids(spec: PipelineSpec, root: Item) -> Iterator[Problem]:
    first: dict[str, int] = {}
    for index, node in enumerate(spec.nodes):
        item = root.get("spec", "nodes", index, "id") or root
        if node.id in first:
            yield item.problem(f'node id "{node.id}" is there twice, first on line {first[node.id]}')
        first.setdefault(node.id, item.line)


def _ends(spec: PipelineSpec, root: Item) -> Iterator[Problem]:
    ids = list(dict.fromkeys(node.id for node in spec.nodes))
    for index, connection in enumerate(spec.connections):
        where = f"spec.connections[{index}]"
        for key, end in (("from", connection.from_), ("to", connection.to)):
            item = root.get("spec", "connections", index, key) or root
            if end not in ids:
                known = instead(end, ids, of="nodes of this pipeline")
                yield item.problem(f'{where}.{key}: no node has the id "{cut(end)}", {known}')
        if connection.from_ == connection.to and connection.to in ids:
            item = root.get("spec", "connections", index, "to") or root
            yield item.problem(f'{where}: node "{connection.to}" is connected to itself')


def _twice(spec: PipelineSpec, root: Item) -> Iterator[Problem]:
    first: dict[tuple[str, str, str, str], int] = {}
    for index, each in enumerate(spec.connections):
        item = root.get("spec", "connections", index) or root
        key = (each.from_, each.from_output or "", each.to, each.to_input or "")
        if key in first:
            said = f"the connection from {each.from_} to {each.to} is there twice, first on line {first[key]}"
            yield item.problem(f"spec.connections[{index}]: {said}")
        first.setdefault(key, item.line)


def _cycle(spec: PipelineSpec, root: Item) -> Iterator[Problem]:
    """Follow connections depth first, without recursion; say the first cycle and where it closes."""
    after: dict[str, list[tuple[str, int]]] = {node.id: [] for node in spec.nodes}
    for index, connection in enumerate(spec.connections):
        after[connection.from_].append((connection.to, index))
    done: set[str] = set()
    for start, first in after.items():
        trail = [start]
        branches = [iter(first)]
        while branches and start not in done:
            step = next(branches[-1], None)
            if step is None:
                done.add(trail.pop())
                branches.pop()
            elif step[0] in trail:
                cycle = [*trail[trail.index(step[0]) :], step[0]]
                item = root.get("spec", "connections", step[1]) or root
                yield item.problem(f"spec.connections[{step[1]}]: closes a cycle: {' -> '.join(cycle)}")
                return
            elif step[0] not in done:
                trail.append(step[0])
                branches.append(iter(after[step[0]]))


def _container(docker: Docker, item: Item) -> Iterator[Problem]:
    yield from _environment(item)
    yield from _volumes(docker, item)
    yield from _ports(docker, item)
    taken: set[str] = set()
    for index, secret in enumerate(docker.secrets):
        if secret.name in taken:
            place = item.get("secrets", index, "name") or item
            yield place.problem(f'docker.secrets[{index}]: the name "{cut(secret.name)}" is taken by another secret')
        taken.add(secret.name)


def _environment(item: Item) -> Iterator[Problem]:
    env = item.get("env")
    for name, entry in env.entries().items() if env else ():
        if name.startswith(names.RESERVED_ENV):
            yield entry.key.problem(f'docker.env: "{name}" is set by the node runtime; choose another name')


def _volumes(docker: Docker, item: Item) -> Iterator[Problem]:
    taken: set[str] = set()
    for index, volume in enumerate(docker.volumes):
        place = item.get("volumes", index, "containerPath") or item
        path = posixpath.normpath("/" + volume.container_path.lstrip("/"))
        said = f'docker.volumes[{index}]: container path "{cut(volume.container_path)}"'
        if ".." in volume.container_path.split("/"):
            yield place.problem(f"{said} holds `..`")
        elif path == "/" or any(_covers(path, reserved) for reserved in RESERVED_PATHS):
            yield place.problem(f"{said} is reserved; choose one outside {', '.join(RESERVED_PATHS)}")
        elif path in taken:
            yield place.problem(f"{said} is taken by another volume")
        taken.add(path)


def _covers(path: str, reserved: str) -> bool:
    return path == reserved or path.startswith(f"{reserved}/") or reserved.startswith(f"{path}/")


def _ports(docker: Docker, item: Item) -> Iterator[Problem]:
    taken: set[str] = set()
    for index, port in enumerate(docker.ports):
        place = item.get("ports", index) or item
        numbers, _, protocol = port.partition("/")
        host, container = numbers.split(":")[-2:]
        published = f"{numbers.rpartition(':')[0]}/{protocol or 'tcp'}"
        if docker.network in ("host", "none"):
            yield place.problem(f'docker.ports: a port can\'t be published with network "{docker.network}"')
        elif not all(1 <= int(number) <= MAX_PORT for number in (host, container)):
            yield place.problem(f'docker.ports[{index}]: found "{port}", port numbers go from 1 to {MAX_PORT}')
        elif published in taken:
            yield place.problem(f"docker.ports[{index}]: host port {host} is published twice")
        taken.add(published)
