"""Kill the controller before and after every single call: the next one reaches the same end, and what was right stays.

Each route is walked once undisturbed; then once for every half call in it, with the kill at that place.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.sim.oracle import differences, wish_in, wishes
from tests.support.simulated import simulated, source
from tests.support.simulation import INSTANCE, process_wish
from tests.support.unreliable_engine import ours
from tests.support.worlds import chain, desire, docker_node, host_node

if TYPE_CHECKING:
    from reconciler.model.desired import Desired
    from reconciler.model.manifest import Node, Pipeline
    from tests.support.simulation import Simulation


def node(name: str, code: str, python: str = "3.11") -> Node:
    made = docker_node(name, python=python, isolated=python == "3.9") if python else host_node(name)
    return replace(made, source=source(code))


def pipeline(name: str, *nodes: Node, generation: str = "g1", **spec: object) -> Pipeline:
    return chain(name, *nodes, generation=generation, **spec)


FIRST = desire(pipeline("p", node("a", "a"), node("b", "b", "3.9"), node("c", "b", "")), pipeline("q", node("a", "a")))
EDITED = desire(
    pipeline("p", node("a", "a"), node("b", "a", "3.9"), node("c", "a", ""), generation="g2"),
    pipeline("q", node("a", "a")),
)
SUSPENDED = desire(
    pipeline("p", node("a", "a"), node("b", "b", "3.9"), node("c", "b", ""), suspend=True),
    pipeline("q", node("a", "a")),
)

ROUTES = {
    "from nothing": (desire(), FIRST),
    "rollout of an edit": (FIRST, EDITED),
    "all taken away": (FIRST, desire()),
    "one suspended": (FIRST, SUSPENDED),
}


def end_of(simulation: Simulation) -> tuple[object, ...]:
    """Return what the world has come to, without what is drawn: ids and PIDs."""
    return (
        sorted((c.spec.name, c.state, wish_in(simulation, c)) for c in ours(simulation.engine, INSTANCE)),
        sorted(spec.name for spec, _ in simulation.processes.living.values()),
        sorted(image.tags for image in simulation.engine.images.values()),
    )


def kept(simulation: Simulation, desired: Desired) -> dict[str, object]:
    """Return identity and starts of what runs and is what `desired` wants."""
    wanted = wishes(desired)
    containers = {c.id: c.started for c in ours(simulation.engine, INSTANCE) if wish_in(simulation, c) in wanted}
    living = simulation.processes.living.items()
    return containers | {f"process {pid}": 1 for pid, (spec, _) in living if (*process_wish(spec), "", "") in wanted}


@pytest.mark.parametrize("route", ROUTES)
def test_killed_anywhere_the_next_controller_reaches_the_same_end(route: str) -> None:
    before, after = ROUTES[route]

    def walk(simulation: Simulation, kill_after: int | None) -> tuple[object, int]:
        simulation.rest()
        right = kept(simulation, after)
        acted = len(simulation.acted)
        simulation.desired = after
        simulation.kill_after = kill_after
        simulation.rest()
        assert differences(simulation) == []
        found = kept(simulation, after)
        assert right.items() <= found.items(), "what was right was replaced or started again"
        assert Counter(found.values()) <= Counter({1: len(found)}), "started more than once"
        return end_of(simulation), len(simulation.acted) - acted

    reference, calls = simulated(before, lambda simulation: walk(simulation, None))
    assert calls > 2
    for half_calls in range(2 * calls):
        end, _ = simulated(before, lambda simulation, killed=half_calls: walk(simulation, killed))
        assert end == reference, f"killed at half call {half_calls}"


def test_the_kill_is_one() -> None:
    """The walk above would show nothing if nobody were killed."""

    def check(simulation: Simulation) -> None:
        first = simulation.loop
        simulation.kill_after = 3
        simulation.turn()
        assert simulation.loop is not first
        assert len(simulation.acted) == 2

    simulated(FIRST, check)
