"""Whether the host has the memory that limits add up to (EC-05).

A limit is no reservation: nodes rarely use what they may, and several hosts' worth of limits on one host is common. So
this refuses only what can't be meant: limits of wanted nodes that add up to more than the machine has, or than whoever
starts the controller says. What exists is never touched, and a new version that starts beside the old one counts once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.contract.env import MEMORY_MB
from reconciler.model.instance import ContainerSpec
from reconciler.plan.limits import size

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reconciler.plan.facts import Facts
    from reconciler.plan.sharing import NodeInstance, Wanted

NAMED = 4
"""How many of those that hold memory are told by name."""


def refused(wanted: Wanted, facts: Facts) -> dict[str, str]:
    """Return the instances that are not to be created, by name, with what to tell."""
    whole = facts.site.memory_bytes
    if not whole:
        return {}
    found: dict[str, str] = {}
    held: list[tuple[int, NodeInstance]] = []
    for instance, asked in sorted(_asking(wanted), key=lambda pair: (not facts.exists(pair[0].name), pair[0].name)):
        taken = sum(amount for amount, _ in held)
        if facts.exists(instance.name) or taken + asked <= whole:
            held.append((asked, instance))
        else:
            found[instance.name] = _said(asked, taken, whole, held)
    return found


def _asking(wanted: Wanted) -> Iterator[tuple[NodeInstance, int]]:
    for instance in wanted.instances.values():
        if isinstance(instance.spec, ContainerSpec) and instance.spec.limits.memory_bytes is not None:
            yield instance, instance.spec.limits.memory_bytes


def _said(asked: int, taken: int, whole: int, held: list[tuple[int, NodeInstance]]) -> str:
    most = sorted(held, key=lambda pair: (-pair[0], pair[1].name))
    named = [f"{'/'.join(instance.owners[0])} {size(amount)}" for amount, instance in most[:NAMED]]
    more = f" and {len(most) - NAMED} more" if len(most) > NAMED else ""
    holders = f" ({', '.join(named)}{more})" if named else ""
    return (
        f"asks for {size(asked)} of memory; limits may add up to {size(whole)}, and {size(taken)} are "
        f"taken{holders}: lower resourceLimits.memoryMb, or allow more with {MEMORY_MB}"
    )
