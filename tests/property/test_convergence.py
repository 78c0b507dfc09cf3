"""Whatever the start, if the desired state stays, the world comes to match it and stays so.

The oracle below shares no code with the planner: an empty plan is only the planner's own opinion.
"""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from reconciler.model.desired import Desired
from reconciler.model.manifest import Limits, Pipeline, SharedMemory
from reconciler.model.memory import Memory
from reconciler.model.observed import Container, Observed, ShmNode, ShmService
from reconciler.plan.foresee import after, settle
from reconciler.plan.plan import Plan, plan
from tests.support.worlds import BARE, chain, desire, docker_node, host_node, rest

LONGEST = 60
PRIVATE = SharedMemory("Private")


def oracle(desired: Desired) -> set[tuple[object, ...]]:
    """The node instances that must run: distinct wishes of pipelines that are awake, and nothing else."""
    awake = {session.pipeline for session in desired.sessions}
    wishes = set()
    for pipeline in desired.pipelines:
        if pipeline.suspend or pipeline.name not in awake:
            continue
        for node in pipeline.nodes:
            docker = node.docker and replace(node.docker, limits=Limits(), isolated=False)
            private = pipeline.shared_memory == PRIVATE
            alone = pipeline.name if node.docker and (node.docker.isolated or private) else ""
            wishes.add((node.node_type, node.source.digest, docker, alone))
    return wishes


def own_memories(desired: Desired) -> int:
    """How many sandboxes must run: one for each pipeline that is awake and has memory of its own."""
    awake = {session.pipeline for session in desired.sessions}
    return sum(p.shared_memory == PRIVATE and p.name in awake and not p.suspend for p in desired.pipelines)


nodes = st.builds(
    lambda kind, code, python, isolated: (
        docker_node("n", code=code, python=python, isolated=isolated) if kind else host_node("n", code=code)
    ),
    st.booleans(),
    st.sampled_from("ab"),
    st.sampled_from(["3.9", "3.11"]),
    st.booleans(),
)


@st.composite
def desires(draw: st.DrawFn) -> Desired:
    pipelines: list[Pipeline] = []
    for name in draw(st.sets(st.sampled_from(["p", "q", "r"]))):
        made = [replace(node, id=f"n{i}") for i, node in enumerate(draw(st.lists(nodes, min_size=1, max_size=3)))]
        activation = draw(st.sampled_from(["Always", "OnDemand"]))
        private = all(node.docker for node in made) and draw(st.booleans())
        memory = PRIVATE if private else SharedMemory()
        pipelines.append(chain(name, *made, activation=activation, suspend=draw(st.booleans()), shared_memory=memory))
    leases = draw(st.lists(st.sampled_from(["p", "q", "r", "unknown"]), max_size=2))
    return desire(*pipelines, leases=tuple((f"lease-{i}", name) for i, name in enumerate(leases)))


@st.composite
def worlds(draw: st.DrawFn) -> Observed:
    """A world that some other desired state has left, then damaged at random."""
    observed = rest(draw(desires()))
    states = st.sampled_from(["created", "running", "paused", "exited", "dead", None])
    containers: list[Container] = []
    for container in observed.containers:
        state = draw(states)
        if state is not None:
            memory = draw(st.integers(0, 3)) if container.memory else 0
            code = 1 if state == "exited" else None
            containers.append(replace(container, state=state, exit_code=code, memory=memory))
    kept = [files for files in observed.node_files if draw(st.booleans())]
    files = [replace(f, assignments=f.assignments if draw(st.booleans()) else None, alive=False) for f in kept]
    return replace(
        observed,
        containers=tuple(containers),
        node_files=tuple(files),
        processes=tuple(process for process in observed.processes if draw(st.booleans())),
        sources=observed.sources if draw(st.booleans()) else frozenset(),
        endpoints=observed.endpoints if draw(st.booleans()) else (),
        images=observed.images if draw(st.booleans()) else BARE.images,
        shm_nodes=(ShmNode("x", "x", dead=True),) if draw(st.booleans()) else (),
        shm_services=(ShmService("s", "gone_n_output"),) if draw(st.booleans()) else (),
    )


def _share_memory(observed: Observed) -> bool:
    """Whether each node that joined memory joined one that is there, in its present run."""
    held = {container.id: container.memory for container in observed.containers if container.kind == "sandbox"}
    joined = [container for container in observed.containers if container.sandbox]
    return all(c.sandbox in held and (0 in (c.memory, held[c.sandbox]) or c.memory == held[c.sandbox]) for c in joined)


