"""Commands that only look, on what really runs: `logs -f`, `top`, `describe`, and `get` of every kind in every form."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

import pytest
from ruamel.yaml import YAML

from reconciler.cli.__main__ import main
from reconciler.cli.parser import KINDS
from reconciler.contract import env
from reconciler.stream import Text
from tests.support import drifting
from tests.support.place import eventually
from tests.support.world import has_ended, served

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

    import docker

    from tests.support.place import Place

MANIFEST = (
    drifting.MANIFEST
    + """
      docker: {pythonVersion: "3.11"}
    - {id: last, nodeType: echo:Echo, source: ./nodes}
  connections:
    - {from: echo, to: last}
"""
)
SEEN_S = 30.0


@pytest.fixture
def talking(place: Place, client: docker.APIClient) -> drifting.World:
    """A container and a host process that print what they get."""
    drifting.write(place, MANIFEST)
    code = place.manifests / "echo" / "nodes" / "echo.py"
    before, plain = "    def process(self, frame):\n", code.read_text()
    code.write_text(plain.replace(before, f"{before}        print('saw', getattr(frame, 'text', 'the end'))\n"))
    world = drifting.World(place, client, place.watch())
    eventually(world.ready, within_s=240)
    world.works()
    eventually(lambda: served(place) == {"echo"}, within_s=SEEN_S)  # the program's own session is let go of
    return world


class Follower:
    """`reconcile logs -f`, whose lines land in a file."""

    def __init__(self, world: drifting.World) -> None:
        self.path = world.place.base / "followed"
        self.program: subprocess.Popen[str] = world.place.start("logs", "echo", "-f", stdout=self.path)

    def count(self, text: str) -> dict[str, int]:
        """Return how many lines with a text came from each node."""
        found = [line.split()[1] for line in self.path.read_text().splitlines() if text in line]
        return {node: found.count(node) for node in sorted(set(found))}


def test_followed_logs_go_on_through_a_restart(talking: drifting.World) -> None:
    follower = Follower(talking)
    eventually(lambda: follower.count("saw hello") == {"echo/echo": 1, "echo/last": 1}, within_s=SEEN_S)
    talking.engine.kill(talking.seen()["Id"])
    talking.repaired("container ended with exit code 137")
    eventually(lambda: follower.count("saw hello") == {"echo/echo": 2, "echo/last": 2}, within_s=SEEN_S)


def test_followed_logs_go_on_through_an_edit(talking: drifting.World) -> None:
    follower = Follower(talking)
    eventually(lambda: follower.count("saw hello") == {"echo/echo": 1, "echo/last": 1}, within_s=SEEN_S)
    code, before = talking.manifest.parent / "nodes" / "echo.py", talking.seen()["Id"]
    code.write_text(code.read_text().replace("'saw'", "'second version saw'"))
    eventually(lambda: before not in {c["Id"] for c in talking.containers()} and talking.ready(), within_s=SEEN_S)
    talking.works()
    eventually(lambda: set(follower.count("second version saw hello")) == {"echo/echo", "echo/last"}, within_s=SEEN_S)


@pytest.fixture
def said(place: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """What a command prints, run in this process: it is many of them."""
    for name in (env.INSTANCE, env.STATE_DIR, env.RUNTIME_DIR):
        monkeypatch.setenv(name, place.environ[name])

    def run(*arguments: str) -> str:
        assert main(arguments) == 0
        return capsys.readouterr().out

    return run


def test_what_runs_is_shown_by_every_command_that_looks(talking: drifting.World, said: Callable[..., str]) -> None:
    with talking.open() as session:
        for number in range(40):
            session.send(Text(str(number)))
        items = json.loads(said("top", "echo", "--interval", "1.5", "-o", "json"))["items"]
        for _ in range(40):
            session.receive(SEEN_S)
    eventually(lambda: has_ended(talking.place, session.name), within_s=SEEN_S)  # what is shown twice must not change
    by_name: dict[str, dict[str, Any]] = {item["metadata"]["name"]: item["status"] for item in items}
    assert set(by_name) == {"echo/echo", "echo/last"}
    for status in by_name.values():
        assert status["memoryBytes"] > 10 << 20
        assert status["cpuCores"] >= 0
        assert (status["dropped"], status["sessions"]) == (0, 2)
    assert by_name["echo/last"]["backlog"] >= 32  # nobody has taken what it sent
    table = said("top")
    assert table.split()[:4] == ["NODE", "SESSIONS", "IN/S", "OUT/S"]
    assert "MiB" in table

    described = said("describe", "pipeline", "echo")
    assert "echo/last: saw 39" in described
    for kind in KINDS:
        names = said("get", kind, "-o", "name").split()
        assert names, kind
        items = json.loads(said("get", kind, "-o", "json"))["items"]
        assert [item["metadata"]["name"] for item in items] == names
        shown = YAML(typ="safe").load(io.StringIO(said("get", kind, "-o", "yaml")))
        assert [item["kind"] for item in shown["items"]] == [item["kind"] for item in items]
        for form in ("wide", "table"):
            assert names[0] in said("get", kind, "-o", form)
        if kind != "events":
            assert names[0] in said("describe", kind, names[0])
    (pipeline,) = json.loads(said("get", "pipeline", "-o", "json"))["items"]
    assert pipeline["spec"]["nodes"][0]["docker"]["resourceLimits"]["memoryMb"] is None
    assert pipeline["spec"]["connections"][0]["from"] == "echo"
