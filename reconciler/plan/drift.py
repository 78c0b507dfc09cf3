"""The differences between desired and observed state, by name. A cause in a plan is one of these."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.contract import exits

if TYPE_CHECKING:
    from reconciler.model.manifest import Limits

BASE_MISSING = "base image is not on the engine"
BASE_MAY_HAVE_MOVED = "its tag may have moved, and pullPolicy is Always"
IMAGE_MISSING = "environment image is missing"
SOURCE_MISSING = "source snapshot is missing"
ASSIGNMENTS_MISSING = "assignments are missing"
ASSIGNMENTS_DIFFER = "assignments differ"
CONTAINER_MISSING = "container is missing"
PROCESS_MISSING = "host process is missing"
NEVER_STARTED = "container was never started"
WANTED_AGAIN = "container was stopped when nobody wanted it"
PAUSED = "container is paused"
OFF_NETWORK = "container is not connected to its network"
UNWANTED = "nobody wants it any more"
RENAMED = "container was renamed"
SILENT = "it runs, and its runtime gives no sign of life"
STAGE_LEFT = "a build has left it, and no other has needed it for long"
NO_ROOM = "nobody needs it, and there are more images than are to be kept"
STRAYED = "its shared memory is gone"
ENDPOINTS_MISSING = "endpoints are missing"
ENDPOINTS_DIFFER = "endpoints differ"

MEMORY_GRAIN_BYTES = 1 << 16
"""The largest page there is; a limit is rounded down to whole pages."""

CPU_GRAIN_NANO = 10_000
"""A microsecond of the 100 milliseconds over which the engine has processor time counted."""


def ended(exit_code: int | None) -> str:
    """Name the difference of a container that ended."""
    return "container ended" if exit_code is None else f"container ended with {exits.told(exit_code)}"


def limits(seen: Limits, wanted: Limits) -> str:
    """Name the difference of a container that is held to other limits than it shall be; empty where there is none.

    The kernel counts memory in pages and processor time in microseconds of each tenth of a second, so what is finer
    than that is no difference.
    """
    found = (
        ("memory", "bytes", seen.memory_bytes, wanted.memory_bytes, MEMORY_GRAIN_BYTES),
        ("cpu", "cores", seen.nano_cpus, wanted.nano_cpus, CPU_GRAIN_NANO),
        ("pids", "", seen.pids, wanted.pids, 1),
    )
    told = [
        f"{name} is {_amount(is_, unit)} and shall be {_amount(shall, unit)}"
        for name, unit, is_, shall, grain in found
        if _coarse(is_, grain) != _coarse(shall, grain)
    ]
    return f"limits differ: {', '.join(told)}" if told else ""


def _coarse(amount: int | None, grain: int) -> int | None:
    return None if amount is None else amount // grain


def _amount(amount: int | None, unit: str) -> str:
    if amount is None:
        return "unlimited"
    return f"{amount / 10**9:.9g} cores" if unit == "cores" else f"{amount} {unit}".rstrip()
