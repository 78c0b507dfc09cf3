"""Host processes, with real ones: found by their arguments, told apart by their start, ended for good."""

from __future__ import annotations

import json
import os
import secrets
import select
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from reconciler.model.errors import ProcessError
from reconciler.model.instance import ProcessSpec
from reconciler.process import HostProcesses, host, recorder, table
from reconciler.process.recorder import RECORD
from tests.support.place import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reconciler.model.observed import Process, ProcessEnd

STAY = "import signal; open(ready, 'w').close(); signal.pause()"
STUBBORN = (
    "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); open(ready, 'w').close()\nwhile True: signal.pause()"
)
TELL = "import json, os; print(json.dumps([dict(os.environ), os.getcwd(), os.getsid(0)])); "


@dataclass(slots=True)
class Yard:
    """Starts stand-ins for nodes, which say over a pipe in the file system when they are up."""

    place: Path
    instance: str = field(default_factory=lambda: f"test-{secrets.token_hex(3)}")
    door: HostProcesses = field(default_factory=HostProcesses)

    def spec(
        self, program: str, *, hashed: str = "0123456789ab", environment: tuple[tuple[str, str], ...] = ()
    ) -> ProcessSpec:
        name = f"rc-{self.instance}-{hashed}"
        program = f"ready = {str(self.place / hashed)!r}\n{program}"
        return ProcessSpec(
            name=name,
            argv=(sys.executable, "-c", program, "-m", "reconciler.node", "--instance", self.instance, "--name", name),
            environment=environment,
            log_path=str(self.place / "logs" / f"{name}.log"),
            record_path=str(self.place / "nodes" / name / RECORD),
        )

    def start(self, program: str = STAY, *, hashed: str = "0123456789ab") -> Process:
        """Start a stand-in and wait until it is up."""
        os.mkfifo(self.place / hashed)
        spec = self.spec(program, hashed=hashed)
        self.door.start(spec)
        (self.place / hashed).read_text()
        return next(found for found in self.door.list(self.instance) if found.name == spec.name)

    def log(self, spec: ProcessSpec) -> str:
        return Path(spec.log_path).read_text()

    def end(self, spec: ProcessSpec) -> None:
        """Wait for a process that ends by itself."""
        ((_, child),) = self.door._children.values()
        child.wait(timeout=30)
        assert self.door.list(self.instance) == ()
        assert spec.name in self.exit_codes()

    def ends(self, door: HostProcesses | None = None) -> tuple[ProcessEnd, ...]:
        """Return what a look shows of ends."""
        looking = door or self.door
        looking.list(self.instance)
        return looking.ends(self.instance, str(self.place / "nodes"))

    def exit_codes(self, door: HostProcesses | None = None) -> dict[str, int]:
        return {end.name: end.exit_code for end in self.ends(door)}


@pytest.fixture
def yard(tmp_path: Path) -> Iterator[Yard]:
    made = Yard(tmp_path)
    yield made
    for found in made.door.list(made.instance):
        made.door.stop(found.pid, found.started, timeout_s=0)


def test_started_process_is_found_by_any_controller(yard: Yard) -> None:
    found = yard.start()
    assert HostProcesses().list(yard.instance) == (found,)
    assert (found.name, found.started) == (f"rc-{yard.instance}-0123456789ab", table.started_at(found.pid))


def test_instance_whose_name_begins_alike_is_another(yard: Yard) -> None:
    yard.start()
    assert yard.door.list(yard.instance[:-1]) == ()
    assert yard.door.list(f"{yard.instance}-0123456789ab") == ()


def test_list_is_by_name(yard: Yard) -> None:
    names = [yard.start(hashed=hashed).name for hashed in ("cccccccccccc", "aaaaaaaaaaaa", "bbbbbbbbbbbb")]
    assert [found.name for found in yard.door.list(yard.instance)] == sorted(names)


