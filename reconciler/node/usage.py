"""What the kernel counts of this container: the most memory it used, and where limits held it back.

Rule: it is read from inside, where the container's own control group is the root, once a second at most, and told in
steps, so that what hardly changes writes nothing. A host process has no group of its own and reads nothing.

Source: kernel documentation, cgroup-v1/memory.rst, cgroup-v1/pids.rst, scheduler/sched-bwc.rst and cgroup-v2.rst.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Dict, Optional, Tuple

from reconciler.contract.files import Usage

GROUP = Path("/sys/fs/cgroup")
EVERY_S = 1.0
WINDOW_S = 10.0
"""Time over which throttling is told."""

STEP = 20
"""Shares are told in steps of a twentieth."""

PEAK_STEP_BYTES = 1 << 20
"""The peak is told in whole MiB, rounded up: for minutes it creeps by pages, and each status wakes the controller."""


class Meter:
    """Reads the counters of the control group below `GROUP`."""

    def __init__(self) -> None:
        """Begin to count."""
        self._read_at = float("-inf")
        self._usage = Usage()
        self._window: Optional[Tuple[float, float]] = None

    def read(self) -> Usage:
        """Return what is counted; read anew once a second at most. What can't be read is 0."""
        now = time.monotonic()
        if now - self._read_at < EVERY_S:
            return self._usage
        self._read_at = now
        self._usage = Usage(
            memory_peak_bytes=-(-_number("memory/memory.max_usage_in_bytes", "memory.peak") // PEAK_STEP_BYTES)
            * PEAK_STEP_BYTES,
            oom_kills=_pairs("memory/memory.oom_control", "memory.events").get("oom_kill", 0),
            pids_refused=_pairs("pids/pids.events", "pids.events").get("max", 0),
            throttled=self._throttled(now),
        )
        return self._usage

    def _throttled(self, now: float) -> float:
        """Return the share of the last window in which the group had to wait, 0.0 to 1.0."""
        counted = _pairs("cpu/cpu.stat", "cpu.stat")
        waited_s = float(counted.get("nr_throttled", 0)) * PERIOD_S
        if self._window is None:
            self._window = (now, waited_s)
        begun, before_s = self._window
        if now - begun < WINDOW_S:
            return self._usage.throttled
        self._window = (now, waited_s)
        share = min((waited_s - before_s) / (now - begun), 1.0)
        return round(share * STEP) / STEP


PERIOD_S = 0.1
"""The period of which `nr_throttled` counts those in which the group was stopped; the engine sets no other."""


def _number(version_1: str, version_2: str) -> int:
    text = _text(version_1, version_2).strip()
    return int(text) if text.isdigit() else 0


def _pairs(version_1: str, version_2: str) -> Dict[str, int]:
    words = (line.partition(" ") for line in _text(version_1, version_2).splitlines())
    return {name: int(count) for name, _, count in words if count.isdigit()}


def _text(version_1: str, version_2: str) -> str:
    for name in (version_1, version_2):
        try:
            return (GROUP / name).read_text(encoding="ascii")
        except (OSError, ValueError):
            continue
    return ""
