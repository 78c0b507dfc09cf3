"""`onError` and `stallTimeoutSeconds` travel in the assignment: an edit of them restarts nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from reconciler.contract.files import ERRING, SessionStatus, Status
from reconciler.plan.plan import plan
from reconciler.plan.service import served
from tests.support.worlds import chain, desire, docker_node, rest

if TYPE_CHECKING:
    from reconciler.contract.files import Served

NODE = docker_node("a")


def _served(**edit: object) -> Served:
    node = replace(NODE, **edit)  # type: ignore[arg-type]
    return served(chain("p", node), node, "s")


def test_the_assignment_says_it() -> None:
    assert (_served().on_error, _served().stall_timeout_s) == ("Restart", 60.0)
    edited = _served(on_error="Fail", stall_timeout_s=None)
    assert (edited.on_error, edited.stall_timeout_s) == ("Fail", None)
    assert edited.generation != _served().generation


def test_an_edit_writes_assignments_and_touches_no_container() -> None:
    observed = rest(desire(chain("p", NODE)))
    edited = chain("p", replace(NODE, on_error="Skip", stall_timeout_s=5.0))
    assert [type(step.action).__name__ for step in plan(desire(edited), observed).steps] == [
        "WriteAssignments",
        "WriteEndpoints",
    ]


def test_a_stream_in_which_a_node_raised_is_told_and_keeps_nobody_from_the_next() -> None:
    """A program that was killed after an error would otherwise have closed a standing session for good."""
    observed = rest(desire(chain("p", NODE)))
    (files,) = observed.node_files
    assert files.assignments is not None
    (entry,) = files.assignments.sessions
    erring = SessionStatus("p", "a", ERRING, "process() raised", generation=entry.generation)
    files = replace(files, status=Status(files.name, files.assignments.generation, (erring,)))
    found = plan(desire(chain("p", NODE)), replace(observed, node_files=(files,)))
    assert found.steps == ()
    (ready,) = [s.condition("Ready") for s in found.statuses if s.kind == "Session"]
    assert ready is not None
    assert (ready.status, ready.reason, ready.message) == ("False", "NodeRaised", "node a: process() raised")
