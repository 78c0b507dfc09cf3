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


UNLIMITED_BYTES = 1 << 60
"""A memory limit that no machine reaches: the engine knows no word to take one away again."""

PERIOD_US = 100_000
"""The period over which the engine has `NanoCpus` counted. Source: moby 20.10, `daemon/oci_linux.go`."""

_EXITED = re.compile(r"Exited \((\d+)\)")


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
