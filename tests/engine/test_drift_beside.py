"""The rows of `docs/drift.md` on files, programs, shared memory, and on the machine itself."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from reconciler.process import HostProcesses, table
from tests.support.drifting import REPAIRED_S, World
from tests.support.place import eventually
from tests.support.world import served

if TYPE_CHECKING:
    from collections.abc import Callable


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
    path, started = world.place.paths.endpoints / "echo.json", world.seen()["State"]["StartedAt"]
    before = path.read_bytes()
    hand(path)
    cause = "endpoints are missing" if hand is _delete else "endpoints differ"
    eventually(lambda: world.told(cause), within_s=REPAIRED_S)
    assert path.read_bytes() == before
    world.repaired(cause)
    assert world.seen()["State"]["StartedAt"] == started


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


TAKE = """
import ctypes, os, sys
tid = ctypes.c_int(int(sys.argv[1]))
args = (ctypes.c_uint64 * 11)(0, 0, 0, 0, 17, 0, 0, 0, ctypes.addressof(tid), 1, 0)  # clone3(2): set_tid
if ctypes.CDLL(None).syscall(435, args, ctypes.sizeof(args)) == 0:
    os.execv("/bin/sleep", ["sleep", "600"])
print(flush=True)
os.wait()
"""


def test_pid_of_a_host_process_taken_by_another_program(on_host: World) -> None:
    """The program that has the number now is none of ours: it stays, also when all that is ours goes."""
    on_host.down_with_the_controller()
    (before,) = _pids(on_host)
    os.kill(before, signal.SIGKILL)
    eventually(lambda: not Path(f"/proc/{before}").exists(), within_s=REPAIRED_S)
    other = subprocess.Popen([sys.executable, "-c", TAKE, str(before)], stdout=subprocess.PIPE)
    try:
        assert other.stdout is not None
        assert other.stdout.readline() == b"\n"
        started = table.started_at(before)
        assert started is not None
        on_host.up_again()
        on_host.repaired("host process is missing")
        (after,) = _pids(on_host)
        assert after != before
        on_host.down_with_the_controller()
        assert on_host.place.reconcile("down").returncode == 0
        assert table.started_at(after) is None
        assert table.started_at(before) == started
    finally:
        if started := table.started_at(before):
            os.kill(before, signal.SIGKILL)
        other.communicate(timeout=REPAIRED_S)


def test_crash_loop_of_a_host_process_tells_exit_code_last_lines_and_next_attempt(on_host: World) -> None:
    on_host.works()
    code = on_host.manifest.parent / "nodes" / "echo.py"
    good = code.read_text()
    code.write_text(good + '\nimport os\n\nprint("no such model", flush=True)\nos._exit(7)\n')

    def crash_loop() -> bool:  # which is told of for as long as the node does not run
        degraded = on_host.conditions("Pipeline").get("Degraded", {})
        said = ("ended with exit code 7 (", "no such model", "the next attempt is")
        return degraded.get("reason") == "CrashLoop" and all(text in degraded["message"] for text in said)

    eventually(crash_loop, within_s=60)
    on_host.works()  # the version before serves
    code.write_text(good)
    eventually(lambda: on_host.conditions("Pipeline")["Degraded"]["status"] == "False", within_s=REPAIRED_S)


ENDS = """
import os, threading, time

def _end():
    while not os.path.exists({go!r}):
        time.sleep(0.02)
    os._exit(int(open({go!r}).read()))

threading.Thread(target=_end, daemon=True).start()
"""


def test_how_a_host_process_ended_outlives_the_controller(on_host: World, tmp_path: Path) -> None:
    """Killed before the node ends: the next controller names the exit code, and goes by the restart policy."""
    go, before = tmp_path / "go", _pids(on_host)
    code = on_host.manifest.parent / "nodes" / "echo.py"
    code.write_text(code.read_text() + ENDS.format(go=str(go)))
    on_host.manifest.write_text(on_host.manifest.read_text() + "      restart: {policy: OnFailure}\n")

    def new_alone() -> bool:  # old and new overlap: one look says both that it is alone and that it is the new one
        now = _pids(on_host)
        return len(now) == 1 and now != before

    def end_alone(exit_code: int) -> None:
        (running,) = _pids(on_host)
        on_host.controller.kill()
        on_host.controller.wait()
        go.with_suffix(".new").write_text(str(exit_code))
        go.with_suffix(".new").replace(go)
        eventually(lambda: table.started_at(running) is None, within_s=REPAIRED_S)
        go.unlink()
        on_host.up_again()

    eventually(new_alone, within_s=REPAIRED_S)
    end_alone(3)
    on_host.repaired("ended with exit code 3")
    end_alone(0)
    time.sleep(3)  # it looks from now on
    assert _pids(on_host) == [], "it has ended well, so its policy leaves it"
    assert on_host.conditions()["Ready"]["status"] == "True"


def test_what_a_sigkill_leaves_in_shared_memory(world: World) -> None:
    """EC-04, BY-06: files and bytes return to the level before."""
    world.works()
    eventually(lambda: served(world.place) == {"echo"}, within_s=REPAIRED_S)  # the program's own session is let go of
    before = _level(world)
    for _ in range(3):
        world.settle()
        world.engine.kill(world.seen()["Id"])
        world.repaired("container ended with exit code 137")
        eventually(lambda: world.told("of their programs were killed"), within_s=REPAIRED_S)
    eventually(lambda: _level(world) == before, within_s=REPAIRED_S)


def _level(world: World) -> tuple[int, int]:
    sizes = []
    for name in world.place.segments():
        with contextlib.suppress(FileNotFoundError):  # it went in between
            sizes.append(Path("/dev/shm", name).stat().st_size)
    return len(sizes), sum(sizes)


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
