"""Random histories: manifests edited, sessions opened and closed, calls that fail, people and faults at work.

However it went: once the world is left alone, it comes to match what is desired, by an oracle that shares no code
with the planner; and then ten further passes do nothing. Hypothesis prints and shrinks what breaks this.
"""

from __future__ import annotations

import shutil
import zlib
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from hypothesis import given, note
from hypothesis import strategies as st

from reconciler.model import action
from reconciler.model.instance import ContainerSpec
from tests.sim.oracle import ALONE, awake, differences, wish_in, wish_of, wishes
from tests.support.simulated import TAGS, simulated, source
from tests.support.simulation import INSTANCE, process_wish
from tests.support.unreliable_engine import ours
from tests.support.worlds import chain, desire, docker_node, host_node

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reconciler.controller.loop import Pass
    from reconciler.model.action import Step
    from reconciler.model.desired import Desired
    from reconciler.model.manifest import Node, Pipeline
    from reconciler.model.observed import Container
    from tests.support.model_engine import Contained, When
    from tests.support.simulation import Simulation
    from tests.support.unreliable_engine import Removal


def _node(kind: str, code: str, params: str) -> Node:
    made = host_node("n") if kind == "host" else docker_node("n", python=kind, isolated=kind == ALONE)
    return replace(made, source=source(code), params=params)


nodes = st.builds(
    _node,
    st.sampled_from(["3.11", "3.9", "host"]),
    st.sampled_from("ab"),
    st.sampled_from(["{}", '{"x":1}']),
)


@st.composite
def desires(draw: st.DrawFn) -> Desired:
    pipelines: list[Pipeline] = []
    for name in draw(st.lists(st.sampled_from(["p", "q"]), unique=True)):
        made = [replace(node, id=f"n{i}") for i, node in enumerate(draw(st.lists(nodes, min_size=1, max_size=2)))]
        generation = f"{zlib.crc32(repr(made).encode()):x}"
        activation = draw(st.sampled_from(["Always", "Always", "OnDemand"]))
        suspend = draw(st.sampled_from([False, False, True]))
        pipelines.append(chain(name, *made, generation=generation, activation=activation, suspend=suspend))
    leases = draw(st.lists(st.sampled_from(["p", "q", "unknown"]), max_size=2))
    return desire(*pipelines, leases=tuple((f"lease-{i}", name) for i, name in enumerate(leases)))


Found = TypeVar("Found")

# What happens: a word, which names a method of `History`, and its numbers, so that a history reads as one.

VERBS = ("create", "start", "stop", "remove", "build", "unpause")
places = st.integers(0, 7)
whens = st.sampled_from(["before", "after"])

happenings = st.one_of(
    st.tuples(st.just("passes"), st.integers(4, 8)),
    st.tuples(st.just("pass doing little"), st.integers(0, 3), places),
    st.tuples(st.just("brief pass"), desires()),
    st.tuples(st.just("edit"), desires()),
    st.tuples(st.just("edit"), desires()),
    st.tuples(st.just("edit"), desires()),
    st.tuples(st.just("unreadable manifest"), desires()),
    st.tuples(st.just("call fails"), st.sampled_from(VERBS), whens, st.sampled_from([0, 404, 409, 500])),
    st.tuples(st.just("process call fails"), st.sampled_from(["start", "stop"]), whens),
    st.tuples(st.just("late lists"), st.lists(st.integers(1, 8), min_size=1, max_size=4)),
    st.tuples(st.just("engine away"), st.integers(1, 4)),
    st.tuples(st.just("removal"), st.sampled_from(["slow", "fails"])),
    st.tuples(st.just("controller killed"), st.integers(0, 9)),
    st.tuples(st.just("container ends"), places, st.sampled_from([0, 1, 137])),
    st.tuples(st.just("container paused"), places),
    st.tuples(st.just("container dead"), places),
    st.tuples(st.just("container removed"), places),
    st.tuples(st.just("process killed"), places),
    st.tuples(st.just("file lost"), places),
    st.tuples(st.just("file damaged"), places),
    st.tuples(st.just("source lost"), places),
    st.tuples(st.just("image removed"), places),
    st.tuples(st.just("stranger takes a name"), places),
    st.tuples(st.just("stranger leaves")),
    st.tuples(st.just("engine restarted")),
    st.tuples(st.just("rebooted")),
)


STRANGER = ContainerSpec("", TAGS[0], (("whose", "a stranger's"),), (), (), "none", "0:0")


