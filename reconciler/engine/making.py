"""The body from which the engine makes a container. Pure, and the same for the wire and for docker-py.

docker-py's own classes would build it as well, and importing them costs more than making a container.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from reconciler.model.instance import ContainerSpec

STOP_TIMEOUT_S = 5
LOG_FILE_BYTES = "10m"
LOG_FILES = "3"
"""A container's output on disk is bounded to 30 MB; older lines go."""

TMP_BYTES = 256 << 20
"""Room in a container's own `/tmp`, the one place besides its mounts where it can write. It counts as its memory."""

TMP = f"rw,nosuid,nodev,exec,mode=1777,size={TMP_BYTES}"
"""A node runs any code it likes, so `noexec` would stop no attacker, only libraries that compile at run time."""


def body(spec: ContainerSpec) -> dict[str, Any]:
    """Return the whole body; what is left out is as the engine has it.

    Source: Docker Engine API 1.41, `ContainerCreate`.
    """
    return {
        "Image": spec.image,
        "Entrypoint": [""],  # the engine's way to say "none": the command is whole, whatever the image says
        "Cmd": list(spec.command),
        "User": spec.user,
        "Env": [f"{name}={value}" for name, value in spec.environment],
        "Labels": dict(spec.labels),
        "ExposedPorts": {inner: {} for inner in _bindings(spec)},
        "AttachStdout": True,
        "AttachStderr": True,
        "StopTimeout": STOP_TIMEOUT_S,
        "HostConfig": {**_host(spec), **_limits(spec), **_if_asked(spec)},
    }


def _host(spec: ContainerSpec) -> dict[str, Any]:
    """Return what a container has of its host.

    Host paths are mounts of type bind and not `Binds`: a missing one is an error then, not an empty directory of
    root's.
    Docker's own restart policy would fight the controller, so it is off. The init process reaps what a node leaves
    and passes signals on.
    What else a container could do to its host is taken from it: every capability, more of them by a setuid program, and
    the image's files. The engine's seccomp profile is its default, so it is not named. None of this is in the node
    hash: a container keeps what it was made with until it is made anew, and an upgrade restarts nothing.
    """
    return {
        "Mounts": [
            {"Type": "bind", "Source": v.host_path, "Target": v.container_path, "ReadOnly": v.read_only}
            for v in spec.mounts
        ],
        "Init": True,
        "CapDrop": ["ALL"],
        "SecurityOpt": ["no-new-privileges"],
        "ReadonlyRootfs": True,
        "Tmpfs": {"/tmp": TMP},  # noqa: S108 - the container's own
        "RestartPolicy": {"Name": "no"},
        "NetworkMode": spec.network or "default",
        "PortBindings": _bindings(spec),
        "LogConfig": {"Type": "json-file", "Config": {"max-size": LOG_FILE_BYTES, "max-file": LOG_FILES}},
    }


def _limits(spec: ContainerSpec) -> dict[str, Any]:
    memory, cpus, pids = spec.limits.memory_bytes, spec.limits.nano_cpus, spec.limits.pids
    found = {"Memory": memory, "MemorySwap": memory, "NanoCpus": cpus or None, "PidsLimit": pids or None}
    return {name: value for name, value in found.items() if value is not None}


def _if_asked(spec: ContainerSpec) -> dict[str, Any]:
    files = {"Name": "nofile", "Soft": spec.open_files, "Hard": spec.open_files}
    found = {
        "IpcMode": spec.ipc,
        "ShmSize": spec.shm_bytes,
        "DeviceRequests": _devices(spec),
        "Ulimits": [files] if spec.open_files else [],
    }
    return {name: value for name, value in found.items() if value}


def _devices(spec: ContainerSpec) -> list[dict[str, Any]]:
    """Return the GPUs to ask for. The engine's count of -1 is all of them, as ours is."""
    if not spec.gpus and not spec.gpu_ids:
        return []
    count = 0 if spec.gpu_ids else spec.gpus
    asked = {"Count": count, "DeviceIDs": list(spec.gpu_ids), "Capabilities": [["gpu"]]}
    return [{"Driver": "", "Options": {}, **asked}]


def _bindings(spec: ContainerSpec) -> dict[str, list[dict[str, str]]]:
    """Return `8080:80` or `127.0.0.1:8080:80/udp` as the engine's bindings, inner port to outer ones."""
    bindings: dict[str, list[dict[str, str]]] = {}
    for port in spec.ports:
        numbers, _, protocol = port.partition("/")
        outside, _, inner = numbers.rpartition(":")
        address, _, outer = outside.rpartition(":")
        bound = {"HostIp": address.strip("[]"), "HostPort": outer}
        bindings.setdefault(f"{inner}/{protocol or 'tcp'}", []).append(bound)
    return bindings
