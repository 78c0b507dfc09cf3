"""Limits that bite, in words: which one, how much it is, how much was used, and what to change."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.model.status import Condition

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from reconciler.contract.files import Usage
    from reconciler.model.manifest import Limits

SIGBUS = 128 + 7
"""Exit code of a container whose program touched shared memory that is not there."""

THROTTLED_FROM = 0.25
"""Share of time in which a node has to wait for its CPU limit, from which that is worth a word."""


def ended_by(
    exit_code: int,
    limits: Limits,
    *,
    out_of_memory: bool,
    usage: Usage,
    doing: Mapping[str, int | None],
    shared: tuple[int, int],
) -> str:
    """Say which limit ended a container; nothing if none did.

    `usage` is what the runtime last knew, up to a second before. `doing` are the sessions it had in hand, `shared` the
    size of the host's shared memory and what is free of it, zeros if it had a pipeline's own.
    """
    during = _during(doing)
    if out_of_memory and limits.memory_bytes is not None:
        peak = f", peak {size(usage.memory_peak_bytes)}" if usage.memory_peak_bytes else ""
        limit = size(limits.memory_bytes)
        return f"killed by the memory limit: {limit}{peak}{during}; raise resourceLimits.memoryMb"
    if out_of_memory:
        return f"killed because the host's memory was full{during}; set resourceLimits.memoryMb for what takes it"
    if exit_code == SIGBUS:
        whole = f" ({size(shared[0])}, {size(shared[1])} free)" if shared[0] else ""
        said = f"killed by SIGBUS{during}, as when shared memory is full{whole}"
        where = "/dev/shm" if shared[0] else "sharedMemory.size"  # noqa: S108 - shared memory itself
        return f"{said}; send smaller or fewer frames, or make {where} larger"
    if usage.pids_refused and limits.pids is not None:
        return f"ended with exit code {exit_code}{during} after {_pids(limits.pids, usage.pids_refused)}"
    return ""


def bites(limits: Limits, usage: Usage, generation: str) -> Iterator[Condition]:
    """Yield the conditions `Limited` and `Throttled` of a node that runs, for the limits that it has."""
    if limits.memory_bytes is not None or limits.pids is not None:
        status, reason, message = _limited(limits, usage)
        yield Condition("Limited", "True" if status else "False", reason, message, generation)
    if limits.nano_cpus is not None:
        share = usage.throttled
        cores = f"{limits.nano_cpus / 10**9:.9g} core{'' if limits.nano_cpus == 10**9 else 's'}"
        said = f"waits {share:.0%} of the time for its limit of {cores}; raise resourceLimits.cpuCores"
        if share >= THROTTLED_FROM:
            yield Condition("Throttled", "True", "CpuLimit", said, generation)
        else:
            yield Condition("Throttled", "False", "No", "", generation)


def refusal(limits: Limits, usage: Usage) -> str:
    """Say that processes were refused, beside the error that a node raises then; nothing if none were."""
    return f"; {_pids(limits.pids, usage.pids_refused)}" if limits.pids is not None and usage.pids_refused else ""


def size(count: int) -> str:
    """Return a number of bytes for people."""
    if count < 1 << 30:
        return f"{count >> 20} MiB"
    return f"{count / (1 << 30):.1f} GiB"


def _limited(limits: Limits, usage: Usage) -> tuple[bool, str, str]:
    if usage.oom_kills and limits.memory_bytes is not None:
        said = f"{usage.oom_kills} of its processes killed by the memory limit: {size(limits.memory_bytes)}"
        return True, "MemoryLimit", f"{said}; raise resourceLimits.memoryMb"
    if usage.pids_refused and limits.pids is not None:
        return True, "PidsLimit", _pids(limits.pids, usage.pids_refused)
    return False, "No", ""


def _pids(limit: int, refused: int) -> str:
    said = f"the limit of {limit} processes and threads refused {refused} of them"
    return f"{said}; raise resourceLimits.pids"


def _during(doing: Mapping[str, int | None]) -> str:
    several = len(doing) > 1
    found = [
        ("initializing" + several * f" session {session}")
        if number is None
        else f"handling frame {number}" + several * f" of session {session}"
        for session, number in sorted(doing.items())
    ]
    return f", while {' and '.join(found)}" if found else ""