def matches(desired: Desired, observed: Observed) -> bool:
    wishes = oracle(desired)
    running = [container for container in observed.containers if container.state == "running"]
    dockers = {wish for wish in wishes if wish[2] is not None}
    hosts = wishes - dockers
    return (
        len(running) == len(observed.containers) == len(dockers) + own_memories(desired)
        and _share_memory(observed)
        and len(observed.processes) == len(hosts)
        and {files.name for files in observed.node_files}
        == {container.name for container in running if container.kind == "node"}
        | {process.name for process in observed.processes}
        and {endpoints.session for endpoints in observed.endpoints} == {session.name for session in desired.sessions}
        and not observed.shm_nodes
        and not observed.shm_services
    )


def converge(desired: Desired, observed: Observed) -> tuple[Observed, Plan]:
    for _ in range(LONGEST):
        found = plan(desired, observed, Memory())
        if not found.steps and settle(observed) == observed:  # a plan without steps may wait for a node to get ready
            return observed, found
        for step in found.steps:
            observed = after(observed, step.action)
        observed = settle(observed)
    msg = f"no rest: {[step.object for step in found.steps]}"
    raise AssertionError(msg)


@given(desires(), worlds())
def test_any_world_comes_to_match_and_stays_so(desired: Desired, observed: Observed) -> None:
    end, last = converge(desired, observed)
    assert matches(desired, end)
    assert plan(desired, end, Memory()).steps == ()
    awake = {session.pipeline for session in desired.sessions}
    for status in last.statuses:
        if status.kind == "Pipeline" and status.name in awake:
            pipeline = next(p for p in desired.pipelines if p.name == status.name)
            assert status.is_true("Ready") is not pipeline.suspend


@given(desires(), worlds())
def test_same_arguments_same_plan(desired: Desired, observed: Observed) -> None:
    assert plan(desired, observed, Memory(), now_s=1.0) == plan(desired, observed, Memory(), now_s=1.0)


@given(desires(), worlds())
def test_one_step_for_an_object_and_none_under_way(desired: Desired, observed: Observed) -> None:
    steps = plan(desired, observed, Memory()).steps
    objects = [step.object for step in steps]
    assert len(set(objects)) == len(objects)
    busy = frozenset(objects[::2])
    assert not {step.object for step in plan(desired, observed, Memory(in_flight=busy)).steps} & busy


@given(desires(), worlds())
def test_order_of_what_was_seen_says_nothing(desired: Desired, observed: Observed) -> None:
    turned = replace(desired, pipelines=desired.pipelines[::-1], sessions=desired.sessions[::-1])
    end, _ = converge(turned, observed)
    assert plan(desired, end, Memory()).steps == ()


@given(desires(), worlds(), st.data())
def test_any_order_and_loss_of_steps_reaches_the_same_end(
    desired: Desired, observed: Observed, data: st.DataObject
) -> None:
    """Kill the controller after any call, do a part only, in any order: the next one reaches the same end."""
    for _ in range(5):
        steps = list(plan(desired, observed, Memory()).steps)
        some = data.draw(st.lists(st.sampled_from(steps), unique=True)) if steps else []
        for step in some:
            observed = after(after(observed, step.action), step.action)
        if data.draw(st.booleans()):
            observed = settle(observed)
    end, _ = converge(desired, observed)
    assert matches(desired, end)


@given(desires(), worlds())
def test_incomplete_desired_state_takes_nothing_away(desired: Desired, observed: Observed) -> None:
    """Only what the engine calls dead may be removed then: it can't be wanted back as it is."""
    for step in plan(replace(desired, complete=False), observed, Memory()).steps:
        name = type(step.action).__name__
        dead = {container.name for container in observed.containers if container.state == "dead"}
        allowed = name == "RemoveDeadNodes" or (name == "RemoveContainer" and step.object.split("/")[1] in dead)
        assert allowed or not name.startswith(("Stop", "Remove"))


@given(st.integers(1, 400))
def test_a_pass_takes_away_a_bounded_share(count: int) -> None:
    containers = tuple(Container(f"c{i}", f"rc-test-{i:012d}", "running", "i") for i in range(count))
    steps = plan(Desired(), replace(BARE, containers=containers), Memory()).steps
    assert 1 <= len(steps) <= max(16, count // 4)
