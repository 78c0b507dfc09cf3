"""Limits broken on purpose: what a person is told, and what an open session is."""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from reconciler.contract import files
from reconciler.stream import Session, Text
from tests.support import drifting
from tests.support.drifting import World
from tests.support.place import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    import docker

    from tests.support.place import Place

MANIFEST = """
apiVersion: reconciler.dev/v1alpha1
kind: Pipeline
metadata: {name: echo}
spec:
  nodes:
    - id: echo
      nodeType: echo:Breaker
      source: ./nodes
      restart: {policy: Never}
      docker:
        resourceLimits: {memoryMb: 96, cpuCores: 0.5, pids: 40}
"""
CODE = """
import mmap
import os
import threading
import time

from reconciler.node import Node, Text


class Breaker(Node):
    def process(self, frame):
        if isinstance(frame, Text):
            getattr(self, frame.text)()
            return Text(f"{frame.text} is over")

    def nothing(self):
        pass

    def spin(self):
        ends = time.monotonic() + 12
        while time.monotonic() < ends:
            pass

    def threads(self):
        over = threading.Event()
        try:
            for _ in range(100):
                threading.Thread(target=over.wait, daemon=True).start()
        finally:
            time.sleep(1.5)
            over.set()

    def memory(self):
        held = []
        while True:
            held.append(bytearray(os.urandom(1 << 20)))
            time.sleep(0.05)

    def bus(self):
        with open("/dev/shm/" + os.environ["RECONCILE_NODE_NAME"], "w+b") as file:
            os.unlink(file.name)
            file.truncate(4096)
            view = mmap.mmap(file.fileno(), 4096)
            file.truncate(0)
            view[0]
"""


@pytest.fixture
def breaker(place: Place, client: docker.APIClient) -> World:
    drifting.write(place, MANIFEST)
    (place.manifests / "echo" / "nodes" / "echo.py").write_text(CODE)
    made = World(place, client, place.watch())
    eventually(made.ready, within_s=240)
    return made


@pytest.fixture
def session(breaker: World) -> Iterator[Session]:
    place = breaker.place
    where: dict[str, Any] = {"instance": place.instance, "runtime_dir": str(place.base / "run")}
    with Session.open("echo", timeout_s=30, raise_errors=False, **where) as opened:
        yield opened


def _said_to(world: World, session: Session) -> str:
    """Return what an open session's endpoints say is wrong."""
    text = files.read_text(world.place.paths.endpoints / f"{session.name}.json")
    found = files.parse_endpoints(text or "")
    return found.message if found is not None else ""


def _condition(world: World, kind: str) -> dict[str, Any]:
    return world.conditions("Node").get(kind, {})


def test_memory_limit_names_limit_peak_frame_and_remedy(breaker: World, session: Session) -> None:
    """FR-017, and swap is no way around the limit."""
    host = breaker.seen()["HostConfig"]
    assert host["MemorySwap"] == host["Memory"] == 96 << 20
    for word in ("nothing", "nothing", "memory"):
        session.send(Text(word))
    eventually(lambda: "killed by" in _said_to(breaker, session), within_s=60)
    said = _said_to(breaker, session)
    form = r"killed by the memory limit: 96 MiB, peak (\d+) MiB, while handling frame 2; raise resourceLimits.memoryMb"
    found = re.search(form, said)
    assert found, said
    assert 30 <= int(found[1]) <= 96
    eventually(lambda: found[0] in _condition(breaker, "Ready")["message"], within_s=10)  # written after the endpoints
    assert breaker.told(found[0])
    assert found[0] in breaker.place.reconcile("describe", "node", "echo/echo").stdout


def test_pids_limit_and_cpu_limit_are_conditions_of_a_node_that_runs(breaker: World, session: Session) -> None:
    assert _condition(breaker, "Limited")["status"] == _condition(breaker, "Throttled")["status"] == "False"
    session.send(Text("threads"))
    eventually(lambda: _condition(breaker, "Limited").get("status") == "True", within_s=60)
    limited = _condition(breaker, "Limited")
    assert limited["reason"] == "PidsLimit"
    assert re.search(r"limit of 40 processes and threads refused \d+ of them; raise .*pids", limited["message"])
    ready = {}

    def told() -> bool:
        ready.update(breaker.conditions("Session").get("Ready", {}))
        return "resourceLimits.pids" in ready.get("message", "")

    eventually(told, within_s=30)
    assert "can't start new thread" in ready["message"]
    # So little that a busy machine gives it, too: what the node can't get from the machine is no throttling.
    breaker.manifest.write_text(MANIFEST.replace("cpuCores: 0.5", "cpuCores: 0.1"))
    eventually(lambda: breaker.seen()["HostConfig"]["NanoCpus"] == 10**8, within_s=30)
    session.send(Text("spin"))
    eventually(lambda: _condition(breaker, "Throttled").get("status") == "True", within_s=60)
    throttled = _condition(breaker, "Throttled")["message"]
    assert re.fullmatch(r"waits \d\d% of the time for its limit of 0.1 cores; raise .*cpuCores", throttled)
    assert breaker.told(throttled[:10])


def test_sigbus_is_told_as_what_it_means(breaker: World, session: Session) -> None:
    session.send(Text("bus"))
    eventually(lambda: "SIGBUS" in _said_to(breaker, session), within_s=60)
    said = _said_to(breaker, session)
    assert "killed by SIGBUS, while handling frame 0, as when shared memory is full (" in said
    free = subprocess.run(("df", "--output=size", "-m", "/dev/shm"), capture_output=True, text=True, check=True)
    assert free.stdout
    assert re.search(r"\(\S+ [GM]iB, \S+ [GM]iB free\); send smaller or fewer frames", said)
