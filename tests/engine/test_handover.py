"""BY-04 on the real engine: streams flow through containers and a host process that are replaced and killed."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from reconciler.contract.files import parse_assignments, read_text
from reconciler.stream import Json, NodeFailed
from tests.support.edits import NAME, Edited, undisturbed_whatever_happens
from tests.support.flow import BUILD_S, PATIENCE_S, Plant, docker_node
from tests.support.marathon import REPORT_S
from tests.support.place import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

STALL_S = 1.0


@pytest.fixture(scope="module")
def edited() -> Iterator[Edited]:
    plant = Plant()
    try:
        made = Edited(plant, on_host={1})
        plant.put("hangs", {**docker_node("hang", "Hang"), "onError": "Skip", "stallTimeoutSeconds": STALL_S})
        plant.watch()
        yield made
    finally:
        plant.close()


def test_streams_do_not_feel_that_nodes_are_replaced_and_killed_and_the_controller_too(edited: Edited) -> None:
    """Two sessions; a neighbour, a host process, kills; then all nodes at once, and the controller killed meanwhile."""

    def all_at_once() -> None:
        before = edited.serving()
        edited.edit(0, 1, 2)
        eventually(lambda: _handing_over(edited), within_s=BUILD_S, every_s=0.005)
        edited.plant.controller.kill()
        edited.plant.controller.wait()
        edited.plant.controller = edited.plant.place.watch()
        eventually(lambda: edited.is_replaced(before, 0, 1, 2), within_s=BUILD_S)

    things = [
        lambda: edited.replace(2),
        lambda: edited.kill(0),
        lambda: edited.replace(1),
        lambda: edited.kill(2),
        all_at_once,
    ]
    assert undisturbed_whatever_happens(edited.plant, things, sessions=2) > 200  # they flow, however fast


def test_a_node_that_hangs_is_told_within_two_seconds_and_started_again(edited: Edited) -> None:
    """SC-004: to the session by the node, and in the conditions by the controller; the next frame is served."""
    plant = edited.plant
    with plant.open("hangs") as session:
        session.send(Json("hang"))
        begun = time.time()
        session.send(Json("on"))
        with pytest.raises(NodeFailed, match="node hang raised Stalled on frame 0"):
            session.receive(PATIENCE_S)
        assert time.time() - begun < STALL_S + REPORT_S
        frame = session.receive(PATIENCE_S)
        assert isinstance(frame, Json)
        assert frame.value == "on"
    told = [(at, text) for _, at, text in plant.told("node/hangs/") if "exit code 75 (it stalled)" in text]
    assert told, plant.told("node/hangs/")
    assert told[0][0] < begun + STALL_S + REPORT_S
    assert "node hang hangs in session hangs-" in told[0][1]


def _handing_over(edited: Edited) -> bool:
    """Whether two instances of one node are assigned a session that is open."""
    texts = [read_text(path) or "" for path in edited.plant.place.paths.nodes.glob("*/assignments.json")]
    assigned = [(s.session, s.node) for text in texts if (found := parse_assignments(text)) for s in found.sessions]
    return any(assigned.count(entry) > 1 and entry[0] != NAME for entry in assigned)
