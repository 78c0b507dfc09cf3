"""The limits that containers are held to, read from the kernel: the engine's list does not tell them.

Rule: reading costs no call to the engine. What can't be read whole is unknown, never "no limit".

Source: kernel documentation, cgroup-v1/memory.rst, scheduler/sched-bwc.rst, cgroup-v1/pids.rst and cgroup-v2.rst.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.contract.files import read_bytes
from reconciler.contract.values import replace
from reconciler.model.manifest import Limits

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from reconciler.model.observed import Container

CGROUPS = Path("/sys/fs/cgroup")

LEAST_UNLIMITED_BYTES = 1 << 60
"""From here on a memory limit means none: version 1 writes "none" as the largest number of whole pages."""

HELD = frozenset({"running", "paused"})
"""In which states a container has limits that can be read."""

LAYOUTS = ("docker/{id}", "system.slice/docker-{id}.scope")
"""Where a container's group lies: with the driver cgroupfs, with the driver systemd."""


def read(ids: Iterable[str]) -> dict[str, Limits | None]:
    """Return the limits of running containers, None where they can't be read."""
    version_2 = _is_version_2()
    return {found: _limits(found, version_2=version_2) for found in ids}


def with_limits(containers: Iterable[Container], known: Mapping[str, Limits | None]) -> tuple[Container, ...]:
    """Return containers with the limits of those that run, where they are not `known` from this very look."""
    held = [found for found in containers if found.state in HELD]
    limits = {**known, **read(found.id for found in held if known.get(found.id) is None)}
    return tuple(replace(found, limits=limits[found.id]) if found.state in HELD else found for found in containers)


def limits_of(container: str) -> Limits | None:
    """Return the limits of a running container, or None where they can't be read."""
    return _limits(container, version_2=_is_version_2())


def _is_version_2() -> bool:
    return (CGROUPS / "cgroup.controllers").exists()


def _limits(container: str, *, version_2: bool) -> Limits | None:
    for layout in LAYOUTS:
        try:
            below = layout.format(id=container)
            return _version_2(f"{CGROUPS}/{below}") if version_2 else _version_1(below)
        except (OSError, ValueError):  # not there, or not whole: it has ended, or lies elsewhere
            continue
    return None


def first_process(container: str) -> int:
    """Return the PID of a running container's first process, or 0 where it can't be read."""
    version_2 = _is_version_2()
    for layout in LAYOUTS:
        place = (CGROUPS if version_2 else CGROUPS / "pids") / layout.format(id=container)
        try:
            return min(map(int, (place / "cgroup.procs").read_text(encoding="ascii").split()), default=0)
        except (OSError, ValueError):
            continue
    return 0


def _version_1(below: str) -> Limits:
    cpu = f"{CGROUPS}/cpu/{below}"
    quota = _word(f"{cpu}/cpu.cfs_quota_us")
    return Limits(
        memory_bytes=_bytes(_word(f"{CGROUPS}/memory/{below}/memory.limit_in_bytes")),
        nano_cpus=None if quota == "-1" else _nano_cpus(quota, _word(f"{cpu}/cpu.cfs_period_us")),
        pids=_count(_word(f"{CGROUPS}/pids/{below}/pids.max")),
    )


def _version_2(group: str) -> Limits:
    quota, period = _word(f"{group}/cpu.max").split()
    return Limits(
        memory_bytes=_bytes(_word(f"{group}/memory.max")),
        nano_cpus=_nano_cpus(quota, period),
        pids=_count(_word(f"{group}/pids.max")),
    )


def _word(file: str) -> str:
    return read_bytes(file).decode("ascii").strip()


def _bytes(text: str) -> int | None:
    found = _count(text)
    return None if found is None or found >= LEAST_UNLIMITED_BYTES else found


def _nano_cpus(quota: str, period: str) -> int | None:
    found = _count(quota)
    return None if found is None or found < 0 else found * 10**9 // int(period)


def _count(text: str) -> int | None:
    return None if text == "max" else int(text)
