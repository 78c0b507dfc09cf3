"""Ports of the host, which one container at a time can have (EC-06).

Rule: among versions of a node the new one gets the port, so the old one has to go first; between two that are wanted,
who has it keeps it, and the engine's refusal tells the other who that is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.model.instance import ContainerSpec

if TYPE_CHECKING:
    from collections.abc import Collection

    from reconciler.plan.facts import Facts
    from reconciler.plan.sharing import NodeInstance


def published(instance: NodeInstance) -> frozenset[str]:
    """Return the ports of the host that an instance asks for, like `80/tcp`."""
    if not isinstance(instance.spec, ContainerSpec):
        return frozenset()
    return frozenset(_outer(port) for port in instance.spec.ports)


def outdated_holders(instance: NodeInstance, facts: Facts, wanted: Collection[str]) -> frozenset[str]:
    """Return the containers nobody wants any more that have a port which an instance asks for."""
    asked = published(instance)
    if not asked:
        return frozenset()
    running = (found for found in facts.containers.values() if found.name not in wanted and found.ports & asked)
    return frozenset(found.name for found in running)


def _outer(port: str) -> str:
    numbers, _, protocol = port.partition("/")
    return f"{numbers.split(':')[-2]}/{protocol or 'tcp'}"
