"""Whatever is added, edited, removed, opened, closed and killed, in any order: what runs is what the oracle says."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from tests.property.test_convergence import converge, matches, nodes
from tests.support.worlds import BARE, chain, desire

if TYPE_CHECKING:
    from reconciler.model.desired import Desired
    from reconciler.model.manifest import Node, Pipeline
    from reconciler.model.observed import Observed

NAMES = st.sampled_from(["p", "q", "r"])
LEASES = st.sampled_from(["s1", "s2", "s3"])


def _pipeline(name: str, made: list[Node], activation: str, *, suspend: bool) -> Pipeline:
    numbered = [replace(node, id=f"n{i}") for i, node in enumerate(made)]
    return chain(name, *numbered, activation=activation, suspend=suspend)


pipelines = st.builds(
    _pipeline,
    NAMES,
    st.lists(nodes, min_size=1, max_size=3),
    st.sampled_from(["Always", "OnDemand"]),
    suspend=st.booleans(),
)
events = st.one_of(
    st.tuples(st.just("put"), pipelines),
    st.tuples(st.just("remove"), NAMES),
    st.tuples(st.just("open"), st.tuples(LEASES, NAMES)),
    st.tuples(st.sampled_from(["close", "kill"]), LEASES),
)


class Place:
    """Manifests and leases as a person and programs leave them."""

    def __init__(self) -> None:
        self.manifests: dict[str, Pipeline] = {}
        self.leases: dict[str, str] = {}

    def take(self, kind: str, what: object, observed: Observed) -> Observed:
        """Let an event happen; return the world, in which a killed program leaves its lease behind."""
        match kind, what:
            case "put", found:
                self.manifests[found.name] = found  # type: ignore[attr-defined]
            case "remove", str(name):
                self.manifests.pop(name, None)
            case "open", (str(lease), str(pipeline)):
                self.leases.setdefault(lease, pipeline)
            case _, str(lease):
                if self.leases.pop(lease, None) and kind == "kill":
                    return replace(observed, stale_leases=(*observed.stale_leases, lease))
        return observed

    def desired(self) -> Desired:
        """Return what is wanted now."""
        return desire(*self.manifests.values(), leases=tuple(self.leases.items()))


@given(st.lists(events, max_size=12))
def test_after_every_event_the_world_comes_to_match(history: list[tuple[str, object]]) -> None:
    place, observed = Place(), BARE
    for kind, what in history:
        observed = place.take(kind, what, observed)
        observed, _ = converge(place.desired(), observed)
        assert matches(place.desired(), observed)
        assert observed.stale_leases == ()
        assert {e.session for e in observed.endpoints} == {s.name for s in place.desired().sessions}


@given(st.lists(events, max_size=12))
def test_events_faster_than_passes_end_in_the_same_place(history: list[tuple[str, object]]) -> None:
    place, observed = Place(), BARE
    for kind, what in history:
        observed = place.take(kind, what, observed)
    observed, _ = converge(place.desired(), observed)
    assert matches(place.desired(), observed)
