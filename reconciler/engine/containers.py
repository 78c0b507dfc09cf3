"""Containers and images between our values and the engine's JSON. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, cast

from reconciler.contract import labels, names
from reconciler.engine.port import Autopsy
from reconciler.model.manifest import Limits
from reconciler.model.observed import Container, ContainerState, Image

if TYPE_CHECKING:
    from collections.abc import Iterable

    from docker.types import DeviceRequest

    from reconciler.model.instance import ContainerSpec

STOP_TIMEOUT_S = 5
LOG_FILE_BYTES = "10m"
LOG_FILES = "3"
"""A container's output on disk is bounded to 30 MB; older lines go."""

UNLIMITED_BYTES = 1 << 60
"""A memory limit that no machine reaches: the engine knows no word to take one away again."""

TMP_BYTES = 256 << 20
"""Room in a container's own `/tmp`, the one place besides its mounts where it can write. It counts as its memory."""

TMP = f"rw,nosuid,nodev,exec,mode=1777,size={TMP_BYTES}"
"""A node runs any code it likes, so `noexec` would stop no attacker, only libraries that compile at run time."""

PERIOD_US = 100_000
"""The period over which the engine has `NanoCpus` counted. Source: moby 20.10, `daemon/oci_linux.go`."""

_EXITED = re.compile(r"Exited \((\d+)\)")


def host_config(spec: ContainerSpec) -> dict[str, Any]:
    """Return the options of a container's host side.

    Host paths are mounts of type bind and not `binds`: a missing one is an error then, not an empty directory of
    root's.
    Docker's own restart policy would fight the controller, so it is off. The init process reaps what a node leaves
    and passes signals on.
    What else a container could do to its host is taken from it: every capability, more of them by a setuid program, and
    the image's files. The engine's seccomp profile is its default, so it is not named. None of this is in the node
    hash: a container keeps what it was made with until it is made anew, and an upgrade restarts nothing.
    """
    from docker.types import LogConfig, Mount, Ulimit  # noqa: PLC0415 - a look must not pay for docker-py

    return {
        "mounts": [Mount(v.container_path, v.host_path, type="bind", read_only=v.read_only) for v in spec.mounts],
        "init": True,
        "privileged": False,
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges"],
        "read_only": True,
        "tmpfs": {"/tmp": TMP},  # noqa: S108 - the container's own
        "restart_policy": {"Name": "no"},
        "network_mode": spec.network,
        "mem_limit": spec.limits.memory_bytes,
        "memswap_limit": spec.limits.memory_bytes,
        "nano_cpus": spec.limits.nano_cpus,
        "pids_limit": spec.limits.pids,
        "port_bindings": _bindings(spec.ports),
        "ipc_mode": spec.ipc or None,
        "shm_size": spec.shm_bytes or None,
        "device_requests": _devices(spec),
        "ulimits": [Ulimit(name="nofile", soft=spec.open_files, hard=spec.open_files)] if spec.open_files else None,
        "log_config": LogConfig(type="json-file", config={"max-size": LOG_FILE_BYTES, "max-file": LOG_FILES}),
    }


def options(spec: ContainerSpec) -> dict[str, Any]:
    """Return the options of a container besides its host side."""
    return {
        "name": spec.name,
        "entrypoint": [""],  # the engine's way to say "none": the command is whole, whatever the image says
        "command": list(spec.command),
        "user": spec.user,
        "environment": dict(spec.environment),
        "labels": dict(spec.labels),
        "ports": [_exposed(port) for port in _bindings(spec.ports)],
        "stop_timeout": STOP_TIMEOUT_S,
        "use_config_proxy": False,
    }


def container(raw: dict[str, Any]) -> Container:
    """Read one entry of the engine's list. The exit code stands in the status text only."""
    marks = raw.get("Labels") or {}
    ended = _EXITED.match(raw.get("Status") or "")
    return Container(
        id=raw["Id"],
        name=_name(raw),
        state=cast("ContainerState", raw["State"]),
        image_id=raw.get("ImageID") or "",
        kind=marks.get(labels.KIND, ""),
        node_hash=marks.get(labels.NODE_HASH, ""),
        env_hash=marks.get(labels.ENV_HASH, ""),
        exit_code=int(ended.group(1)) if ended else None,
        networks=_networks(raw),
        sandbox=marks.get(labels.SANDBOX, ""),
        ports=frozenset(f"{e['PublicPort']}/{e['Type']}" for e in raw.get("Ports") or () if e.get("PublicPort")),
    )