def _pick(found: Sequence[Found], place: int) -> Sequence[Found]:
    """Return the one at a place, counted round and round; none where there is none."""
    return [found[place % len(found)]] if found else []


class History:
    """Lets things happen to a simulation, and watches each pass."""

    def __init__(self, simulation: Simulation) -> None:
        self.simulation = simulation
        self.strangers: dict[str, str] = {}
        self._engine = simulation.engine
        self._containers: list[Contained] = []
        self._names: set[str] = set()
        simulation.check = self.watch

    def happen(self, word: str, *numbers: object) -> None:
        """Do what the word's method says, on what is there; where nothing is, nothing happens."""
        self._containers = sorted(ours(self._engine, INSTANCE), key=lambda c: (c.spec.name, c.id))
        self._names |= {c.spec.name for c in self._containers}
        getattr(self, f"_{word.replace(' ', '_')}")(*numbers)

    def _passes(self, count: int) -> None:
        for _ in range(count):
            self.simulation.turn()

    def _pass_doing_little(self, work: int, order: int) -> None:
        self.simulation.turn(work=work, order=order)

    def _brief_pass(self, desired: Desired) -> None:
        """Sessions come and go, and nothing is told of what has happened before."""
        opened = tuple(session for session in desired.sessions if session.kind == "lease")
        standing = tuple(session for session in self.simulation.desired.sessions if session.kind != "lease")
        self.simulation.desired = replace(self.simulation.desired, sessions=(*standing, *opened))
        self.simulation.loop.wake(brief=True)
        self.simulation.turn()

    def _edit(self, desired: Desired) -> None:
        self.simulation.desired = desired

    def _unreadable_manifest(self, desired: Desired) -> None:
        self.simulation.desired = replace(desired, complete=False)

    def _call_fails(self, verb: str, when: When, status: int) -> None:
        self._engine.faults.append((verb, when, status))

    def _process_call_fails(self, verb: str, when: When) -> None:
        self.simulation.processes.faults.append((verb, when))

    def _late_lists(self, ages: list[int]) -> None:
        self._engine.late += ages

    def _engine_away(self, calls: int) -> None:
        self._engine.away_for = calls

    def _removal(self, kind: Removal) -> None:
        self._engine.removals.append(kind)

    def _controller_killed(self, half_calls: int) -> None:
        self.simulation.kill_after = half_calls

    def _container_ends(self, place: int, exit_code: int) -> None:
        for found in _pick(self._containers, place):
            self.simulation.kill_container(found, exit_code)

    def _container_paused(self, place: int) -> None:
        for found in _pick([c for c in self._containers if c.state == "running"], place):
            found.state = "paused"

    def _container_dead(self, place: int) -> None:
        """What is left of a container that somebody else failed to remove."""
        for found in _pick(self._containers, place):
            self.simulation.kill_container(found, 137)
            found.state = "dead"

    def _container_removed(self, place: int) -> None:
        for found in _pick(self._containers, place):
            self.simulation.remove_container(found)

    def _process_killed(self, place: int) -> None:
        for pid in _pick(sorted(self.simulation.processes.living), place):
            self.simulation.kill_process(pid)

    def _file_lost(self, place: int) -> None:
        for path in _pick(self._files(), place):
            path.unlink()

    def _file_damaged(self, place: int) -> None:
        for path in _pick(self._files(), place):
            path.write_text('{"half": ')

    def _source_lost(self, place: int) -> None:
        for path in _pick(sorted(Path(self.simulation.site.sources_dir).iterdir()), place):
            shutil.rmtree(path)

    def _image_removed(self, place: int) -> None:
        used = {c.image_id for c in self._engine.containers.values()}
        made = [image for image in self._engine.images.values() if image.env_hash and image.id not in used]
        for found in _pick(made, place):
            del self._engine.images[found.id]

    def _stranger_takes_a_name(self, place: int) -> None:
        taken = {c.spec.name for c in self._engine.containers.values()}
        for name in _pick(sorted(self._names - taken), place):
            self.strangers[name] = self._engine.add(replace(STRANGER, name=name)).id

    def _stranger_leaves(self) -> None:
        for found in self.strangers.values():
            del self._engine.containers[found]  # nobody else may have taken it away
        self.strangers.clear()

    def _engine_restarted(self) -> None:
        self.simulation.restart_engine()

    def _rebooted(self) -> None:
        self.simulation.reboot()

    def _files(self) -> list[Path]:
        run = Path(self.simulation.site.nodes_dir)
        found = [*run.glob("*/assignments.json"), *run.glob("*/status.json")]
        return sorted([*found, *Path(self.simulation.site.endpoints_dir).glob("*.json")])

    def watch(self, made: Pass) -> None:
        """Hold what must be true of every single pass."""
        for step in made.plan.steps:
            match step.action:
                case action.StopContainer(id=found) | action.RemoveContainer(id=found):
                    self._watch_end(made, step, found)
                case action.RemoveSource(name=name):
                    self._watch_source(made, step, name)
                case (
                    action.StopProcess()
                    | action.RemoveNodeFiles()
                    | action.RemoveEndpoints()
                    | action.RemoveService()
                    | action.RemoveImage()
                ):
                    assert made.desired.complete, f"{step} on an incomplete desired state"
                case _:
                    pass

    def _watch_source(self, made: Pass, step: Step, name: str) -> None:
        """A snapshot goes only when no pipeline names it and, as far as the list shows, nothing has it mounted."""
        assert made.desired.complete, f"{step} on an incomplete desired state"
        assert name not in {node.source.digest for p in made.desired.pipelines for node in p.nodes}, f"{step} is wanted"
        listed = {container.id for container in self.simulation.seen.containers}
        mounted = [wish_in(self.simulation, c) for c in ours(self._engine, INSTANCE) if c.id in listed]
        used = [process_wish(spec) for spec, _ in self.simulation.processes.living.values()]
        assert name not in {wish[1] for wish in [*mounted, *used]}, f"{step} while it is used"

    def _watch_end(self, made: Pass, step: Step, found: str) -> None:
        """Only what is dead or no longer wanted ends; and what still serves only when all that takes over is up."""
        listed = {container.id: container for container in self.simulation.seen.containers}
        if listed[found].state == "dead":
            return
        assert made.desired.complete, f"{step} on an incomplete desired state"
        there = {
            c: wish_in(self.simulation, self._engine.containers[c])
            for c, listing in listed.items()
            if c in self._engine.containers and listing.state != "dead"
        }
        if found not in there:
            return  # the list was late: it is gone already
        kept = Counter(wish for c, wish in there.items() if c != found)
        wanted = wishes(made.desired)
        assert kept[there[found]] >= wanted[there[found]], f"{step} takes away what is wanted"
        up = {there[c] for c in there if c != found and self._is_up(listed[c])}
        for pipeline in self._served(listed[found].name, made.desired):
            missing = {wish_of(pipeline, node) for node in pipeline.nodes if node.docker} - up
            assert listed[found].state != "running" or not missing, f"{step} before {missing} is up"

    def _is_up(self, listing: Container) -> bool:
        alive = {found.name for found in self.simulation.seen.node_files if found.alive}
        return listing.state == "running" and listing.name in alive

    def _served(self, name: str, desired: Desired) -> list[Pipeline]:
        """Return the pipelines of the living sessions that an instance is assigned."""
        assigned = next((found.assignments for found in self.simulation.seen.node_files if found.name == name), None)
        used = awake(desired)
        return [used[s.session] for s in (assigned.sessions if assigned else ()) if s.session in used]

    def calm(self) -> None:
        """End all faults."""
        self._stranger_leaves()
        self.simulation.engine.recover()
        self.simulation.processes.faults.clear()
        self.simulation.desired = replace(self.simulation.desired, complete=True)
        self.simulation.kill_after = None


@given(
    desired=desires(),
    happened=st.lists(st.tuples(happenings, st.integers(0, 3)), min_size=1, max_size=20),
    from_rest=st.booleans(),
)
def test_whatever_happened_the_world_comes_to_match_and_stays_so(
    desired: Desired, happened: list[tuple[tuple[object, ...], int]], *, from_rest: bool
) -> None:
    def check(simulation: Simulation) -> None:
        history = History(simulation)
        if from_rest:
            simulation.rest()
        for (word, *numbers), passes in happened:
            history.happen(str(word), *numbers)
            for _ in range(passes):
                simulation.turn()
        history.calm()
        simulation.rest()
        for line in simulation.engine.happened:
            note(line)
        assert differences(simulation) == []
        acted, writes = len(simulation.acted), simulation.engine.calls.writes.copy()
        for _ in range(10):
            simulation.turn()
        assert simulation.acted[acted:] == []
        assert simulation.engine.calls.writes == writes
        last = simulation.loop.last
        assert all(
            status.is_true("Ready")
            for status in last.statuses
            if status.kind == "Pipeline" and status.name in {p.name for p in awake(simulation.desired).values()}
        )

    simulated(desired, check)
