"""Shared memory of a pipeline's own (BY-10): nobody else reads it, its size is real, and it comes back when it dies."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from reconciler.contract import labels
from tests.support.drifting import REPAIRED_S, World
from tests.support.place import REPOSITORY, SHM, Run, eventually
from tests.support.world import served

if TYPE_CHECKING:
    import docker

    from tests.support.place import Place

MANIFEST = """
apiVersion: reconciler.dev/v1alpha1
kind: Pipeline
metadata: {{name: {name}}}
spec:
  sharedMemory: {{isolation: Private, size: 32Mi}}
  nodes:
    - {{id: echo, nodeType: "echo:Echo", source: ../nodes, docker: {{}}}}
    - {{id: capitals, nodeType: "capitals:Capitals", source: ../nodes, docker: {{}}}}
  connections:
    - {{from: echo, to: capitals}}
"""
PROGRAM = """
import sys
import numpy as np
from reconciler.stream import Session, SharedMemoryFull, Tensor, Text

with Session.open(sys.argv[1], timeout_s=20) as session:
    try:
        session.send(Tensor(np.ones(1 << 23)))
    except SharedMemoryFull as error:
        print(error)
    session.send(Text("small ones still go"))
    session.end()
    print([frame.text for frame in session])
"""


WAITS = """
import sys
from reconciler.stream import Closed, Session

with Session.open(sys.argv[1], timeout_s=20) as session:
    print("open", flush=True)
    try:
        session.receive()
    except Closed as error:
        print(error)