def autopsy(raw: dict[str, Any]) -> Autopsy:
    """Read an inspect of a container that ended."""
    host = raw["HostConfig"]
    memory, pids = host.get("Memory") or 0, host.get("PidsLimit") or 0
    limits = Limits(memory if 0 < memory < UNLIMITED_BYTES else None, pids=pids if pids > 0 else None)
    joined = (host.get("IpcMode") or "").startswith("container:")
    return Autopsy(bool(raw["State"].get("OOMKilled")), limits, joined)


def update(limits: Limits, *, as_quota: bool = False) -> dict[str, int]:
    """Return the body of an update in place. The engine takes 0 for "as before", so each has its own word for none."""
    memory = UNLIMITED_BYTES if limits.memory_bytes is None else limits.memory_bytes
    body = {"Memory": memory, "MemorySwap": memory, "PidsLimit": -1 if limits.pids is None else limits.pids}
    if limits.nano_cpus is None:
        return {**body, "CpuQuota": -1}
    if as_quota:
        return {**body, "CpuPeriod": PERIOD_US, "CpuQuota": limits.nano_cpus * PERIOD_US // 10**9}
    return {**body, "NanoCpus": limits.nano_cpus}


def ours(containers: Iterable[Container]) -> tuple[Container, ...]:
    """Return those that we made, by name.

    A container inherits its image's labels, so one that a person runs from an environment image carries our instance's
    label too; what tells it apart is the kind.
    """
    kinds = {labels.KIND_NODE, labels.KIND_SANDBOX, labels.KIND_BUILD}
    return tuple(sorted((found for found in containers if found.kind in kinds), key=lambda found: found.name))


def image(raw: dict[str, Any]) -> Image:
    """Read one entry of the engine's list.

    An image that a person built upon one of ours inherits its labels; ours are those that bear the name derived from
    the hash, or have lost every name.
    """
    marks = raw.get("Labels") or {}
    tags = tuple(sorted(tag for tag in raw.get("RepoTags") or () if tag != "<none>:<none>"))
    size = int(raw.get("Size") or 0)
    if not tags and marks.get(labels.KIND) == labels.KIND_BUILD:
        return Image(raw["Id"], instance=marks.get(labels.INSTANCE, ""), stage=True, size_bytes=size)
    hashed = marks.get(labels.ENV_HASH, "") if marks.get(labels.KIND) == labels.KIND_ENV else ""
    if not hashed or (tags and names.env_image(hashed) not in tags):
        digests = (found for found in raw.get("RepoDigests") or () if not found.startswith("<none>"))
        return Image(raw["Id"], tuple(sorted((*tags, *digests))), size_bytes=size)
    base, instance = marks.get(labels.BASE, ""), marks.get(labels.INSTANCE, "")
    return Image(raw["Id"], tags, hashed, base, instance, size_bytes=size)


def images(listed: Iterable[Image]) -> tuple[Image, ...]:
    """Return environment images, those with a name, and what builds left, in a fixed order."""
    kept = (found for found in listed if found.tags or found.env_hash or found.stage)
    return tuple(sorted(kept, key=lambda found: (found.tags, found.id)))


def _networks(raw: dict[str, Any]) -> tuple[str, ...] | None:
    """Return the names and ids of a container's networks, or None where the list does not say."""
    found = (raw.get("NetworkSettings") or {}).get("Networks")
    if found is None:
        return None
    ids = (joined.get("NetworkID") for joined in found.values() if joined)
    return tuple(sorted({*found, *filter(None, ids)}))


def _name(raw: dict[str, Any]) -> str:
    """Return a container's own name: those with a second slash are links of other containers to it."""
    own = [name[1:] for name in raw.get("Names") or () if "/" not in name[1:]]
    return own[0] if own else str(raw["Id"])[:12]


def _bindings(ports: Iterable[str]) -> dict[str, list[Any]]:
    """Return `8080:80`, `127.0.0.1:8080:80/udp` or `80` as the engine's bindings, inner port to outer ones."""
    from docker.utils.ports import split_port  # noqa: PLC0415 - a look must not pay for docker-py

    bindings: dict[str, list[Any]] = {}
    for port in ports:
        inner, outer = split_port(port)
        for place, found in enumerate(inner):
            bindings.setdefault(found, []).append(outer[place] if outer else None)
    return bindings


def _devices(spec: ContainerSpec) -> list[DeviceRequest] | None:
    """Return the GPUs to ask for. The engine's count of -1 is all of them, as ours is."""
    from docker.types import DeviceRequest  # noqa: PLC0415 - a look must not pay for docker-py

    if spec.gpu_ids:
        return [DeviceRequest(device_ids=list(spec.gpu_ids), capabilities=[["gpu"]])]
    return [DeviceRequest(count=spec.gpus, capabilities=[["gpu"]])] if spec.gpus else None


def _exposed(port: str) -> tuple[str, str]:
    number, _, protocol = port.partition("/")
    return (number, protocol or "tcp")
