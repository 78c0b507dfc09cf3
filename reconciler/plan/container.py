"""What a node's container is made of, and its identity."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.contract import env, labels, names
from reconciler.contract.values import replace
from reconciler.model.instance import ContainerSpec
from reconciler.model.manifest import Limits, Volume
from reconciler.plan.canonical import digest
from reconciler.plan.sandbox import sandbox_hash

if TYPE_CHECKING:
    from reconciler.model.instance import EnvImage
    from reconciler.model.manifest import Docker, Node, Pairs, Pipeline
    from reconciler.model.observed import Site

BAKED_SOURCE = "/app/nodes"
"""Where node code of an image that brings its own is looked for."""


SHARED_MEMORY = "/dev/shm"  # noqa: S108 - the host's shared memory itself, not a temporary file

WRITABLE = {"HOME": "/tmp"}  # noqa: S108 - the container's own
"""Libraries keep caches in the home directory, and `/tmp` is all that can be written. A manifest may say otherwise."""


def node_hash(node: Node, docker: Docker, *, pipeline: Pipeline, env_hash: str, user: str) -> str:
    """Return the identity of a node container: all that can't be changed while it runs.

    Parameters are not in it, since they travel with each session's assignment, nor are limits, which are updated in
    place. An isolated node, or one with private shared memory, has its pipeline's name in it and so is never shared.
    """
    private = pipeline.shared_memory.isolation == "Private"
    alone = docker.isolated or private
    return digest(
        "node",
        {
            **_later(docker),
            **({"sandbox": sandbox_hash(pipeline, user=user)} if private else {}),
            "env": env_hash,
            "type": node.node_type,
            "source": node.source.digest,
            "environment": [list(pair) for pair in docker.env],
            "volumes": [[v.host_path, v.container_path, v.read_only] for v in docker.volumes],
            "network": docker.network,
            "ports": list(docker.ports),
            "gpus": docker.gpus,
            "user": user,
            "alone": pipeline.name if alone else "",
        },
    )


def _later(docker: Docker) -> dict[str, object]:
    """Return what later versions know besides, and only where it is asked for: without it a hash is what it was."""
    found = {
        "gpu_ids": list(docker.gpu_ids),
        "open_files": docker.open_files,
        "env_from": [file.digest for file in docker.env_from],
        "secrets": [[file.name, file.digest] for file in docker.secrets],
    }
    return {name: value for name, value in found.items() if value}


def container_spec(
    node: Node, docker: Docker, *, pipeline: Pipeline, image: EnvImage, site: Site, hashed: str
) -> ContainerSpec:
    """Return the container a node asks for. Limits are the node's own; sharing widens them."""
    name = names.instance_name(site.instance, hashed)
    return ContainerSpec(
        name=name,
        image=image.tag,
        labels=_labels(node, pipeline=pipeline, image=image, site=site, hashed=hashed),
        environment=_environment(node, docker, site=site, name=name),
        mounts=_mounts(node, docker, site=site, name=name),
        network=docker.network,
        user=user_of(site),
        limits=docker.limits,
        ports=docker.ports,
        gpus=docker.gpus,
        gpu_ids=docker.gpu_ids,
        open_files=docker.open_files,
    )


def joined(spec: ContainerSpec, sandbox: str, site: Site) -> ContainerSpec:
    """Return a node's container that joins the memory of a sandbox, by its id, instead of the host's."""
    environment = {**dict(spec.environment), env.SHM_ROOT: names.PRIVATE_SHM_ROOT}
    return replace(
        spec,
        labels=tuple(sorted({**dict(spec.labels), labels.SANDBOX: sandbox}.items())),
        environment=tuple(sorted(environment.items())),
        mounts=tuple(each for each in spec.mounts if each.host_path not in (SHARED_MEMORY, site.shm_root)),
        ipc=f"container:{sandbox}",
    )


def user_of(site: Site) -> str:
    """Return the one user of controller, programs and nodes: iceoryx2's files are readable by their owner only."""
    return f"{site.uid}:{site.gid}"


def widest(first: Limits, second: Limits) -> Limits:
    """Return limits that satisfy two sharers; no limit is the widest."""
    return Limits(
        memory_bytes=_wider(first.memory_bytes, second.memory_bytes),
        nano_cpus=_wider(first.nano_cpus, second.nano_cpus),
        pids=_wider(first.pids, second.pids),
    )


def _wider(first: int | None, second: int | None) -> int | None:
    return None if first is None or second is None else max(first, second)


def _labels(node: Node, *, pipeline: Pipeline, image: EnvImage, site: Site, hashed: str) -> Pairs:
    return tuple(
        sorted(
            {
                labels.INSTANCE: site.instance,
                labels.KIND: labels.KIND_NODE,
                labels.NODE_HASH: hashed,
                labels.ENV_HASH: image.env_hash,
                labels.PIPELINE: pipeline.name,
                labels.NODE: node.id,
                labels.VERSION: site.version,
            }.items()
        )
    )


def _environment(node: Node, docker: Docker, *, site: Site, name: str) -> Pairs:
    ours = {
        env.INSTANCE: site.instance,
        env.NODE_NAME: name,
        env.NODE_DIR: names.CONTAINER_NODE_DIR,
        env.NODE_TYPE: node.node_type,
        env.SOURCE_DIR: names.CONTAINER_SOURCE_DIR if node.source.digest else BAKED_SOURCE,
        env.SHM_ROOT: site.shm_root,
        env.SHM_PREFIX: site.shm_prefix,
        "PYTHONUNBUFFERED": "1",
    }
    if docker.env_from:
        ours[env.ENV_FILES] = ":".join(_env_file(index) for index in range(len(docker.env_from)))
    return tuple(sorted({**WRITABLE, **dict(docker.env), **ours}.items()))


def _mounts(node: Node, docker: Docker, *, site: Site, name: str) -> tuple[Volume, ...]:
    """Exactly the paths that iceoryx2 needs, the instance's own directory, its source, its secrets, the user's."""
    ours = [
        Volume(SHARED_MEMORY, SHARED_MEMORY),
        Volume(site.shm_root, site.shm_root),
        Volume(f"{site.nodes_dir}/{name}", names.CONTAINER_NODE_DIR),
    ]
    if node.source.digest:
        ours.append(Volume(f"{site.sources_dir}/{node.source.digest}", names.CONTAINER_SOURCE_DIR, read_only=True))
    secrets = [(file.path, _env_file(index)) for index, file in enumerate(docker.env_from)]
    secrets += [(file.path, f"{names.CONTAINER_SECRETS_DIR}/{file.name}") for file in docker.secrets]
    ours.extend(Volume(path, place, read_only=True) for path, place in secrets)
    return (*ours, *docker.volumes)


def _env_file(index: int) -> str:
    return f"{names.CONTAINER_ENV_DIR}/{index}"
