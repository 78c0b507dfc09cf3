"""Whatever the start, if the desired state stays, the world comes to match it and stays so.

The oracle below shares no code with the planner: an empty plan is only the planner's own opinion.
"""

from __future__ import annotations

from dataclasses import replace

from hypothesis import assume, given
from hypothesis import strategies as st

from reconciler.contract import env, labels
from reconciler.model.action import Action, BuildImage, CreateContainer, StartProcess
from reconciler.model.desired import Desired
from reconciler.model.manifest import Pipeline, SharedMemory
from reconciler.model.memory import Memory, but_for_now, forget, see_images, see_sessions, see_signs_of_life
from reconciler.model.observed import Container, Observed, ShmNode, ShmService
from reconciler.plan.foresee import after, settle
from reconciler.plan.plan import Plan, plan
from tests.support.worlds import BARE, chain, desire, docker_node, host_node

LONGEST = 60
PRIVATE = SharedMemory("Private")


Wish = tuple[str, str, str, str]
"""Node type, source digest, Python version ("" on the host), and the pipeline if it is that one's alone."""

ALONE = (("ALONE", "yes"),)
"""A variable of isolated nodes, so that a container's wish can be told from what it was created with."""

MADE: dict[str, Wish] = {}
"""What each name was ever made for, by all that the planner asked for: a name is its wish's alone."""

SANDBOXES: dict[str, str] = {}
"""The pipeline that each sandbox is of, by name."""

PYTHONS: dict[str, str] = {}
"""The Python version of each image that was asked for, by tag."""


def note(asked: Action) -> None:
    """Read from what is to be made what it is for, and see that its name has never been another's."""
    match asked:
        case BuildImage(image=image):
            assert PYTHONS.setdefault(image.tag, image.python_version) == image.python_version
        case CreateContainer(spec=spec) if dict(spec.labels)[labels.KIND] == labels.KIND_SANDBOX:
            pipeline = dict(spec.labels)[labels.PIPELINE]
            assert SANDBOXES.setdefault(spec.name, pipeline) == pipeline
        case CreateContainer(spec=spec):
            said = dict(spec.environment)
            (code,) = (v.host_path for v in spec.mounts if v.container_path == said[env.SOURCE_DIR])
            alone = "ALONE" in said or spec.ipc.startswith("container:")
            pipeline = dict(spec.labels)[labels.PIPELINE] if alone else ""
            wish = (said[env.NODE_TYPE], code.rsplit("/", 1)[-1], PYTHONS[spec.image], pipeline)
            assert MADE.setdefault(spec.name, wish) == wish
        case StartProcess(spec=spec):
            said = dict(spec.environment)
            wish = (said[env.NODE_TYPE], said[env.SOURCE_DIR].rsplit("/", 1)[-1], "", "")
            assert MADE.setdefault(spec.name, wish) == wish


def oracle(desired: Desired) -> set[Wish]:
    """The node instances that must run: distinct wishes of pipelines that are awake, and nothing else."""
    awake = {session.pipeline for session in desired.sessions}
    wishes = set()
    for pipeline in desired.pipelines:
        if pipeline.suspend or pipeline.name not in awake:
            continue
        for node in pipeline.nodes:
            private = pipeline.shared_memory == PRIVATE
            alone = pipeline.name if node.docker and (node.docker.isolated or private) else ""
            python = node.docker.python_version if node.docker else ""
            wishes.add((node.node_type, node.source.digest, python, alone))
    return wishes


def own_memories(desired: Desired) -> list[str]:
    """Of which pipelines a sandbox must run: those that are awake and have memory of their own."""
    awake = {session.pipeline for session in desired.sessions}
    return sorted(p.name for p in desired.pipelines if p.shared_memory == PRIVATE and p.name in awake and not p.suspend)


nodes = st.builds(
    lambda kind, code, python, isolated: (
        docker_node("n", code=code, python=python, isolated=isolated, env=ALONE if isolated else ())
        if kind
        else host_node("n", code=code)
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
        if private:  # there all are alone, and as equal as they would be without the variable
            made = [replace(node, docker=node.docker and replace(node.docker, env=())) for node in made]
        memory = PRIVATE if private else SharedMemory()
        pipelines.append(chain(name, *made, activation=activation, suspend=draw(st.booleans()), shared_memory=memory))
    leases = draw(st.lists(st.sampled_from(["p", "q", "r", "unknown"]), max_size=2))
    return desire(*pipelines, leases=tuple((f"lease-{i}", name) for i, name in enumerate(leases)))


@st.composite
def worlds(draw: st.DrawFn) -> Observed:
    """A world that some other desired state has left, then damaged at random."""
    observed, _ = converge(draw(desires()), BARE)
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
    """Whether each node that joined memory joined that of its own pipeline, in its present run."""
    held = {c.id: (SANDBOXES[c.name], c.memory) for c in observed.containers if c.kind == "sandbox"}
    for joined in (container for container in observed.containers if container.sandbox):
        pipeline, memory = held.get(joined.sandbox, ("", 0))
        if pipeline != MADE[joined.name][3] or not (0 in (joined.memory, memory) or joined.memory == memory):
            return False
    return True


def matches(desired: Desired, observed: Observed) -> bool:
    running = [container for container in observed.containers if container.state == "running"]
    serving = [container.name for container in running if container.kind == "node"]
    serving += [process.name for process in observed.processes]
    return (
        len(running) == len(observed.containers)
        and sorted(MADE[name] for name in serving) == sorted(oracle(desired))
        and sorted(SANDBOXES[c.name] for c in running if c.kind == "sandbox") == own_memories(desired)
        and _share_memory(observed)
        and {files.name for files in observed.node_files} == set(serving)
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
            note(step.action)
            observed = after(observed, step.action)
        observed = settle(observed)
    msg = f"no rest: {[step.object for step in found.steps]}"
    raise AssertionError(msg)


@given(desires(), worlds(), st.floats(0.0, 1e6))
def test_a_plan_that_waits_for_nothing_is_the_same_later(desired: Desired, observed: Observed, after_s: float) -> None:
    """Which is what a controller keeps it by (`controller/standing.py`)."""
    end, _ = converge(desired, observed)
    asked = [Memory()]
    found = []
    for now_s in (100.0, 100.0 + after_s):
        seen = see_signs_of_life(see_sessions(asked[-1], desired, now_s=now_s), end, now_s=now_s)
        asked.append(forget(see_images(seen, end, now_s=now_s), end, now_s=now_s))
        found.append(plan(desired, end, asked[-1], now_s=now_s))
    first, later = found
    assume(not first.steps and first.requeue_s is None and (first.ages_in_s is None or after_s < first.ages_in_s))
    assert but_for_now(asked[1], desired, end) == but_for_now(asked[2], desired, end)
    assert replace(later, ages_in_s=None) == replace(first, ages_in_s=None)


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
            note(step.action)
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
    at_once = plan(Desired(at_once=True), replace(BARE, containers=containers), Memory()).steps
    assert len(at_once) == count, "somebody has said that all is to go"
