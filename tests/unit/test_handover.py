"""BY-04, the planner's side: the steps of a handover, from any pass on and with any of them done or not."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from reconciler.contract.files import FAILED, READY, STARTING, WAITING, Assignments, SessionStatus, Status
from reconciler.plan.foresee import after, settle
from reconciler.plan.plan import plan
from tests.support.worlds import chain, desire, docker_node, rest

if TYPE_CHECKING:
    from collections.abc import Callable

    from reconciler.model.observed import NodeFiles, Observed
    from reconciler.plan.plan import Plan

BEFORE = chain("p", docker_node("a"), docker_node("b", python="3.10"))
EDITED = chain("p", docker_node("a", code="b"), docker_node("b", python="3.10"), generation="g2")


def until_up(pipeline: object = EDITED, observed: Observed | None = None) -> tuple[Observed, str, str]:
    """Let the new instance come up and be assigned; return the world, and the names of the old one and the new one."""
    observed = observed or rest(desire(BEFORE))
    old = _serving(observed, "a")[0]
    for _ in range(20):
        for step in plan(desire(pipeline), observed).steps:  # type: ignore[arg-type]
            observed = after(observed, step.action)
        if len(_serving(observed, "a")) == 2:
            new = next(name for name in _serving(observed, "a") if name != old)
            return observed, old, new
        observed = settle(observed)
    msg = "nothing came up"
    raise AssertionError(msg)


def _serving(observed: Observed, node: str) -> list[str]:
    found = [f for f in observed.node_files if f.assignments and any(s.node == node for s in f.assignments.sessions)]
    return [files.name for files in found]


def changed(observed: Observed, name: str, change: Callable[[NodeFiles], NodeFiles]) -> Observed:
    """Return the world with other files of one instance."""
    return replace(observed, node_files=tuple(change(f) if f.name == name else f for f in observed.node_files))


def says(observed: Observed, name: str, state: str, message: str = "") -> Observed:
    """Return the world in which an instance has taken in its assignments and says how its session fares."""

    def told(files: NodeFiles) -> NodeFiles:
        assert files.assignments is not None
        sessions = [
            SessionStatus(s.session, s.node, state, message, generation=s.generation)
            for s in files.assignments.sessions
        ]
        return replace(files, status=Status(name, files.assignments.generation, tuple(sessions)))

    return changed(observed, name, told)


def document(found: Plan, name: str) -> Assignments | None:
    """Return the assignments that a plan writes for an instance."""
    steps = [step.action for step in found.steps if step.object == f"assignments/{name}"]
    return steps[0].document if steps else None  # type: ignore[union-attr]


def test_the_old_one_is_told_to_leave_when_the_new_one_has_got_ready() -> None:
    observed, old, new = until_up()
    assert plan(desire(EDITED), observed).steps == ()
    assert plan(desire(EDITED), observed).requeue_s is not None
    for state in (WAITING, READY):
        found = plan(desire(EDITED), says(observed, new, state))
        assert [step.object for step in found.steps] == [f"assignments/{old}"]
        told = document(found, old)
        assert told is not None
        assert (told.sessions, [s.node for s in told.leaving]) == ((), ["a"])
        assert found.waiting == ("p",)


def test_a_new_one_that_can_not_initialize_changes_nothing_and_is_told() -> None:
    observed, _, new = until_up()
    found = plan(desire(EDITED), says(observed, new, FAILED, "RuntimeError: no model"))
    assert found.steps == ()
    ready = {(s.kind, s.name): s.condition("Ready") for s in found.statuses}
    assert ready["Session", "p"].status == "True"  # type: ignore[union-attr]
    assert "no model" in ready["Node", "p/a"].message  # type: ignore[union-attr]
    (pipeline,) = (s for s in found.statuses if s.kind == "Pipeline")
    degraded = pipeline.condition("Degraded")
    assert degraded is not None
    assert degraded.message == "the version before goes on serving: node a: RuntimeError: no model"


def leaving() -> tuple[Observed, str, str]:
    """Return the world in which the old one was told to leave, and has not said anything to it."""
    observed, old, new = until_up()
    observed = says(observed, new, WAITING)
    told = document(plan(desire(EDITED), observed), old)
    assert told is not None
    return changed(observed, old, lambda files: replace(files, assignments=told)), old, new


def test_a_third_version_lets_both_before_it_go_when_it_is_ready() -> None:
    """The second one got ready when the third was wanted already, so that nothing was told to leave for it."""
    third = chain("p", docker_node("a", code="c"), docker_node("b", python="3.10"), generation="g3")
    observed, old, second = until_up()
    while len(_serving(observed, "a")) < 3:
        for step in plan(desire(third), observed).steps:
            observed = after(observed, step.action)
        observed = settle(observed)
    newest = next(name for name in _serving(observed, "a") if name not in {old, second})
    observed = says(says(observed, second, WAITING), newest, STARTING)
    assert plan(desire(third), observed).steps == ()
    found = plan(desire(third), says(observed, newest, WAITING))
    for name in (old, second):
        told = document(found, name)
        assert told is not None
        assert (told.sessions, [s.node for s in told.leaving]) == ((), ["a"])


def test_the_old_one_stays_until_it_says_that_it_has_left() -> None:
    observed, old, _ = leaving()
    found = plan(desire(EDITED), observed)
    assert [step for step in found.steps if old in step.object] == []
    observed = says(observed, old, READY)
    assert f"container/{old}" in [step.object for step in plan(desire(EDITED), observed).steps]


def test_an_old_one_that_died_is_not_waited_for() -> None:
    observed, old, _ = leaving()
    ended = tuple(replace(c, state="exited", exit_code=137) if c.name == old else c for c in observed.containers)
    observed = replace(observed, containers=ended)
    assert f"container/{old}" in [step.object for step in plan(desire(EDITED), observed).steps]


def test_a_session_that_ends_on_the_way_takes_all_of_it_along() -> None:
    observed, old, new = leaving()
    gone = replace(desire(EDITED), sessions=())
    ended = plan(gone, observed)
    assert {f"container/{old}", f"container/{new}"} <= {step.object for step in ended.steps}


def test_going_back_in_the_middle_swaps_old_and_new() -> None:
    observed, old, new = leaving()
    back = plan(desire(BEFORE), observed)
    told = document(back, old)
    assert told is not None
    assert ([s.node for s in told.sessions], told.leaving) == (["a"], ())
    assert document(back, new) is None
    observed = says(changed(observed, old, lambda files: replace(files, assignments=told)), old, WAITING)
    told = document(plan(desire(BEFORE), observed), new)
    assert told is not None
    assert ([s.node for s in told.leaving], told.sessions) == (["a"], ())


def test_an_edit_of_the_graph_lets_go_at_once() -> None:
    """The channels are others; nobody would read on in the old ones."""
    shorter = chain("p", docker_node("a", code="b"), generation="g2")
    observed, old, new = until_up(shorter)
    found = plan(desire(shorter), says(observed, new, READY))
    assert f"container/{old}" in [step.object for step in found.steps]


def test_a_runtime_that_knows_no_leaving_ends_at_once_and_counts_as_gone() -> None:
    """It takes the document without what it does not know, and then names the session no more."""
    observed, old, _ = leaving()

    def older(files: NodeFiles) -> NodeFiles:
        assert files.assignments is not None
        return replace(files, status=Status(old, files.assignments.generation))

    observed = changed(observed, old, older)
    assert f"container/{old}" in [step.object for step in plan(desire(EDITED), observed).steps]


def test_a_node_beside_that_can_not_serve_does_not_hold_the_move_up() -> None:
    observed, old, new = until_up()
    beside = next(name for name in _serving(observed, "b"))
    observed = says(says(observed, new, WAITING), beside, FAILED, "no model")
    told = document(plan(desire(EDITED), observed), old)
    assert told is not None
    assert [entry.node for entry in told.leaving] == ["a"]


def test_two_new_ones_are_waited_for_together() -> None:
    both = chain("p", docker_node("a", code="b"), docker_node("b", code="b", python="3.10"), generation="g2")
    observed, _, new = until_up(both)
    observed = says(observed, new, WAITING)
    assert [step for step in plan(desire(both), observed).steps if step.object.startswith("assignments")] == []
