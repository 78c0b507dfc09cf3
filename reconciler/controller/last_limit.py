"""Which limit ended a container: asked of the engine once for each end, and of what its runtime left.

Rule: it explains and decides nothing, so what can't be read is nothing said.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from reconciler.contract import doing, files
from reconciler.model.errors import ReconcilerError
from reconciler.plan.limits import SIGBUS, ended_by

if TYPE_CHECKING:
    from pathlib import Path

    from reconciler.engine.port import EnginePort
    from reconciler.model.memory import End

SHARED_MEMORY = "/dev/shm"  # noqa: S108 - the host's shared memory itself, not a temporary file


def limit_that_ended(engine: EnginePort, nodes: Path, end: End) -> str:
    """Say which limit ended a container, how much it was, and what to change; nothing if none did."""
    if not end.exit_code or not end.container:
        return ""
    try:
        found = engine.autopsy(end.container)
    except ReconcilerError:
        return ""
    directory = nodes / end.name
    status = files.parse_status(files.read_text(directory / "status.json") or "")
    return ended_by(
        end.exit_code,
        found.limits,
        out_of_memory=found.out_of_memory,
        usage=status.usage if status is not None else files.Usage(),
        doing=doing.read(directory),
        shared=_shared_memory() if end.exit_code == SIGBUS and not found.private else (0, 0),
    )


def _shared_memory() -> tuple[int, int]:
    """Return the size of shared memory and what is free of it, in bytes."""
    try:
        found = os.statvfs(SHARED_MEMORY)
    except OSError:
        return (0, 0)
    return (found.f_blocks * found.f_frsize, found.f_bavail * found.f_frsize)
