"""Each action does its one thing at its door, can be repeated, and fails with an error of ours."""

from __future__ import annotations

import os
import typing
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from reconciler import sources
from reconciler.actuate.execute import Doors, execute
from reconciler.actuate.files import prepare
from reconciler.contract import files, labels
from reconciler.contract.files import Assignments, Endpoints
from reconciler.model import action
from reconciler.model.errors import BuildError, EngineError, FilesError, SourceError
from reconciler.model.instance import EnvImage, ProcessSpec
from reconciler.model.manifest import Limits
from reconciler.model.observed import Process, ProcessEnd, Site
from reconciler.stream import lease
from tests.support.engine_checks import Rig
from tests.support.model_engine import ModelEngine


@dataclass(slots=True)
class Recorder:
    """Processes and shared memory that note what they are asked."""

    asked: list[tuple[object, ...]] = field(default_factory=list)

    def list(self, instance: str) -> tuple[Process, ...]:
        raise NotImplementedError(instance)

    def ends(self, instance: str, nodes: str) -> tuple[ProcessEnd, ...]:
        raise NotImplementedError(instance, nodes)

    def start(self, spec: ProcessSpec) -> None:
        self.asked.append(("start", spec.name))

    def stop(self, pid: int, started: str, *, timeout_s: float) -> None:
        self.asked.append(("stop", pid, started, timeout_s))

    def remove_dead_nodes(self, ids: tuple[str, ...]) -> None:
        self.asked.append(("dead nodes", ids))

    def remove_service(self, service: str) -> None:
        self.asked.append(("service", service))


@dataclass(slots=True)
class World:
    """Doors to values, and real directories."""

    doors: Doors
    engine: ModelEngine
    recorder: Recorder
    rig: Rig
    said: list[tuple[str, str]]

    def do(self, wanted: action.Action, *, times: int = 2) -> None:
        for _ in range(times):
            execute(self.doors, wanted)


@pytest.fixture
def world(tmp_path: Path) -> World:
    run, state = tmp_path / "run", tmp_path / "state"
    site = Site(
        instance="test-unit",
        uid=0,
        gid=0,
        python="python",
        nodes_dir=str(run / "nodes"),
        sources_dir=str(state / "sources"),
        logs_dir=str(state / "logs"),
        shm_root=str(run / "iox2"),
        shm_prefix="p_",
        runtime_version="1",
        version="1",
    )
    prepare(site)
    engine, recorder = ModelEngine(tags=("base:1",), registry=frozenset({"far:1"})), Recorder()
    said: list[tuple[str, str]] = []
    doors = Doors(engine, recorder, recorder, site, lambda tag, line: said.append((tag, line)))
    rig = Rig(engine, site.instance, "base:1", None)  # type: ignore[arg-type]
    return World(doors, engine, recorder, rig, said)


def wish(world: World) -> EnvImage:
    base = next(image.id for image in world.engine.images.values() if "base:1" in image.tags)
    return EnvImage("reconciler/env:eeeeeeeeeeee", "e" * 64, "base:1", base, "3.11", (), (), "1")


def test_an_instance_of_another_user_is_refused_with_the_reason(world: World) -> None:
    for place in (world.doors.site.nodes_dir, world.doors.site.sources_dir):
        assert Path(place).is_dir()
    other = replace(world.doors.site, uid=os.geteuid() + 1)
    with pytest.raises(FilesError, match=rf"belongs to user {os.geteuid()}, and this is user {other.uid}"):
        prepare(other)


def test_container_s_life_each_step_twice(world: World) -> None:
    spec = world.rig.spec()
    world.do(action.CreateContainer(spec))
    found = world.rig.one()
    world.do(action.StartContainer(spec.name, found.id))
    world.engine.containers[found.id].state = "paused"
    world.do(action.UnpauseContainer(spec.name, found.id))
    assert world.rig.one().state == "running"
    world.do(action.UpdateLimits(spec.name, found.id, Limits(pids=7)))
    assert world.engine.containers[found.id].spec.limits == Limits(pids=7)
    world.do(action.ConnectNetwork(spec.name, found.id, "bridge"))
    assert world.rig.one().networks == ("bridge", "none")
    world.do(action.RestartContainer(spec.name, found.id))
    world.do(action.StopContainer(spec.name, found.id))
    world.do(action.RemoveContainer(spec.name, found.id))
    verbs = [line.split()[0] for line in world.engine.happened]
    assert verbs == [
        "create",
        "start",
        "unpause",
        "update",
        "update",
        "join",
        "join",
        "restart",
        "restart",
        "stop",
        "remove",
    ]


