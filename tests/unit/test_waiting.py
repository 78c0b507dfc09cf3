"""A new version that is not up yet is something to wait for, though there is nothing to do."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from reconciler.contract.files import Status
from reconciler.plan.foresee import after, route, settle
from reconciler.plan.plan import plan
from tests.support.worlds import chain, desire, docker_node, rest

if TYPE_CHECKING:
    from reconciler.model.observed import Observed

OLD = desire(chain("p", docker_node("n", code="a")))
NEW = desire(chain("p", docker_node("n", code="b")))


def _loading() -> Observed:
    """The world while the new version, started beside the old one, still imports its code."""
    observed = rest(OLD)
    old = {files.name for files in observed.node_files}
    while len([container for container in observed.containers if container.state == "running"]) < 2:
        for step in plan(NEW, observed).steps:
            observed = after(observed, step.action)
    files = [f if f.name in old else replace(f, alive=True, status=Status(f.name)) for f in observed.node_files]
    return replace(observed, node_files=tuple(files))


def test_a_session_waits_for_its_new_version_to_load() -> None:
    found = plan(NEW, _loading())
    assert found.steps == ()
    assert found.waiting == ("p",)
    loaded = plan(NEW, settle(_loading()))
    assert [type(step.action).__name__ for step in loaded.steps] == ["WriteAssignments"]
    assert loaded.waiting == ("p",)  # it is on its way until the old version has let go of it


def test_the_route_goes_on_to_the_take_over() -> None:
    kinds = {type(step.action).__name__ for step in route(NEW, _loading())}
    assert kinds >= {"WriteAssignments", "StopContainer", "RemoveContainer"}
    assert plan(NEW, rest(NEW)).waiting == ()
