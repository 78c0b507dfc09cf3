"""Why the engine refuses to start a container: found by looking, since its answer has one status for everything.

Rule: it is asked after a refusal only, and adds a reason and a remedy to what the engine said; it settles nothing.
"""

from __future__ import annotations

import contextlib
import errno
import socket
from typing import TYPE_CHECKING, Any

from reconciler.contract import labels
from reconciler.model.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import docker

BUILT_IN = {"bridge", "default", "host", "none"}


def explained(client: docker.APIClient, container: str, error: EngineError) -> EngineError:
    """Return the error for a start that was refused, with its cause where it can be found."""
    found = client.inspect_container(container)
    for reason, said in (*_network(client, found), *_ports(client, found), *_gpus(found)):
        tried, _, answer = str(error).partition(": ")
        return EngineError(f"{tried}: {said}: {answer}", status=error.status, reason=reason)
    return error


def _network(client: docker.APIClient, found: dict[str, Any]) -> Iterator[tuple[str, str]]:
    name = found["HostConfig"]["NetworkMode"]
    if name in BUILT_IN or name.startswith("container:"):
        return
    there = client.networks()
    if not any(name in (each["Name"], each["Id"]) or each["Id"].startswith(name) for each in there):
        yield "NetworkMissing", f"there is no network {name}; make it (docker network create {name}) or name another"


def _ports(client: docker.APIClient, found: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for inner, bindings in (found["HostConfig"].get("PortBindings") or {}).items():
        protocol = inner.partition("/")[2] or "tcp"
        for binding in bindings or ():
            port = binding["HostPort"]
            others = client.containers(filters={"publish": f"{port}/{protocol}"})
            holder = next((each for each in others if each["Id"] != found["Id"]), None)
            if holder is not None:
                yield "PortTaken", f"host port {port} is taken by {_who(holder)}; choose another, or end that one"
            elif _is_bound(binding.get("HostIp") or "", int(port), protocol):
                yield (
                    "PortTaken",
                    f"host port {port} is taken by a program of the host; choose another, or end that one",
                )


def _who(raw: dict[str, Any]) -> str:
    marks = raw.get("Labels") or {}
    name = raw["Names"][0].lstrip("/")
    if labels.NODE not in marks:
        return f"container {name}"
    return f"node {marks.get(labels.PIPELINE)}/{marks[labels.NODE]} of instance {marks.get(labels.INSTANCE)} ({name})"


def _is_bound(address: str, port: int, protocol: str) -> bool:
    kind = socket.SOCK_DGRAM if protocol == "udp" else socket.SOCK_STREAM
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with contextlib.closing(socket.socket(family, kind)) as trial:
        try:
            trial.bind((address, port))
        except OSError as error:
            return error.errno == errno.EADDRINUSE
    return False


def _gpus(found: dict[str, Any]) -> Iterator[tuple[str, str]]:
    if found["HostConfig"].get("DeviceRequests"):
        yield "NoGpu", "it asks for GPUs; install the container toolkit of their driver, or take `gpus` out"
