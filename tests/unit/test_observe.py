"""One look: whole, sorted, and never empty because it failed."""

from __future__ import annotations

import fcntl
import os
import threading
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from reconciler import sources
from reconciler.actuate import files as written
from reconciler.contract import files
from reconciler.contract.files import Assignments, Endpoints, Status
from reconciler.model.errors import EngineUnavailableError, FilesError, ReconcilerError
from reconciler.model.observed import NodeFiles, Process, ProcessEnd, ShmNode, ShmService, Site
from reconciler.observe.files import node_files
from reconciler.observe.snapshot import observe
from reconciler.stream import lease
from tests.support.engine_checks import Rig
from tests.support.model_engine import ModelEngine

if TYPE_CHECKING:
    from reconciler.model.instance import ProcessSpec
    from reconciler.model.observed import Observed


@dataclass(slots=True)
class Processes:
    """A process table of values."""

    running: tuple[Process, ...] = ()
    ended: tuple[ProcessEnd, ...] = ()

    def list(self, instance: str) -> tuple[Process, ...]:
        return tuple(process for process in self.running if instance in process.name)

    def ends(self, instance: str, nodes: str) -> tuple[ProcessEnd, ...]:
        del nodes
        return tuple(end for end in self.ended if instance in end.name)

    def start(self, spec: ProcessSpec) -> None:
        raise NotImplementedError

    def stop(self, pid: int, started: str, *, timeout_s: float) -> None:
        raise NotImplementedError


@dataclass(slots=True)
class Shm:
    """Shared memory of values."""

    nodes: tuple[ShmNode, ...] = ()
    services: tuple[ShmService, ...] = ()

    def look(self) -> tuple[tuple[ShmNode, ...], tuple[ShmService, ...]]:
        return self.nodes, self.services


@pytest.fixture
def site(tmp_path: Path) -> Site:
    run, state = tmp_path / "run", tmp_path / "state"
    made = Site(
        instance="test-unit",
        uid=os.geteuid(),
        gid=os.getegid(),
        python="python",
        nodes_dir=str(run / "nodes"),
        sources_dir=str(state / "sources"),
        logs_dir=str(state / "logs"),
        shm_root=str(run / "iox2"),
        shm_prefix="p_",
        runtime_version="1",
        version="1",
    )
    written.prepare(made)
    return made


def look(site: Site, engine: ModelEngine | None = None) -> Observed:
    return observe(engine or ModelEngine(), Processes(), Shm(), site)


def test_everything_is_seen_sorted_and_in_one_call_each(site: Site) -> None:
    engine = ModelEngine(tags=("b:1", "a:1"))
    rig = Rig(engine, site.instance, "a:1", None)  # type: ignore[arg-type]
    for number in (2, 1):
        engine.create(rig.spec(number))
    processes = Processes((Process("rc-test-unit-1", 7, "9"),), (ProcessEnd("rc-test-unit-2", 6, 137),))
    shm = Shm((ShmNode("2", "b"), ShmNode("1", "a", dead=True)), (ShmService("2", "y"), ShmService("1", "x", 3)))
    found = observe(engine, processes, shm, site)
    assert [container.name for container in found.containers] == [rig.spec(1).name, rig.spec(2).name]
    assert [image.tags for image in found.images] == [("a:1",), ("b:1",)]
    assert (found.processes, found.process_ends) == (processes.running, processes.ended)
    assert [node.name for node in found.shm_nodes] == ["a", "b"]
    assert [service.name for service in found.shm_services] == ["x", "y"]
    assert dict(engine.calls.reads) == {"list containers": 1, "list images": 1}


def test_bare_host_is_an_empty_world(tmp_path: Path, site: Site) -> None:
    bare = replace(site, nodes_dir=str(tmp_path / "no" / "nodes"), sources_dir=str(tmp_path / "none"))
    assert look(bare) == observe(ModelEngine(), Processes(), Shm(), bare)
    assert look(bare).node_files == ()


def test_files_of_an_instance_are_read(site: Site, tmp_path: Path) -> None:
    assignments, status = Assignments("rc-x", "g1"), Status("rc-x", "g1")
    written.write_assignments(site, assignments)
    files.replace_text(tmp_path / "run" / "nodes" / "rc-x" / "status.json", files.dump(status))
    (found,) = look(site).node_files
    assert (found.name, found.assignments, found.status, found.alive) == ("rc-x", assignments, status, False)


def test_instance_lives_as_long_as_its_lock_is_held(site: Site, tmp_path: Path) -> None:
    written.write_assignments(site, Assignments("rc-x", "g1"))
    with (tmp_path / "run" / "nodes" / "rc-x" / "alive").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert look(site).node_files[0].alive
    assert not look(site).node_files[0].alive


