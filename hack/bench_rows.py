"""Lines of the table about the control plane, and how their figures are taken."""

from __future__ import annotations

import os
import statistics
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import docker

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

UpAndDown = tuple[float | None, float | None, float | None]
"""How long it took until all had started, until all served, and until all were gone again."""


@dataclass(frozen=True)
class Row:
    """One line of the table. Times are medians, in seconds, unless `unit` says otherwise."""

    what: str
    ours: float | None
    peer: float | None = None
    target: str = ""
    unit: str = "s"

    def __str__(self) -> str:
        ratio = f"{self.ours / self.peer:.2f}" if self.ours is not None and self.peer else ""
        return f"| {self.what} | {self._said(self.ours)} | {self._said(self.peer)} | {ratio} | {self.target} |"

    def _said(self, value: float | None) -> str:
        return "" if value is None else f"{value:.3g} {self.unit}"


def timed(do: Callable[[], object]) -> float:
    """Return how long something takes, in seconds."""
    started = time.perf_counter()
    do()
    return time.perf_counter() - started


def ok(run: subprocess.CompletedProcess[str]) -> None:
    """Stop the measuring where a program failed."""
    if run.returncode:
        sys.exit(f"bench-control: {' '.join(map(str, run.args))} ended with {run.returncode}:\n{run.stderr[-2000:]}")


def median(values: list[float | None]) -> float | None:
    """Return the median of those that were measured."""
    there = [value for value in values if value is not None]
    return statistics.median(there) if there else None


def last_start_s(label: str, began_ns: int, count: int) -> float:
    """Return how long after a moment the engine had started the last of the containers with a label, in seconds."""
    engine = docker.APIClient(version="auto")
    filters = {"type": "container", "event": "start", "label": label}
    stream = engine.events(since=began_ns // 10**9, until=int(time.time()) + 1, filters=filters, decode=True)
    times = [event["timeNano"] for event in stream if event["timeNano"] >= began_ns]
    engine.close()
    if len(times) < count:
        sys.exit(f"the engine tells of {len(times)} starts, not of {count}")
    return (max(times) - began_ns) / 1e9


def cpu_s(pid: int) -> float:
    """Return the processor time a program has used, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_mb(pid: int) -> float:
    """Return a program's resident memory."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024
