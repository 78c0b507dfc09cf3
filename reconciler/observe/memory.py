"""Which shared memory a container has: the number that the kernel gives to the file system at its `/dev/shm`.

Rule: reading costs no call to the engine, and is done for what is private alone; what can't be read is 0, unknown.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.contract.labels import KIND_SANDBOX
from reconciler.contract.values import replace
from reconciler.observe.limits import first_process

if TYPE_CHECKING:
    from collections.abc import Iterable

    from reconciler.model.observed import Container


def with_memory(containers: Iterable[Container]) -> tuple[Container, ...]:
    """Return containers with the memory of those that run and hold or joined one of a pipeline's own."""
    return tuple(
        replace(found, memory=memory_of(found.id))
        if found.state == "running" and (found.kind == KIND_SANDBOX or found.sandbox)
        else found
        for found in containers
    )


def memory_of(container: str) -> int:
    """Return the number of a running container's shared memory, 0 where it can't be told."""
    process = first_process(container)
    try:
        return Path(f"/proc/{process}/root/dev/shm").stat().st_dev if process else 0
    except OSError:
        return 0