"""


@pytest.fixture
def world(place: Place, client: docker.APIClient) -> World:
    shutil.copytree(REPOSITORY / "manifests" / "echo" / "nodes", place.manifests / "nodes")
    for name in ("first", "second"):
        (place.manifests / name).mkdir()
        (place.manifests / name / f"{name}.yaml").write_text(MANIFEST.format(name=name))
    made = World(place, client, place.watch())
    eventually(lambda: ready(made), within_s=240)
    return made


def ready(world: World) -> bool:
    path = world.place.paths.status
    statuses = json.loads(path.read_text()) if path.exists() else []
    found = [c["status"] for s in statuses if s["kind"] == "Pipeline" for c in s["conditions"] if c["type"] == "Ready"]
    return len(found) == 2 and set(found) == {"True"}


def of(world: World, pipeline: str, kind: str = "node") -> list[dict[str, Any]]:
    marks = ({labels.PIPELINE: pipeline, labels.KIND: kind}).items()
    return [c for c in world.containers() if marks <= c["Labels"].items()]


def inside(container: dict[str, Any], *command: str) -> str:
    argv = ("docker", "exec", container["Id"], *command)
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout


def enter(world: World, pipeline: str, *command: str, text: str = "") -> Run:
    place = world.place
    argv = place._command(("exec", pipeline, "--manifests", str(place.manifests), "--", *command))
    return subprocess.run(
        argv, env=place.environ, input=text, capture_output=True, text=True, timeout=60, check=False, cwd=REPOSITORY
    )


def streams(world: World, pipeline: str) -> None:
    said = enter(world, pipeline, sys.executable, "-m", "reconciler.cli", "stream", pipeline, text="hello\n")
    assert [json.loads(line)["text"] for line in said.stdout.splitlines()] == ["HELLO"], said.stderr


def test_neither_the_host_nor_another_pipeline_reads_what_is_private(world: World) -> None:
    for name in ("first", "second"):
        streams(world, name)
        (container,) = of(world, name, "sandbox")
        seen = world.engine.inspect_container(container["Id"])["HostConfig"]
        assert (seen["IpcMode"], seen["ShmSize"], seen["NetworkMode"]) == ("shareable", 32 << 20, "none")
        assert (seen["CapDrop"], seen["ReadonlyRootfs"]) == (["ALL"], True)
        for node in of(world, name):
            mounts = world.engine.inspect_container(node["Id"])["Mounts"]
            assert not [each for each in mounts if each["Source"] in ("/dev/shm", str(world.place.paths.shm_root))]
    first, second = (of(world, name)[0] for name in ("first", "second"))
    kept = [set(inside(node, "ls", "/dev/shm").split()) for node in (first, second)]
    assert all(any(name.startswith("iox2_") for name in names) for names in kept)
    assert world.place.segments() == []
    assert len({inside(node, "stat", "-c", "%d", "/dev/shm") for node in (*of(world, "first"), second)}) == 2
    inside(first, "touch", "/dev/shm/mark")
    assert "mark" not in inside(second, "ls", "/dev/shm")
    assert not (SHM / "mark").exists()
    assert "mark" in enter(world, "first", "ls", "/dev/shm").stdout

    outside = world.place.reconcile("stream", "first")
    assert (outside.returncode, "run this program by `reconcile exec first -- COMMAND`" in outside.stderr) == (1, True)
    for name, said in (
        ("third", "no pipeline 'third' in the manifests (there are: first, second)"),
        ("first", "ls-not"),
    ):
        refused = enter(world, name, "ls-not")
        assert (refused.returncode, said in refused.stderr) == (2, True), refused.stderr
    wrong = enter(world, "second", sys.executable, "-m", "reconciler.cli", "stream", "first", text="hello\n")
    assert (wrong.returncode, "reconcile exec first" in wrong.stderr) == (1, True)


def test_its_size_is_real_and_a_frame_that_is_too_large_an_error(world: World) -> None:
    said = enter(world, "first", sys.executable, "-c", PROGRAM, "first")
    refused, passed = said.stdout.splitlines()
    assert "a payload of 67,108,864 bytes needs" in refused, said.stderr
    assert passed == "['SMALL ONES STILL GO']"
    node = of(world, "first")[0]
    filled = subprocess.run(
        ("docker", "exec", node["Id"], "sh", "-c", "head -c 40M /dev/zero > /dev/shm/much; stat -c %s /dev/shm/much"),
        capture_output=True,
        text=True,
        check=True,
    )
    assert "No space left" in filled.stderr
    assert 20 << 20 < int(filled.stdout) <= 32 << 20
    inside(node, "rm", "/dev/shm/much")
    streams(world, "second")


def test_memory_that_dies_comes_back_with_its_nodes_and_goes_with_its_pipeline(world: World) -> None:
    bystander = {c["Id"] for c in (*of(world, "second"), *of(world, "second", "sandbox"))}
    (sandbox,) = of(world, "first", "sandbox")
    nodes = {c["Id"] for c in of(world, "first")}
    argv = world.place._command(("exec", "first", "--manifests", str(world.place.manifests), "--"))
    argv += [sys.executable, "-c", WAITS, "first"]
    program = subprocess.Popen(argv, env=world.place.environ, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY)
    assert program.stdout is not None
    assert program.stdout.readline() == "open\n"
    world.engine.kill(sandbox["Id"])
    assert "its shared memory is gone" in program.communicate(timeout=30)[0]
    eventually(lambda: world.told("its shared memory is gone"), within_s=REPAIRED_S)
    eventually(lambda: ready(world) and len(memories(world)) == 1, within_s=REPAIRED_S)
    assert {c["Id"] for c in of(world, "first")} == nodes
    streams(world, "first")

    world.settle()
    world.engine.remove_container(sandbox["Id"], force=True)
    eventually(lambda: not nodes & {c["Id"] for c in of(world, "first")}, within_s=REPAIRED_S)
    eventually(lambda: ready(world) and len(of(world, "first")) == 2, within_s=REPAIRED_S)
    assert world.told("container is missing", of=sandbox["Names"][0])
    assert world.told("its shared memory is gone")
    streams(world, "first")
    assert {c["Id"] for c in (*of(world, "second"), *of(world, "second", "sandbox"))} == bystander
    shutil.rmtree(world.place.manifests / "first")
    eventually(lambda: {c["Id"] for c in world.containers()} == bystander, within_s=REPAIRED_S)


def test_what_a_killed_node_leaves_there_is_reclaimed_by_the_next(world: World) -> None:
    streams(world, "first")
    node, other = of(world, "first")
    eventually(lambda: served(world.place) == {"first", "second"}, within_s=10)  # the program's own is let go of
    before = len(inside(other, "ls", "/dev/shm").split())
    for _ in range(2):
        world.engine.kill(node["Id"])
        eventually(lambda: ready(world) and len(memories(world)) == 1, within_s=REPAIRED_S)
        streams(world, "first")
    eventually(lambda: len(inside(other, "ls", "/dev/shm").split()) == before, within_s=10)


def memories(world: World) -> set[str]:
    """Return the numbers of the memories that the first pipeline's containers have; none while one does not run."""
    found = [*of(world, "first"), *of(world, "first", "sandbox")]
    argv = [("docker", "exec", container["Id"], "stat", "-c", "%d", "/dev/shm") for container in found]
    asked = [subprocess.run(command, capture_output=True, text=True, check=False) for command in argv]
    return {each.stdout for each in asked} if all(each.returncode == 0 for each in asked) else set()