@pytest.mark.parametrize("text", ["", "{", "[]", '{"name": 1}', "\x00"])
def test_damaged_document_counts_as_missing(site: Site, tmp_path: Path, text: str) -> None:
    written.write_assignments(site, Assignments("rc-x", "g1"))
    (tmp_path / "run" / "nodes" / "rc-x" / "assignments.json").write_text(text)
    assert look(site).node_files[0].assignments is None


@pytest.mark.parametrize(
    "text",
    [
        '{"name": "rc-x", "usage": {"oom_kills": "many"}}',
        '{"name": "rc-x", "usage": {"throttled": null}}',
        '{"name": "rc-x", "sessions": [{"session": "s", "backlog": "2"}]}',
        '{"name": "rc-x", "sessions": [{"session": 7}]}',
        '{"name": "rc-x", "error": 7}',
        '{"name": 7}',
    ],
)
def test_status_of_other_types_counts_as_missing(site: Site, tmp_path: Path, text: str) -> None:
    """It lies where the node's own process writes."""
    written.write_assignments(site, Assignments("rc-x", "g1"))
    status = tmp_path / "run" / "nodes" / "rc-x" / "status.json"
    status.write_text('{"name": "rc-x", "usage": {"throttled": 1}, "sessions": [{"session": "s"}]}')
    assert look(site).node_files[0].status is not None
    status.write_text(text)
    assert look(site).node_files[0].status is None


def test_leases_that_nobody_holds_are_named(site: Site) -> None:
    held, dropped = (lease.ask(Path(site.sessions_dir), "echo") for _ in range(2))
    assert look(site).stale_leases == ()
    os.close(dropped.file)
    assert look(site).stale_leases == (dropped.session,)
    held.release()
    assert look(site).stale_leases == (dropped.session,)


def test_damaged_endpoints_are_named_so_that_they_are_written_anew_or_removed(site: Site, tmp_path: Path) -> None:
    written.write_endpoints(site, Endpoints("voice", "voice", ready=True))
    assert look(site).endpoints == (Endpoints("voice", "voice", ready=True),)
    (tmp_path / "run" / "endpoints" / "voice.json").write_text("{")
    assert look(site).endpoints == (Endpoints("voice", ""),)


def test_snapshots_of_source_are_seen_and_nothing_else_there(site: Site, tmp_path: Path) -> None:
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "echo.py").write_text("A = 1\n")
    digest = sources.digest(tmp_path / "code")
    sources.snapshot(tmp_path / "code", digest, sources=tmp_path / "state" / "sources")
    (tmp_path / "state" / "sources" / ".copy-1").mkdir()
    assert look(site).sources == {digest}


def test_damaged_snapshot_counts_as_missing(site: Site, tmp_path: Path) -> None:
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "echo.py").write_text("A = 1\n")
    digest, place = sources.digest(tmp_path / "code"), tmp_path / "state" / "sources"
    sources.snapshot(tmp_path / "code", digest, sources=place)
    (place / digest / "echo.py").write_text("A = 2\n")
    assert look(site).sources == set()
    sources.snapshot(tmp_path / "code", digest, sources=place)
    (place / digest / "more.py").write_text("")
    assert look(site).sources == set()


def test_engine_that_is_away_is_no_empty_world(site: Site) -> None:
    with pytest.raises(EngineUnavailableError):
        look(site, ModelEngine(away=True))


def test_directory_that_can_t_be_read_is_no_empty_world(site: Site, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(FilesError, match="can't read"):
        look(replace(site, nodes_dir=str(tmp_path / "file")))
    with pytest.raises(ReconcilerError):
        look(replace(site, sources_dir=str(tmp_path / "file")))


@pytest.mark.parametrize("kind", ["pipe", "deep", "endless"])
def test_what_a_node_s_code_puts_in_the_place_of_its_files_holds_up_no_look(tmp_path: Path, kind: str) -> None:
    """Its directory is its own, and mounted to be written to: a look must end whatever lies there."""
    node = tmp_path / "rc-i-1"
    node.mkdir()
    for name in ("status.json", "assignments.json", "alive"):
        match kind:
            case "pipe":
                os.mkfifo(node / name)
            case "deep":
                (node / name).write_text("[" * 200_000)
            case _:
                (node / name).symlink_to("/dev/zero")
    found: list[object] = []
    look = threading.Thread(target=lambda: found.extend(node_files(tmp_path)), daemon=True)
    look.start()
    look.join(10)
    assert found == [NodeFiles("rc-i-1")]
