"""What a node can't do to its host, and what of its secrets shows: by inspection, and from inside."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from tests.support import drifting
from tests.support.drifting import MANIFEST, World
from tests.support.place import eventually, lying

if TYPE_CHECKING:
    from pathlib import Path

    import docker

    from tests.support.place import Place

WORD = "hunter2-is-no-secret"
SECRETIVE = """
      docker:
        envFrom: [{file: ./words.env}]
        secrets: [{name: api-key, file: ./api.key}]
        resourceLimits: {openFiles: 256}
"""
CODE = """
import os
import resource
from pathlib import Path

from reconciler.node import Node, Text

print("awake")


class Echo(Node):
    def process(self, frame):
        if isinstance(frame, Text):
            said = f"{os.environ['TOKEN']} {Path('/run/secrets/api-key').read_text()}"
            return Text(f"{said == frame.text} {resource.getrlimit(resource.RLIMIT_NOFILE)}")
"""


def _inside(world: World, *command: str) -> subprocess.CompletedProcess[str]:
    argv = ("docker", "exec", world.seen()["Id"], *command)
    return subprocess.run(argv, capture_output=True, text=True, check=False)


def test_a_default_node_has_no_power_over_its_host(world: World) -> None:
    host: dict[str, Any] = world.seen()["HostConfig"]
    assert host["Privileged"] is False
    assert (host["CapDrop"], host["CapAdd"]) == (["ALL"], None)
    assert host["SecurityOpt"] == ["no-new-privileges"]  # and nothing about seccomp, so the engine's own profile
    assert host["ReadonlyRootfs"] is True
    assert "size=268435456" in host["Tmpfs"]["/tmp"]
    assert host["Init"] is True
    assert not any(host[key] for key in ("Devices", "DeviceRequests", "GroupAdd", "VolumesFrom"))
    assert {host[f"{kind}Mode"] for kind in ("Ipc", "Pid", "UTS", "Userns")} <= {"", "private"}
    assert world.seen()["Config"]["User"] == f"{os.geteuid()}:{os.getegid()}"
    sources = [mount["Source"] for mount in world.seen()["Mounts"]]
    assert len(sources) == 4
    assert not [source for source in sources if source.endswith(".sock") or source in ("/", "/run", "/var/run")]
    status = dict(line.split(":\t", 1) for line in _inside(world, "cat", "/proc/1/status").stdout.splitlines())
    assert {int(status[f"Cap{kind}"], 16) for kind in ("Eff", "Prm", "Inh", "Bnd", "Amb")} == {0}
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
    assert _inside(world, "touch", "/usr/local/mark").returncode != 0
    assert _inside(world, "touch", "/tmp/mark", "/run/reconciler/node/mark").returncode == 0
    assert _inside(world, "sh", "-c", "test -w $HOME && test ! -e /var/run/docker.sock").returncode == 0
    assert _inside(world, "sh", "-c", "head -c 300M /dev/zero > /tmp/much").returncode != 0
    world.works()


def _answer(world: World, text: str) -> str:
    said = subprocess.run(
        world.place._command(("stream", "echo")),
        env=world.place.environ,
        input=f"{text}\n",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert said.returncode == 0, said.stderr
    return str(json.loads(said.stdout)["text"])


def _holds(path: Path, word: str) -> bool:
    """Whether a file holds a word. The node is at work: what it has replaced meanwhile is left out."""
    try:
        return path.is_file() and word.encode() in path.read_bytes()
    except FileNotFoundError:
        return False


@pytest.fixture
def secretive(place: Place, client: docker.APIClient) -> World:
    drifting.write(place, MANIFEST + SECRETIVE)
    directory = place.manifests / "echo"
    (directory / "nodes" / "echo.py").write_text(CODE)
    (directory / "words.env").write_text(f"TOKEN={WORD}\n")
    (directory / "api.key").write_text(WORD)
    made = World(place, client, place.start("-v", "-f", str(place.manifests)))
    eventually(made.ready, within_s=240)
    return made


def test_secrets_reach_the_node_and_nobody_else(secretive: World) -> None:
    world, place = secretive, secretive.place
    assert _answer(world, f"{WORD} {WORD}") == "True (256, 256)"
    before = world.seen()
    assert [mount["RW"] for mount in before["Mounts"] if "/run/secrets/" in mount["Destination"]] == [False]
    shown = [
        json.dumps(before),
        json.dumps(world.containers()),
        *(place.reconcile("get", kind, "-o", "json").stdout for kind in ("pipelines", "nodes", "sessions", "events")),
        place.reconcile("describe", "node", "echo/echo").stdout,
        place.reconcile("logs", "echo").stdout,
        place.log(),
    ]
    assert "awake" in shown[-2]
    for text in shown:
        assert text
        assert WORD not in text
    assert [path for path in lying(place.base) if place.manifests not in path.parents and _holds(path, WORD)] == []

    (place.manifests / "echo" / "api.key").write_text("another")
    eventually(lambda: [c["Id"] for c in world.containers()] != [before["Id"]] and world.ready(), within_s=60)
    assert _answer(world, f"{WORD} another") == "True (256, 256)"