def test_the_whole_table_is_read_again_when_something_was_started_or_ended(
    yard: Yard, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine runs hundreds of programs, and reading about all of them is a tenth of a pass."""
    found = yard.start()
    assert yard.door.list(yard.instance) == (found,)
    with monkeypatch.context() as no_table:
        no_table.setattr(table, "living", lambda *_: pytest.fail("read again"))
        assert yard.door.list(yard.instance) == (found,)
    second = yard.start(hashed="fedcba987654")
    assert {each.pid for each in yard.door.list(yard.instance)} == {found.pid, second.pid}
    yard.door.stop(second.pid, second.started, timeout_s=30)
    assert yard.door.list(yard.instance) == (found,)
    os.kill(found.pid, signal.SIGKILL)
    eventually(lambda: yard.door.list(yard.instance) == (), within_s=10)


def test_a_list_of_long_ago_counts_no_more(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody else should start a process of an instance; who does is seen all the same."""
    monkeypatch.setattr(host, "WHOLE_S", 0.0)
    assert yard.door.list(yard.instance) == ()
    beside = HostProcesses()
    beside.start(yard.spec(STAY))
    eventually(lambda: len(yard.door.list(yard.instance)) == 1, within_s=10)
    (found,) = yard.door.list(yard.instance)
    beside.stop(found.pid, found.started, timeout_s=30)


def test_start_twice_runs_once(yard: Yard) -> None:
    found = yard.start()
    yard.door.start(yard.spec(STAY))
    assert yard.door.list(yard.instance) == (found,)


def test_process_is_on_its_own_and_in_a_clean_environment(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_OF_THE_SHELL", "1")
    spec = yard.spec(TELL, environment=(("RECONCILE_NODE_NAME", "x"),))
    yard.door.start(spec)
    yard.end(spec)
    environment, directory, session = json.loads(yard.log(spec))
    assert environment["RECONCILE_NODE_NAME"] == "x"
    assert environment["PATH"] == os.environ["PATH"]
    assert "SECRET_OF_THE_SHELL" not in environment
    assert directory == "/"
    assert session != os.getsid(0)


def test_output_is_appended(yard: Yard) -> None:
    spec = yard.spec("import sys; print('out', flush=True); sys.exit('err')")
    for _ in range(2):
        yard.door.start(spec)
        yard.end(spec)
    assert yard.log(spec).splitlines() == ["out", "err"] * 2
    assert yard.exit_codes() == {spec.name: 1}


def test_the_logs_of_processes_that_are_long_gone_go(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    """But for those of processes that still run, however long they said nothing."""
    monkeypatch.setattr(host, "KEPT_LOGS", 2)
    quiet = Path(yard.spec(STAY).log_path)
    yard.start()
    gone = [quiet.with_name(f"rc-{yard.instance}-{number}.log") for number in range(4)]
    for path in gone:
        path.touch()
    for at_s, path in enumerate((quiet, *gone)):
        os.utime(path, (at_s, at_s))
    started = Path(yard.spec(STAY, hashed="aaaaaaaaaaaa").log_path)
    yard.start(hashed="aaaaaaaaaaaa")
    assert sorted(quiet.parent.iterdir()) == sorted((quiet, *gone[2:], started))


def test_stop_ends_and_leaves_no_zombie(yard: Yard) -> None:
    found = yard.start()
    yard.door.stop(found.pid, found.started, timeout_s=30)
    assert yard.door.list(yard.instance) == ()
    assert yard.exit_codes() == {}
    assert not Path(f"/proc/{found.pid}").exists()


def test_stop_kills_what_does_not_listen(yard: Yard) -> None:
    found = yard.start(STUBBORN)
    yard.door.stop(found.pid, found.started, timeout_s=0.05)
    assert yard.door.list(yard.instance) == ()


def test_end_by_a_strange_hand_is_told_as_the_engine_tells_it(yard: Yard) -> None:
    found = yard.start()
    yard.start(hashed="fedcba987654")
    os.kill(found.pid, signal.SIGKILL)
    await_end(found.pid)
    (end,) = yard.ends()
    assert (end.name, end.exit_code) == (found.name, 137)
    assert yard.door.ends(yard.instance[:-1], str(yard.place / "nowhere")) == ()


LATER = "import signal, sys; signal.signal(signal.SIGUSR1, lambda *_: sys.exit(3))\n" + STAY


def await_end(pid: int) -> None:
    with suppress(ProcessLookupError):
        handle = os.pidfd_open(pid)
        assert select.select([handle], [], [], 30)[0]
        os.close(handle)


def test_any_later_controller_knows_how_a_process_ended(yard: Yard) -> None:
    """The one that started it is killed before; the kernel tells an exit code to a parent alone."""
    spec = yard.spec(LATER)
    os.mkfifo(yard.place / "0123456789ab")
    start = "import sys; from tests.unit.test_process import *; HostProcesses().start(eval(sys.argv[1])); os._exit(9)"
    gone = subprocess.run([sys.executable, "-c", start, repr(spec)], check=False, cwd=Path(__file__).parents[2])
    assert gone.returncode == 9
    (yard.place / "0123456789ab").read_text()
    later = HostProcesses()
    (found,) = later.list(yard.instance)
    assert yard.ends(later) == ()
    os.kill(found.pid, signal.SIGUSR1)
    await_end(found.pid)
    assert yard.exit_codes(later) == {spec.name: 3}, "the look that misses the process knows its end"
    assert yard.exit_codes(HostProcesses()) == {spec.name: 3}


def test_what_explains_a_start_is_known_while_it_runs(yard: Yard) -> None:
    """As it is to who was told of it: conditions say why a node is started again."""
    spec = yard.spec("raise SystemExit(3)")
    yard.door.start(spec)
    yard.end(spec)
    later = HostProcesses()
    assert yard.exit_codes(later) == {spec.name: 3}
    os.mkfifo(yard.place / "again")
    later.start(yard.spec(STAY.replace("ready", repr(str(yard.place / "again")))))
    (yard.place / "again").read_text()
    assert yard.exit_codes(later) == {spec.name: 3}
    (found,) = later.list(yard.instance)
    later.stop(found.pid, found.started, timeout_s=30)


def test_the_end_of_a_process_that_was_stopped_is_recorded_nowhere(yard: Yard) -> None:
    """It is no reason to leave it so, for any controller."""
    found = yard.start("import signal, sys; signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))\n" + STAY)
    record = Path(yard.spec(STAY).record_path)
    assert record.read_bytes() == b""
    HostProcesses().stop(found.pid, found.started, timeout_s=30)
    assert not record.exists()
    assert yard.exit_codes(HostProcesses()) == {}


def test_a_recorder_that_is_killed_takes_its_node_s_end_along_and_nothing_else(yard: Yard) -> None:
    found = yard.start()
    parent = table.parent(found.pid)
    assert parent is not None
    os.kill(parent.pid, signal.SIGKILL)
    os.waitid(os.P_PID, parent.pid, os.WEXITED | os.WNOWAIT)
    assert yard.door.list(yard.instance) == (found,)
    assert yard.exit_codes() == {}
    yard.door.stop(found.pid, found.started, timeout_s=30)
    assert yard.door.list(yard.instance) == ()


@pytest.mark.parametrize("damage", ["", "3", "x 3", "1 2 3", "\0"])
def test_a_damaged_record_is_none(tmp_path: Path, damage: str) -> None:
    (tmp_path / RECORD).write_text(damage)
    assert recorder.read(str(tmp_path / RECORD), "n") is None


def test_stop_of_what_has_ended_is_success(yard: Yard) -> None:
    found = yard.start()
    for _ in range(2):
        yard.door.stop(found.pid, found.started, timeout_s=30)


def test_stop_leaves_a_later_process_with_the_same_pid_alone(yard: Yard) -> None:
    found = yard.start()
    yard.door.stop(found.pid, f"{int(found.started) - 1}", timeout_s=0)
    assert yard.door.list(yard.instance) == (found,)


def test_zombie_of_another_controller_is_not_alive(yard: Yard) -> None:
    found = yard.start()
    parent = table.parent(found.pid)
    assert parent is not None
    os.kill(found.pid, signal.SIGKILL)
    os.waitid(os.P_PID, parent.pid, os.WEXITED | os.WNOWAIT)  # it is a zombie now: its parent has not reaped it
    assert HostProcesses().list(yard.instance) == ()


def test_program_that_is_not_there_says_so(yard: Yard) -> None:
    argv = ("/nowhere/python", "-m", "reconciler.node")
    spec = ProcessSpec("rc-x-1", argv, (), str(yard.place / "log"), str(yard.place / RECORD))
    with pytest.raises(ProcessError, match=r"can't start rc-x-1 .*No such file.*/nowhere/python"):
        yard.door.start(spec)


def test_process_table_that_can_t_be_read_is_no_empty_world(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "PROC", yard.place / "nowhere")
    with pytest.raises(ProcessError, match="can't read the process table"):
        yard.door.list(yard.instance)
