"""What containers and host processes take of the machine, read from the kernel. It decides nothing.

Source: kernel documentation, cgroup-v1/cpuacct.rst, cgroup-v1/memory.rst and cgroup-v2.rst. Memory is counted as
`docker stats` does: without file pages that the kernel may take back at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.contract.values import dataclass
from reconciler.observe import limits
from reconciler.process import table

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Usage:
    """Processor time taken so far, in seconds, and memory taken now."""

    cpu_s: float
    memory_bytes: int


def of_container(container: str) -> Usage | None:
    """Return what a running container takes, or None where it can't be read."""
    version_2 = (limits.CGROUPS / "cgroup.controllers").exists()
    for layout in limits.LAYOUTS:
        below = layout.format(id=container)
        try:
            return _version_2(limits.CGROUPS / below) if version_2 else _version_1(below)
        except (OSError, ValueError, KeyError):  # it has ended, or lies elsewhere
            continue
    return None


def of_process(pid: int) -> Usage | None:
    """Return what a process takes, or None where it has ended."""
    found = table.usage(pid)
    return None if found is None else Usage(*found)


def _version_1(below: str) -> Usage:
    memory = limits.CGROUPS / "memory" / below
    taken = int((limits.CGROUPS / "cpuacct" / below / "cpuacct.usage").read_text())
    used = int((memory / "memory.usage_in_bytes").read_text())
    return Usage(taken / 1e9, used - _numbers(memory / "memory.stat")["total_inactive_file"])


def _version_2(group: Path) -> Usage:
    used = int((group / "memory.current").read_text())
    inactive = _numbers(group / "memory.stat")["inactive_file"]
    return Usage(_numbers(group / "cpu.stat")["usage_usec"] / 1e6, used - inactive)


def _numbers(file: Path) -> dict[str, int]:
    """Return a file of names and numbers, one pair a line."""
    pairs = (line.split() for line in file.read_text(encoding="ascii").splitlines())
    return {name: int(number) for name, number in pairs}
