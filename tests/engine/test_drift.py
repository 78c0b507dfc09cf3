"""Every row of `docs/drift.md`: a difference made by hand on the real engine, its name in the events, its repair."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import docker
import pytest

from reconciler.contract import labels
from reconciler.controller import journal
from reconciler.process import HostProcesses
from tests.support.place import Place, end, eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LIMITS = "resourceLimits: {memoryMb: 128, cpuCores: 1.0, pids: 64}"
MANIFEST = """
apiVersion: reconciler.dev/v1alpha1
kind: Pipeline
metadata: {name: echo}
spec:
  nodes:
    - id: echo
      nodeType: echo:Echo
      source: ./nodes
"""
DOCKER = f"""
      docker:
        pythonVersion: "3.11"
        {LIMITS}
"""
REPAIRED_S = 25.0


@dataclass(slots=True)
class World:
    """A pipeline of one node under a controller, with a person's hands on the engine."""

    place: Place
    engine: docker.APIClient
    controller: subprocess.Popen[str]

    @property
    def manifest(self) -> Path:
        return self.place.manifests / "echo" / "echo.yaml"

    @property
    def directory(self) -> Path:
        """The node instance's own directory."""
        (found,) = self.place.paths.nodes.iterdir()
        return found

    def containers(self) -> list[dict[str, Any]]:
        return self.engine.containers(all=True, filters={"label": f"{labels.INSTANCE}={self.place.instance}"})

    def seen(self) -> dict[str, Any]:
        """Inspect the one container."""
        (found,) = self.containers()
        return self.engine.inspect_container(found["Id"])

    def conditions(self, kind: str = "Pipeline") -> dict[str, dict[str, Any]]:
        path = self.place.paths.status
        statuses = json.loads(path.read_text()) if path.exists() else []
        return {c["type"]: c for status in statuses if status["kind"] == kind for c in status["conditions"]}

    def ready(self) -> bool:
        """Whether the pipeline says it is ready and the one container runs."""
        running = [c["State"] for c in self.containers()] in ([], ["running"])
        return running and self.conditions().get("Ready", {}).get("status") == "True"

    def told(self, cause: str) -> bool:
        """Whether an event names a cause."""
        return any(cause in event.message for event in journal.read(self.place.paths.journal))

    def repaired(self, cause: str, *, within_s: float = REPAIRED_S) -> None:
        """Wait until a difference was told and is gone, and see frames pass."""
        try:
            eventually(lambda: self.told(cause), within_s=within_s)
            eventually(self.ready, within_s=within_s)
        except AssertionError as error:
            events = [event.message for event in journal.read(self.place.paths.journal)]
            raise AssertionError(f"{cause}: {events[-12:]} {self.conditions('Node')}") from error
        self.works()

    def works(self) -> None:
        """Send a word through the pipeline."""
        said = subprocess.run(
            self.place._command(("stream", "echo")),
            env=self.place.environ,
            input="hello\n",
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert [json.loads(line)["text"] for line in said.stdout.splitlines()] == ["hello"], said.stderr

    def down_with_the_controller(self) -> None:
        end(self.controller)

    def up_again(self) -> None:
        self.controller = self.place.watch()


def _write(place: Place, text: str) -> None:
    target = place.manifests / "echo"
    shutil.copytree(Path(__file__).parents[2] / "manifests" / "echo" / "nodes", target / "nodes")
    (target / "echo.yaml").write_text(text)


@pytest.fixture
def client() -> Iterator[docker.APIClient]:
    made = docker.APIClient(version="auto")
    yield made
    made.close()


def _up(place: Place, client: docker.APIClient, text: str) -> World:
    _write(place, text)
    world = World(place, client, place.watch())
    eventually(world.ready, within_s=240)
    return world


@pytest.fixture
def world(place: Place, client: docker.APIClient) -> World:
    """One container under a controller."""
    return _up(place, client, MANIFEST + DOCKER)


@pytest.fixture
def on_host(place: Place, client: docker.APIClient) -> World:
    """One host process under a controller."""
    return _up(place, client, MANIFEST)


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
        made_world = _up(place, client, f"{MANIFEST}{DOCKER}        baseImage: {name}\n")
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
    eventually(lambda: world.told("environment image is missing"), within_s=60)
    eventually(lambda: bool(world.containers()), within_s=200)
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


def _delete(path: Path) -> None:
    path.unlink()


def _damage(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:7] + b"\xff")


