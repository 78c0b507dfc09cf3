"""Sessions that share a container when it is made, when they come and go at once, and when it crashes."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING

import pytest

from reconciler.stream import Text
from tests.support import drifting
from tests.support.place import SHM, eventually
from tests.support.world import conditions, containers

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import docker

    from tests.support.place import Place

SAID_S = 60.0
ROUNDS = 8
ENDS_S = 4.0
"""Less than the engine waits before it kills."""
WANTED_AGAIN = "container was stopped when nobody wanted it"


def _on_demand(idle_s: float) -> str:
    spec = f"spec:\n  activation: OnDemand\n  idleTimeoutSeconds: {idle_s}\n"
    return drifting.MANIFEST.replace("spec:\n", spec) + drifting.DOCKER


def _watched(place: Place, client: docker.APIClient, text: str) -> drifting.World:
    drifting.write(place, text)
    world = drifting.World(place, client, place.watch())
    eventually(lambda: conditions(place, "Pipeline", "Ready").get("echo", {}).get("status") == "True", within_s=60)
    return world


def _says(world: drifting.World, word: str) -> str:
    """Open a session, send a word, and return what comes back."""
    with world.open(timeout_s=SAID_S) as session:
        session.send(Text(word), timeout_s=SAID_S)
        frame = session.receive(SAID_S)
    assert isinstance(frame, Text)
    return frame.text


def test_sessions_that_need_the_same_at_once_make_one_container(place: Place, client: docker.APIClient) -> None:
    """EC-09."""
    world = _watched(place, client, _on_demand(30))
    assert not containers(client, place)
    said: list[str] = []
    programs = [
        threading.Thread(target=lambda word=word: said.append(_says(world, word))) for word in ("one", "two", "three")
    ]
    for program in programs:
        program.start()
    for program in programs:
        program.join()
    assert sorted(said) == ["one", "three", "two"]
    reasons = [event.reason for event in place.events()]
    assert [reasons.count(reason) for reason in ("CreateContainer", "StartContainer")] == [1, 1]


def test_sessions_that_come_while_the_last_one_leaves_are_served(place: Place, client: docker.APIClient) -> None:
    """EC-10: nothing lingers, so each time the container is gone, on its way out, or was just spared."""
    world = _watched(place, client, _on_demand(0))
    for number in range(ROUNDS):
        assert _says(world, str(number)) == str(number)
    eventually(lambda: not containers(client, place), within_s=30)
    assert [event for event in place.events() if event.kind == "Warning"] == []


@pytest.fixture
def mark(place: Place) -> Iterator[Path]:
    """A file in shared memory by which a node and the test tell each other how far they are."""
    made = SHM / place.instance
    yield made
    made.unlink(missing_ok=True)


def test_a_session_that_comes_while_the_container_ends_is_served(
    place: Place, client: docker.APIClient, mark: Path
) -> None:
    """EC-10: it was told to end and is still about it; then it is started again, and has not crashed."""
    world = _watched(place, client, _on_demand(0))
    _let_it_end_slowly(world, mark)
    said: list[str] = []
    program = threading.Thread(target=lambda: said.append(_says(world, "late")))
    with world.open(timeout_s=SAID_S) as session:
        early = session.name
    eventually(mark.exists, within_s=30, every_s=0.01)
    program.start()
    eventually(lambda: set(conditions(place, "Session", "Ready")) - {early}, within_s=30, every_s=0.01)
    mark.unlink()
    program.join()
    assert said == ["late"]
    assert world.told(WANTED_AGAIN)
    eventually(mark.exists, within_s=30)
    mark.unlink()
    eventually(lambda: not containers(client, place), within_s=30)
    reasons = [event.reason for event in place.events()]
    assert [reasons.count(reason) for reason in ("CreateContainer", "StartContainer")] == [1, 2]
    assert [event for event in place.events() if event.kind == "Warning"] == []


def _let_it_end_slowly(world: drifting.World, mark: Path) -> None:
    """Let the node's process make a file when it ends, and end as soon as that is removed, or is too long there."""
    code = world.manifest.parent / "nodes" / "echo.py"
    code.write_text(f"""{code.read_text()}

import atexit, os, time


def _end():
    open("{mark}", "w").close()
    until = time.monotonic() + {ENDS_S}
    while os.path.exists("{mark}") and time.monotonic() < until:
        time.sleep(0.005)


atexit.register(_end)
""")


def test_every_session_of_a_container_that_crashes_hears_of_it(world: drifting.World, mark: Path) -> None:
    """FR-009, EC-03: why, and that it is tried again; then each stream goes on where it was."""
    code = world.manifest.parent / "nodes" / "echo.py"
    crash = (
        "        if getattr(frame, 'text', '') == 'crash' and not os.path.exists(ONCE):\n            open(ONCE, 'w')\n"
    )
    body = "    def process(self, frame):\n"
    text = code.read_text().replace(body, f"{body}{crash}            os._exit(9)\n")
    code.write_text(text.replace("class Echo", f'import os\n\nONCE = "{mark}"\n\n\nclass Echo'))
    eventually(lambda: world.told("nobody wants it any more") and world.ready(), within_s=60)
    with world.open() as one, world.open() as other:
        names = {"echo", one.name, other.name}
        eventually(lambda: set(conditions(world.place, "Session", "Ready")) == names, within_s=10)
        for session in (one, other):
            session.send(Text("before"))
            assert isinstance(session.receive(SAID_S), Text)
        heard: set[str] = set()

        def all_heard() -> bool:
            for name in names:
                found = json.loads((world.place.paths.endpoints / f"{name}.json").read_text())
                if not found["ready"] and "ended with exit code 9" in found["message"]:
                    heard.add(name)
            return heard == names

        one.send(Text("crash"))
        eventually(all_heard, within_s=SAID_S, every_s=0.002)
        other.send(Text("after"))
        for session, word in ((one, "crash"), (other, "after")):
            frame = session.receive(SAID_S)
            assert isinstance(frame, Text)
            assert frame.text == word
