"""What the host can't give: a port, a network, GPUs, memory. A condition tells who has it, or what is missing."""

from __future__ import annotations

import contextlib
import socket
from typing import TYPE_CHECKING, Any

import pytest

from reconciler.contract import env
from tests.support import drifting
from tests.support.drifting import MANIFEST, REPAIRED_S, World
from tests.support.place import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    import docker

    from tests.support.place import Place

PORTS = '\n      docker:\n        ports: ["127.0.0.1:{port}:80"]\n        env: {{WHO: {who}}}\n'


def free_port() -> int:
    with contextlib.closing(socket.socket()) as trial:
        trial.bind(("127.0.0.1", 0))
        return int(trial.getsockname()[1])


def node(world: World, name: str, kind: str = "Ready") -> dict[str, Any]:
    for item in world.place.items("nodes"):
        if item["metadata"]["name"] == name:
            found: list[dict[str, Any]] = item["status"]["conditions"]
            return next((each for each in found if each["type"] == kind), {})
    return {}


def add(world: World, name: str, docker: str) -> None:
    """Put a second pipeline beside the first."""
    text = MANIFEST.replace("name: echo}", f"name: {name}}}").replace("./nodes", "../echo/nodes")
    (world.place.manifests / name).mkdir(exist_ok=True)
    (world.place.manifests / name / f"{name}.yaml").write_text(text + docker)


def refused(world: World, name: str, reason: str) -> str:
    eventually(lambda: node(world, name).get("reason") == reason, within_s=REPAIRED_S, every_s=0.5)
    return str(node(world, name)["message"])


def test_port_names_its_holder_whoever_that_is(place: Place, client: docker.APIClient) -> None:
    """EC-06: a node of ours, a program of the host; and a new version of the holder gets it from the old one."""
    port = free_port()
    world = drifting.up(place, client, MANIFEST + PORTS.format(port=port, who="first"))
    before = world.seen()
    add(world, "second", PORTS.format(port=port, who="second"))
    said = refused(world, "second/echo", "PortTaken")
    assert f"host port {port} is taken by node echo/echo of instance {place.instance} (" in said
    assert world.engine.inspect_container(before["Id"])["State"]["StartedAt"] == before["State"]["StartedAt"]

    (place.manifests / "second" / "second.yaml").unlink()
    eventually(lambda: len(world.containers()) == 1, within_s=REPAIRED_S)
    code = place.manifests / "echo" / "nodes" / "echo.py"
    code.write_text(code.read_text() + "\n# another version\n")

    def replaced() -> bool:  # the old one goes first, so that there may be none for a moment
        ids = [found["Id"] for found in world.containers()]
        return len(ids) == 1 and ids != [before["Id"]] and world.ready()

    eventually(replaced, within_s=REPAIRED_S)
    assert "node/echo/echo" not in {event.object for event in place.events() if event.reason == "PortTaken"}
    world.works()

    with contextlib.closing(socket.socket()) as program:
        program.bind(("127.0.0.1", 0))
        program.listen()
        mine = program.getsockname()[1]
        add(world, "third", PORTS.format(port=mine, who="third"))
        assert f"host port {mine} is taken by a program of the host" in refused(world, "third/echo", "PortTaken")
    eventually(lambda: node(world, "third/echo").get("status") == "True", within_s=60, every_s=0.5)


@pytest.fixture
def network(client: docker.APIClient, place: Place) -> Iterator[str]:
    yield place.instance
    with contextlib.suppress(Exception):
        client.remove_network(place.instance)  # type: ignore[attr-defined]  # of use to tests alone


def test_missing_network_and_gpus_are_conditions_and_no_crash_loop(world: World, network: str) -> None:
    add(world, "lost", f"\n      docker: {{network: {network}}}\n")
    add(world, "seeing", '\n      docker: {gpus: all, env: {WHO: "seeing"}}\n')
    assert f"there is no network {network}; make it" in refused(world, "lost/echo", "NetworkMissing")
    assert "it asks for GPUs; install" in refused(world, "seeing/echo", "NoGpu")
    assert node(world, "seeing/echo", "Running")["reason"] == "NoGpu"
    add(world, "seeing", "\n      docker: {gpus: 0}\n")
    world.engine.create_network(network)  # type: ignore[attr-defined]  # of use to tests alone
    for name in ("lost/echo", "seeing/echo"):
        eventually(lambda name=name: node(world, name).get("status") == "True", within_s=60, every_s=0.5)
    (world.place.manifests / "lost" / "lost.yaml").unlink()
    eventually(lambda: len(world.containers()) == 2, within_s=REPAIRED_S)
    world.works()


def test_no_room_names_what_is_asked_what_there_is_and_who_has_it(place: Place, client: docker.APIClient) -> None:
    """EC-05: and nothing that runs is disturbed."""
    place.environ[env.MEMORY_MB] = "200"
    world = drifting.up(place, client, MANIFEST + drifting.DOCKER)
    before = world.seen()
    add(world, "second", '\n      docker: {resourceLimits: {memoryMb: 96}, env: {WHO: "second"}}\n')
    said = refused(world, "second/echo", "NoRoom")
    assert said.startswith("asks for 96 MiB of memory; limits may add up to 200 MiB, and 128 MiB are taken (echo/echo")
    assert env.MEMORY_MB in said
    assert world.seen()["Id"] == before["Id"]
    assert world.seen()["State"]["StartedAt"] == before["State"]["StartedAt"]
    world.down_with_the_controller()
    once = place.reconcile("--once", "-f", str(place.manifests))
    assert (once.returncode, "NoRoom" in once.stderr) == (1, True)
    place.environ[env.MEMORY_MB] = "300"
    assert place.once().returncode == 0
    assert len(world.containers()) == 2
