"""A graph that is no chain, from the manifest to its frames: what the plan makes of it serves real containers."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from reconciler.stream import Json, Text
from tests.support.flow import PATIENCE_S, Plant
from tests.support.place import SHM, eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import Any

    from reconciler.stream import Session

COUNT, HELD = 20, 8
CONNECTIONS = [
    {"from": "fork", "fromOutput": "left", "to": "one", "buffer": 2},
    {"from": "fork", "fromOutput": "left", "to": "two", "toInput": "a", "buffer": HELD},
    {"from": "fork", "fromOutput": "left", "to": "join", "toInput": "newest", "delivery": "latest", "buffer": 1},
    {"from": "fork", "fromOutput": "right", "to": "two", "toInput": "b", "buffer": 32},
    {"from": "one", "to": "join", "toInput": "first", "buffer": 64},
    {"from": "two", "to": "join", "toInput": "second", "buffer": 64},
]
WAYS = ["left one: join:first", "left two:a join:second", "right two:b join:second"]
NEWEST = "left join:newest"


@pytest.fixture
def plant() -> Iterator[Plant]:
    made = Plant()
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def gates(plant: Plant) -> Iterator[dict[str, Path]]:
    """For each node that waits for one, a file that containers see."""
    made = {name: SHM / f"{plant.place.instance}-{name}" for name in ("one", "two", "join")}
    yield made
    for path in made.values():
        path.unlink(missing_ok=True)


def _node(name: str, kind: str, **params: Any) -> dict[str, Any]:
    docker = {"pythonVersion": "3.11", "network": "none"}
    return {"id": name, "nodeType": f"joining:{kind}", "params": params, "docker": docker}


def _counted(plant: Plant, session: str) -> dict[tuple[str, str, str | None], tuple[int, int]]:
    """Return by connection how many frames it brought and how many it dropped, as `get sessions` shows them."""
    (found,) = [item for item in plant.place.items("sessions") if item["metadata"]["name"] == session]
    told = found["status"]["connections"]
    return {(each["from"], each["to"], each["toInput"]): (each["received"], each["dropped"]) for each in told}


def _came(plant: Plant, session: Session, node: str) -> int:
    return _counted(plant, session.name).get(("fork", node, None), (0, 0))[0]


def test_a_graph_that_forks_and_joins_brings_every_frame_by_every_way_and_one_end(
    plant: Plant, gates: dict[str, Path]
) -> None:
    """Two readers of a port, two ports of a node, two inputs of a node, one `latest`, each with a buffer of its own."""
    marks = [_node(name, "Mark", mark=name, gate=str(gates[name])) for name in ("one", "two")]
    plant.put(
        "diamond",
        _node("fork", "Fork"),
        *marks,
        _node("join", "Join", gate=str(gates["join"])),
        connections=CONNECTIONS,
    )
    plant.watch()
    said = [str(number) for number in range(COUNT)]
    with plant.open("diamond") as session:
        for word in said:
            session.send(Text(word))
        gates["one"].touch()
        eventually(lambda: _came(plant, session, "one") >= HELD, within_s=PATIENCE_S)
        time.sleep(1)
        assert _came(plant, session, "one") < COUNT, "the other reader of that port is waited for, too"
        gates["two"].touch()

        def gone_by() -> bool:  # all that the last node is to get lies before it, and what it can't have is lost
            counted = _counted(plant, session.name)
            ends = [("fork", "one", None), ("fork", "two", "a"), ("fork", "two", "b")]
            return all(counted.get(each) == (COUNT, 0) for each in ends)

        eventually(gone_by, within_s=PATIENCE_S)
        gates["join"].touch()
        arrived: dict[str, list[str]] = {way: [] for way in (*WAYS, NEWEST)}
        while any(texts[-1:] != said[-1:] for texts in arrived.values()):
            frame = session.receive(PATIENCE_S)
            assert isinstance(frame, Json)
            arrived[frame.value["way"]].append(frame.value["text"])
        newest = arrived.pop(NEWEST)
        assert arrived == dict.fromkeys(WAYS, said)
        assert len(newest) <= 3, "there is room for one beside the first and the one in hand"
        session.end()
        assert [frame.value for frame in session if isinstance(frame, Json)] == [{"ends": 1}]

        expected = {("fork", "join", "newest"): (len(newest) + 1, COUNT - len(newest))}  # the end counts as well
        expected |= {("one", "join", "first"): (COUNT + 1, 0), ("two", "join", "second"): (2 * COUNT + 1, 0)}
        eventually(lambda: expected.items() <= _counted(plant, session.name).items(), within_s=PATIENCE_S)
