"""The rows of `docs/drift.md` on containers and images: a difference made by hand, its name, its repair."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.support.drifting import DOCKER, LIMITS, MANIFEST, REPAIRED_S, World, up
from tests.support.place import Place, end, eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import docker


def test_container_removed(world: World) -> None:
    before = world.seen()["Id"]
    world.engine.remove_container(before, force=True)
    world.repaired("container is missing")
    assert world.seen()["Id"] != before


def _stop(engine: docker.APIClient, container: str) -> None:
    engine.stop(container, timeout=5)


def _kill(engine: docker.APIClient, container: str) -> None:
    engine.kill(container)


def _pause(engine: docker.APIClient, container: str) -> None:
    engine.pause(container)


@pytest.mark.parametrize(
    ("hand", "cause"),
    [(_stop, "container ended with exit code 0"), (_kill, "container ended with exit code 137"), (_pause, "is paused")],
    ids=["stopped", "killed", "paused"],
)
def test_container(world: World, hand: Callable[[docker.APIClient, str], None], cause: str) -> None:
    before = world.seen()["Id"]
    hand(world.engine, before)
    world.repaired(cause)
    assert world.seen()["Id"] == before


def test_crash_loop_tells_exit_code_last_lines_and_next_attempt(world: World) -> None:
    code = world.manifest.parent / "nodes" / "echo.py"
    good = code.read_text()
    code.write_text(good + '\nimport os\n\nprint("no such model", flush=True)\nos._exit(7)\n')
    world.down_with_the_controller()
    world.engine.remove_container(world.seen()["Id"], force=True)  # else the old version would go on serving
    world.up_again()

    def crash_loop() -> bool:  # which is told of for as long as the node does not run
        ready = world.conditions("Node").get("Ready", {})
        said = ("ended with exit code 7", "no such model", "the next attempt is")
        return ready.get("reason") == "CrashLoop" and all(text in ready["message"] for text in said)

    eventually(crash_loop, within_s=60)
    code.write_text(good)
    world.repaired("container ended with exit code 7")


def test_container_renamed(world: World) -> None:
    before = world.seen()
    world.engine.rename(before["Id"], f"{world.place.instance}-mine-now")
    eventually(lambda: world.told("container was renamed"), within_s=REPAIRED_S)
    eventually(lambda: [c["Names"] for c in world.containers()] == [[before["Name"]]], within_s=REPAIRED_S)
    world.repaired("container was renamed")


def _held_to(world: World) -> tuple[int, int, int, str]:
    """Return memory, processor and process limits, and since when the container runs."""
    seen = world.seen()
    host = seen["HostConfig"]
    return host["Memory"], host["NanoCpus"], host["PidsLimit"], seen["State"]["StartedAt"]


def test_limits_changed_by_hand(world: World) -> None:
    """BY-01: put back in place, without a restart."""
    before = _held_to(world)
    assert before[:3] == (128 << 20, 10**9, 64)
    hand = ("--memory", "256m", "--memory-swap", "256m", "--cpus", "0.5", "--pids-limit", "99")
    subprocess.run(("docker", "update", *hand, world.seen()["Id"]), check=True, capture_output=True)
    world.repaired("limits differ: memory is 268435456 bytes and shall be 134217728 bytes, cpu is 0.5 cores")
    assert _held_to(world) == before


def test_limits_edited_in_the_manifest(world: World) -> None:
    """BY-07: changed in place, taken out in place."""
    started = _held_to(world)[3]
    text = world.manifest.read_text()
    world.manifest.write_text(text.replace(LIMITS, "resourceLimits: {memoryMb: 200, cpuCores: 0.7, pids: 50}"))
    eventually(lambda: _held_to(world) == (200 << 20, 700_000_000, 50, started), within_s=REPAIRED_S)
    world.manifest.write_text(text.replace(LIMITS, "resourceLimits: {pids: 50}"))
    eventually(lambda: world.told("and shall be unlimited"), within_s=REPAIRED_S)
    eventually(lambda: _held_to(world)[0] >= 1 << 60, within_s=REPAIRED_S)
    world.repaired("cpu is 0.7 cores and shall be unlimited")
    assert _held_to(world)[2:] == (50, started)


def test_disconnected_from_its_network(world: World) -> None:
    before = world.seen()
    world.engine.disconnect_container_from_network(before["Id"], "bridge")
    eventually(lambda: "bridge" in world.seen()["NetworkSettings"]["Networks"], within_s=REPAIRED_S)
    world.repaired("container is not connected to its network bridge")
    assert world.seen()["State"]["StartedAt"] == before["State"]["StartedAt"]


@pytest.fixture
def own_image(place: Place, client: docker.APIClient) -> Iterator[World]:
    """A pipeline whose environment image nobody shares, for it is built from a base of its own."""
    name = f"reconciler-test/{place.instance}:1"
    made = client.create_container("python:3.11-slim", command=["true"])["Id"]
    client.commit(made, name, changes=[f'LABEL "test"="{place.instance}"'])
    client.remove_container(made)
    try:
        made_world = up(place, client, f"{MANIFEST}{DOCKER}        baseImage: {name}\n")
        yield made_world
        end(made_world.controller)
    finally:
        place.reconcile("down", "--images")
        client.remove_image(name, force=True)


def test_image_deleted_while_unused_and_untagged_while_in_use(own_image: World) -> None:
    world = own_image
    before = world.seen()
    tag, image = before["Config"]["Image"], before["Image"]
    world.engine.remove_image(tag, force=True)  # in use: this takes the name only
    assert not world.engine.inspect_image(image)["RepoTags"]
    world.works()
    assert world.seen()["State"]["StartedAt"] == before["State"]["StartedAt"]
    world.engine.remove_container(before["Id"], force=True)
    world.repaired("container is missing")
    assert world.seen()["Image"] == image

    world.down_with_the_controller()
    world.engine.remove_container(world.seen()["Id"], force=True)
    world.engine.remove_image(image, force=True)
    world.up_again()
    eventually(lambda: world.told("environment image is missing"), within_s=200)  # it is told when it is built
    world.repaired("environment image is missing")
    assert world.seen()["Config"]["Image"] == tag


def test_stranger_has_our_name(world: World) -> None:
    world.down_with_the_controller()
    before = world.seen()
    name = before["Name"].lstrip("/")
    world.engine.remove_container(before["Id"], force=True)
    stranger = world.engine.create_container("python:3.11-slim", name=name, command=["sleep", "600"])["Id"]
    try:
        world.engine.start(stranger)
        world.up_again()
        eventually(lambda: world.conditions("Node").get("Ready", {}).get("reason") == "NameTaken", within_s=REPAIRED_S)
        assert stranger[:12] in world.conditions("Node")["Ready"]["message"]
        assert world.engine.inspect_container(stranger)["State"]["Running"]
        assert not world.containers()
    finally:
        world.engine.remove_container(stranger, force=True)
    eventually(lambda: bool(world.containers()), within_s=REPAIRED_S)
    world.repaired("belongs to container")