def test_image_is_pulled_built_and_removed(world: World) -> None:
    world.do(action.PullImage("far:1"))
    world.do(action.BuildImage(wish(world)), times=1)
    found = next(image for image in world.engine.list_images() if image.env_hash)
    assert (found.tags, found.env_hash, found.instance) == (("reconciler/env:eeeeeeeeeeee",), "e" * 64, "test-unit")
    assert found.base_id == wish(world).base_id
    assert world.said[0][0] == "reconciler/env:eeeeeeeeeeee"
    world.do(action.RemoveImage(found.tags[0], found.id))
    assert [line.split()[0] for line in world.engine.happened] == ["pull", "build", "remove"]


def test_container_of_the_built_image_can_be_created(world: World) -> None:
    world.do(action.BuildImage(wish(world)), times=1)
    world.do(action.CreateContainer(world.rig.spec(image=wish(world).tag)))
    assert dict(world.rig.spec().labels)[labels.ENV_HASH] == world.rig.one().env_hash


def test_failed_build_is_an_error_with_its_output(world: World) -> None:
    world.engine.unbuildable = frozenset({wish(world).tag})
    with pytest.raises(BuildError) as caught:
        world.do(action.BuildImage(wish(world)))
    assert caught.value.log


def test_engine_s_refusal_passes_through(world: World) -> None:
    with pytest.raises(EngineError):
        world.do(action.StartContainer("rc-x", "gone"))


def test_processes_and_shared_memory_are_asked_as_told(world: World) -> None:
    spec = ProcessSpec("rc-x", ("python",), (), "/log", "/nodes/rc-x/exit")
    world.do(action.StartProcess(spec), times=1)
    world.do(action.StopProcess("rc-x", 7, "9", timeout_s=3), times=1)
    world.do(action.RemoveDeadNodes(("1", "2")), times=1)
    world.do(action.RemoveService("voice_a_input", "id"), times=1)
    assert world.recorder.asked == [
        ("start", "rc-x"),
        ("stop", 7, "9", 3),
        ("dead nodes", ("1", "2")),
        ("service", "id"),
    ]


def test_source_is_snapshotted_under_its_digest(world: World, tmp_path: Path) -> None:
    (tmp_path / "nodes").mkdir()
    (tmp_path / "nodes" / "a.py").write_text("A = 1\n")
    digest = sources.digest(tmp_path / "nodes")
    world.do(action.WriteSource(digest, str(tmp_path / "nodes")))
    assert (Path(world.doors.site.sources_dir) / digest / "a.py").read_text() == "A = 1\n"
    with pytest.raises(SourceError):
        world.do(action.WriteSource("0" * 64, str(tmp_path / "nodes")))
    world.do(action.RemoveSource(digest))
    assert not list(Path(world.doors.site.sources_dir).iterdir())


def test_assignments_come_and_go_with_their_directory(world: World) -> None:
    document = Assignments("rc-x", "g1")
    world.do(action.WriteAssignments(document))
    directory = Path(world.doors.site.nodes_dir, "rc-x")
    assert files.parse_assignments((directory / "assignments.json").read_text()) == document
    assert directory.stat().st_mode & 0o777 == 0o700
    world.do(action.RemoveNodeFiles("rc-x"))
    assert not directory.exists()


def test_endpoints_come_and_go(world: World) -> None:
    document = Endpoints("voice", "voice", ready=True)
    world.do(action.WriteEndpoints(document))
    place = Path(world.doors.site.endpoints_dir, "voice.json")
    assert files.parse_endpoints(place.read_text()) == document
    world.do(action.RemoveEndpoints("voice"))
    assert not place.exists()


@pytest.mark.parametrize("name", ["", ".", "..", "../nodes", "a/b"])
def test_name_that_leads_elsewhere_removes_nothing(world: World, name: str) -> None:
    with pytest.raises(FilesError, match="no name of a file"):
        world.do(action.RemoveNodeFiles(name))
    assert Path(world.doors.site.nodes_dir).is_dir()


def test_disk_that_refuses_is_an_error_of_ours(world: World) -> None:
    Path(world.doors.site.nodes_dir, "rc-x").write_text("a file where a directory must be")
    with pytest.raises(FilesError, match="can't write the assignments of rc-x"):
        world.do(action.WriteAssignments(Assignments("rc-x", "g1")))


def test_lease_goes_only_while_nobody_holds_it(world: World) -> None:
    sessions = Path(world.doors.site.sessions_dir)
    sessions.mkdir()
    held = lease.ask(sessions, "echo")
    world.do(action.RemoveLease(held.session))
    assert held.path.exists()
    os.close(held.file)
    world.do(action.RemoveLease(held.session))
    assert not held.path.exists()


def test_every_action_is_done_in_this_file(world: World) -> None:
    """An action that is added must be shown here: the union and the names used above agree."""
    del world
    text = Path(__file__).read_text()
    missing = [kind.__name__ for kind in typing.get_args(action.Action) if f"action.{kind.__name__}(" not in text]
    assert missing == []
