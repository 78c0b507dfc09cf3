"""The engine stops, crashes and comes back while frames flow: FR-008, EC-02. On a daemon of the test's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from reconciler.controller.instance import Instance
from reconciler.model.memory import Memory
from reconciler.plan.facts import index
from reconciler.plan.sharing import derive
from reconciler.process import HostProcesses
from reconciler.stream import Text
from tests.support import drifting
from tests.support.place import Place, eventually
from tests.support.private_engine import PrivateEngine
from tests.support.world import conditions, has_ended, started_at

if TYPE_CHECKING:
    from collections.abc import Iterator

MANIFEST = (
    drifting.MANIFEST
    + """
      docker: {pythonVersion: "3.11", network: none}
    - {id: last, nodeType: echo:Echo, source: ./nodes}
  connections:
    - {from: echo, to: last}
"""
)
AWAY = "no Docker Engine at unix://"
HEALED_S = 40.0


@pytest.fixture(scope="module")
def daemon() -> Iterator[PrivateEngine]:
    """A daemon that has the one image that is needed."""
    with PrivateEngine() as made:
        made.start(keep_containers=True)
        made.load(_images())
        yield made


def _images() -> list[str]:
    """Build the image on the machine's engine, where building works, and return its tag."""
    place = Place()
    try:
        drifting.write(place, MANIFEST)
        built = place.reconcile("images", "build", "-f", str(place.manifests))
        assert built.returncode == 0, built.stderr
        with Instance(place.paths, place.manifests) as instance:
            wanted = derive(instance.load(), index(instance.look()), Memory(), now_s=0.0)
        return sorted({found.image.tag for found in wanted.instances.values() if found.image})
    finally:
        place.close()


class Away:
    """A pipeline of a container and a host process on the daemon, with a session that stays open."""

    def __init__(self, daemon: PrivateEngine, place: Place) -> None:
        self.daemon = daemon
        self.place = place
        place.environ["DOCKER_HOST"] = daemon.host
        drifting.write(place, MANIFEST)
        self.client = daemon.client()
        self.world = drifting.World(place, self.client, place.watch())
        eventually(self.world.ready, within_s=HEALED_S)
        self.session = self.world.open()
        self.says("before")
        # Conditions follow a session, they don't hold it up (ADR 22).
        eventually(lambda: self.session.name in conditions(place, "Session", "Ready"), within_s=HEALED_S)

    def says(self, word: str) -> None:
        """Send a word through both nodes."""
        self.session.send(Text(word), timeout_s=HEALED_S)
        frame = self.session.receive(HEALED_S)
        assert isinstance(frame, Text)
        assert frame.text == word

    def processes(self) -> list[tuple[int, str]]:
        return [(found.pid, found.started) for found in HostProcesses().list(self.place.instance)]

    def told_away(self) -> int:
        """Return how often the journal says that the engine is away."""
        return sum(event.message.startswith(AWAY) for event in self.place.events())

    def acted(self) -> list[str]:
        """Return what was done to containers and processes, as the journal has it."""
        events = self.place.events()
        return [event.message for event in events if event.object.startswith(("container/", "process/"))]


@pytest.fixture
def away(daemon: PrivateEngine, place: Place) -> Iterator[Away]:
    made = Away(daemon, place)
    try:
        yield made
    finally:
        made.session.close()
        made.client.close()


def test_engine_restarted_and_containers_lived_on(away: Away) -> None:
    """Nothing is wrong but the engine's silence, so nothing is done, then or later."""
    started, processes, acted = started_at(away.client, away.place), away.processes(), away.acted()
    away.daemon.kill()
    eventually(away.told_away, within_s=HEALED_S)
    away.says("while it is away")
    for command in (("get", "pipelines"), ("diff", "-f", str(away.place.manifests))):
        said = away.place.reconcile(*command)
        assert said.returncode == 3
        assert said.stderr.count("\n") == 1
    away.daemon.start(keep_containers=True)
    away.session.close()  # which the controller can see to only when it sees the engine
    eventually(lambda: has_ended(away.place, away.session.name), within_s=HEALED_S)
    eventually(away.world.ready, within_s=HEALED_S)
    away.world.works()
    assert started_at(away.client, away.place) == started
    assert away.processes() == processes
    assert away.acted() == acted


def test_engine_restarted_and_containers_ended_with_it(away: Away) -> None:
    """They are started again, the same ones; and the session, open all the while, goes on where it was."""
    started, processes = started_at(away.client, away.place), away.processes()
    away.daemon.kill()
    eventually(away.told_away, within_s=HEALED_S)
    away.daemon.start(keep_containers=False)  # it ends what a crash left running
    away.world.repaired("container ended with exit code")
    away.says("after a crash")
    told = away.told_away()
    away.daemon.stop()
    eventually(lambda: away.told_away() > told, within_s=HEALED_S)
    away.session.send(Text("waits for its node"))
    away.daemon.start(keep_containers=True)
    frame = away.session.receive(HEALED_S)
    assert isinstance(frame, Text)
    assert frame.text == "waits for its node"
    after = started_at(away.client, away.place)
    assert set(after) == set(started)
    assert after != started
    assert away.processes() == processes
