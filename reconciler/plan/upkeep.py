"""What a running container needs to be as it shall: its network and its limits, put in place without a restart.

Rule: what is unknown is no difference, and what somebody added (a further network) is left as it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.model import action
from reconciler.model.action import Step
from reconciler.plan import drift

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reconciler.model.instance import ContainerSpec
    from reconciler.model.observed import Container

SHORT_ID = 12
"""Least length at which the beginning of a network's id stands for it."""


def upkeep(container: Container, spec: ContainerSpec) -> Iterator[Step]:
    """Yield the steps that put a running container in order, the most urgent first."""
    if container.networks is not None and not _is_connected(container.networks, spec.network):
        connect = action.ConnectNetwork(container.name, container.id, spec.network)
        yield Step(connect, f"{drift.OFF_NETWORK} {spec.network}")
    if container.limits is not None and (cause := drift.limits(container.limits, spec.limits)):
        yield Step(action.UpdateLimits(container.name, container.id, spec.limits), cause)


def _is_connected(networks: tuple[str, ...], wanted: str) -> bool:
    beginning = len(wanted) >= SHORT_ID
    return any(found == wanted or (beginning and found.startswith(wanted)) for found in networks)