HANDS = pytest.mark.parametrize("hand", [_delete, _damage], ids=["deleted", "damaged"])


@HANDS
def test_source_snapshot(world: World, hand: Callable[[Path], None]) -> None:
    started = world.seen()["State"]["StartedAt"]
    (snapshot,) = world.place.paths.sources.iterdir()
    before = (snapshot / "echo.py").read_bytes()
    hand(snapshot / "echo.py")
    world.works()
    world.engine.kill(world.seen()["Id"])  # a look happens now, and the code is needed again
    world.repaired("source snapshot is missing")
    assert (snapshot / "echo.py").read_bytes() == before
    assert world.seen()["State"]["StartedAt"] != started


@HANDS
def test_assignments(world: World, hand: Callable[[Path], None]) -> None:
    started = world.seen()["State"]["StartedAt"]
    path = world.directory / "assignments.json"
    before = path.read_text()
    hand(path)
    eventually(lambda: path.exists() and path.read_bytes() == before.encode(), within_s=REPAIRED_S)
    world.repaired("assignments are missing")
    assert world.seen()["State"]["StartedAt"] == started


@HANDS
def test_status(world: World, hand: Callable[[Path], None]) -> None:
    """The runtime's own word is put back by the runtime, so there is no event of the controller's."""
    started = world.seen()["State"]["StartedAt"]
    path = world.directory / "status.json"
    generation = json.loads(path.read_text())["generation"]
    hand(path)

    def whole() -> bool:
        try:
            return bool(json.loads(path.read_bytes())["generation"] == generation)
        except (OSError, ValueError):
            return False

    eventually(whole, within_s=REPAIRED_S)
    eventually(world.ready, within_s=REPAIRED_S)
    world.works()
    assert world.seen()["State"]["StartedAt"] == started


@HANDS
def test_endpoints(world: World, hand: Callable[[Path], None]) -> None:
    path = world.place.paths.endpoints / "echo.json"
    before = path.read_bytes()
    hand(path)
    world.engine.kill(world.seen()["Id"])  # nobody tells of a change there: a look is needed
    world.repaired("endpoints")
    eventually(lambda: path.read_bytes() == before, within_s=REPAIRED_S)


def test_directory_removed_under_a_running_node(world: World) -> None:
    """It runs on where nobody sees it, so after half a minute it is started again."""
    before = world.seen()
    shutil.rmtree(world.directory)
    world.repaired("its runtime gives no sign of life", within_s=75)
    after = world.seen()
    assert after["Id"] == before["Id"]
    assert after["State"]["StartedAt"] != before["State"]["StartedAt"]


def _pids(world: World) -> list[int]:
    return [process.pid for process in HostProcesses().list(world.place.instance)]


def test_host_process_killed(on_host: World) -> None:
    (before,) = _pids(on_host)
    os.kill(before, signal.SIGKILL)
    on_host.repaired("host process is missing")
    (after,) = _pids(on_host)
    assert after != before


def test_what_a_sigkill_leaves_in_shared_memory(world: World) -> None:
    """EC-04, BY-06: files and bytes return to the level before."""
    world.works()
    before = _level(world)
    for _ in range(3):
        world.engine.kill(world.seen()["Id"])
        world.repaired("container ended with exit code 137")
    eventually(lambda: world.told("of their programs were killed"), within_s=REPAIRED_S)
    eventually(lambda: _level(world) == before, within_s=REPAIRED_S)


def _level(world: World) -> tuple[int, int]:
    segments = world.place.segments()
    return len(segments), sum(Path("/dev/shm", name).stat().st_size for name in segments)


def test_machine_rebooted(world: World) -> None:
    """The runtime directory and shared memory are gone, containers are stopped; what is on disk stays."""
    before = world.seen()["Id"]
    world.down_with_the_controller()
    world.engine.kill(before)
    world.engine.wait(before)
    shutil.rmtree(world.place.paths.runtime)
    for name in world.place.segments():
        Path("/dev/shm", name).unlink()
    world.up_again()
    world.repaired("assignments are missing")
    assert world.told("container ended with exit code 137")
    assert not world.told("start container, because container ended with exit code 137: ")
    assert world.seen()["Id"] == before
