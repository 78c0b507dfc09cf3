"""The shell: one writer, a journal that costs nothing when lost, a queue with a true memory, a patient loop."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from reconciler.contract.lock import held
from reconciler.contract.paths import Paths
from reconciler.controller import instance as controller_instance
from reconciler.controller import journal, lock
from reconciler.controller.journal import Event, Journal
from reconciler.controller.loop import Loop, World
from reconciler.controller.queue import Queue
from reconciler.model.action import BuildImage, StartContainer, Step, WriteAssignments
from reconciler.model.errors import BuildError, EngineError, InstanceLockedError, StateError
from tests.support.model_world import Model, is_ready
from tests.support.worlds import BARE, chain, desire, docker_node

if TYPE_CHECKING:
    from reconciler.controller.loop import Pass
    from reconciler.model.action import Action
    from reconciler.model.memory import Outcome

STEP = Step(StartContainer("rc-test-a", "id"), "container was never started")


def test_a_second_writer_is_told_who_holds_the_instance(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    code = "import sys\nfrom pathlib import Path\nfrom reconciler.controller.lock import one_writer\n"
    code += "with one_writer(Path(sys.argv[1])):\n    print('held', flush=True)\n    sys.stdin.read()\n"
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdin
    assert holder.stdout
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(InstanceLockedError, match=str(holder.pid)) as caught, lock.one_writer(path):
        pass
    assert caught.value.pid == holder.pid
    holder.kill()
    holder.communicate()
    with lock.one_writer(path):
        pass


def test_a_state_directory_that_can_t_be_made_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "state").touch()
    with (
        pytest.raises(StateError, match=r"state directory .*state/x can't be written .*--state-dir"),
        lock.one_writer(tmp_path / "state" / "x" / "lock"),
    ):
        pass


def test_clients_see_whether_a_controller_is_on_duty(tmp_path: Path) -> None:
    path = tmp_path / "controller.lock"
    assert not held(path)
    with lock.on_duty(path):
        assert held(path)
    assert not held(path)


def _event(number: int) -> Event:
    return Event(float(number), "Normal", f"container/{number}", "StartContainer", "why")


def test_journal_gives_back_the_last_events_in_order(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    written = Journal(path)
    for number in range(5):
        written.write(_event(number))
    written.close()
    assert journal.read(path, last=3) == [_event(2), _event(3), _event(4)]


def test_journal_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "KEPT_EVENTS", 10)
    monkeypatch.setattr(journal, "TRIM_EVERY", 5)
    written = Journal(tmp_path / "journal.sqlite")
    for number in range(100):
        written.write(_event(number))
    written.close()
    assert len(journal.read(tmp_path / "journal.sqlite", last=1_000)) <= 15


@pytest.mark.parametrize("beside", [True, False])
@pytest.mark.parametrize("damage", [None, b"", b"no database" * 999], ids=["lost", "emptied", "damaged"])
def test_a_journal_that_goes_while_it_is_written_costs_history_only(
    tmp_path: Path, damage: bytes | None, *, beside: bool
) -> None:
    path = tmp_path / "journal.sqlite"
    written = Journal(path)
    written.write(_event(1))
    for place in (path, *(tmp_path.glob("journal.sqlite-*") if beside else ())):
        if damage is None:
            place.unlink()
        else:
            place.write_bytes(damage)
    for number in range(2, 5):
        written.write(_event(number))
    written.close()
    assert [event for event in journal.read(path) if event != _event(1)] == [_event(2), _event(3), _event(4)]
    again = Journal(path)
    again.write(_event(5))
    again.close()
    assert journal.read(path)[-1] == _event(5)


def test_a_damaged_journal_costs_history_only(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    path.write_bytes(b"no database" * 1_000)
    assert journal.read(path) == []
    written = Journal(path)
    written.write(_event(1))
    written.close()
    assert journal.read(path) == [_event(1)]
    assert path.with_suffix(".damaged").exists()


class Acts:
    """Does actions as told: fails for those named, waits where a gate is shut."""

    def __init__(self, *, fail: Exception | None = None) -> None:
        self.fail = fail
        self.gate = threading.Event()
        self.gate.set()
        self.done: list[tuple[Step, Outcome]] = []
        self.ended = threading.Event()

    def act(self, _: Action) -> None:
        assert self.gate.wait(5)
        if self.fail:
            raise self.fail

    def report(self, step: Step, outcome: Outcome) -> None:
        self.done.append((step, outcome))
        self.ended.set()


def test_queue_keeps_an_object_busy_until_its_action_ends() -> None:
    acts = Acts()
    acts.gate.clear()
    queue = Queue(acts.act, clock=lambda: 1.0, done=acts.report)
    queue.submit(STEP)
    assert queue.memory.in_flight == {STEP.object}
    acts.gate.set()
    assert acts.ended.wait(5)
    assert queue.memory.in_flight == frozenset()
    assert queue.memory.starts[STEP.object].count == 1
    queue.close()


@pytest.mark.parametrize(
    ("error", "reason", "retryable"),
    [
        (EngineError("no", status=400, retryable=False), "EngineError", False),
        (ZeroDivisionError("a defect"), "InternalError", True),
    ],
)
def test_queue_remembers_how_an_action_failed(error: Exception, reason: str, *, retryable: bool) -> None:
    acts = Acts(fail=error)
    queue = Queue(acts.act, clock=lambda: 1.0, done=acts.report)
    queue.submit(STEP)
    assert acts.ended.wait(5)
    failure = queue.memory.failures[STEP.object]
    assert (failure.reason, failure.retryable, failure.count) == (reason, retryable, 1)
    queue.close()


def test_a_slow_build_holds_up_nothing_else() -> None:
    started, release, quick = threading.Event(), threading.Event(), threading.Event()

    def act(action: Action) -> None:
        if isinstance(action, BuildImage):
            started.set()
            assert release.wait(5)

    def done(step: Step, _: Outcome) -> None:
        if step is STEP:
            quick.set()

    queue = Queue(act, clock=lambda: 1.0, done=done)
    builds = [step for step in _first_steps() if isinstance(step.action, BuildImage)]
    queue.submit(builds[0])
    assert started.wait(5)
    queue.submit(STEP)
    assert quick.wait(5)
    release.set()
    queue.close()


def _first_steps() -> tuple[Step, ...]:
    from reconciler.plan.plan import plan  # noqa: PLC0415 - one test's need

    return plan(desire(chain("p", docker_node("n"))), BARE).steps


def test_a_convergence_gives_up_on_what_fails_again_and_again() -> None:
    """`--once` with a package that does not exist says so after a few tries, not at the end of its time."""
    model = Model(desire(chain("p", docker_node("n"))))
    now, built = [0.0], [0]

    def act(action: Action) -> None:
        if isinstance(action, BuildImage):
            built[0] += 1
            msg = "no such package"
            raise BuildError(msg)
        model.act(action)

    loop = Loop(World(lambda: model.desired, model.look, act), say=lambda _: None, clock=lambda: now[0])
    tries: list[int] = []

    def stuck(made: Pass) -> bool:
        tries.append(built[0])
        now[0] += 1.0
        return made.is_stuck

    assert loop.run_until(stuck, timeout_s=1_000)
    loop.close()
    assert tries[-1] == 5
    assert loop.last is not None
    assert any("no such package" in str(status.conditions) for status in loop.last.statuses)


def test_loop_converges_then_writes_nothing() -> None:
    model = Model(desire(chain("p", docker_node("n"))))
    events: list[Event] = []
    loop = Loop(model.world(), say=events.append)
    assert loop.run_until(is_ready, timeout_s=10)
    written = len(model.written)
    for _ in range(10):
        loop.turn()
    loop.close()
    assert len(model.written) == written
    assert any(isinstance(action, WriteAssignments) for action in model.written)
    assert [event.reason for event in events if event.object == "pipeline/p" and "Ready=True" in event.message] == [
        "Yes"
    ]


def test_a_failed_look_is_said_once_and_nothing_is_done() -> None:
    model = Model(desire(chain("p", docker_node("n"))))
    model.away = 3
    events: list[Event] = []
    loop = Loop(model.world(), say=events.append)
    for _ in range(3):
        loop.turn()
    assert model.written == []
    assert [event.reason for event in events] == ["EngineUnavailable"]
    loop.turn()
    loop.close()
    assert model.written


def test_conditions_that_can_not_be_written_end_no_controller(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full runtime directory is told once, and what there is to do is done all the same."""
    monkeypatch.setattr(controller_instance, "connect", SimpleNamespace)
    instance = controller_instance.Instance(Paths("test", tmp_path / "state", tmp_path / "run", ()), None)
    monkeypatch.setattr(instance, "images", SimpleNamespace(see=lambda _: None))
    (tmp_path / "run").mkdir()
    model = Model(desire(chain("p", docker_node("n"))))
    events: list[Event] = []
    loop = Loop(model.world(), say=events.append, publish=instance.publish)

    def full(path: Path, _: str, **__: str) -> None:
        path.touch()
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as disk:
        disk.setattr(Path, "write_text", full)
        for _ in range(3):
            loop.turn()
    assert model.written
    assert [event.message for event in events if event.object == "controller"] == [
        f"can't write the conditions: No space left on device: {tmp_path / 'run' / 'status.json'}"
    ]
    assert list((tmp_path / "run").iterdir()) == [], "nothing is left of it"
    assert loop.run_until(is_ready, timeout_s=10)
    loop.close()
    assert (tmp_path / "run" / "status.json").exists()


def test_transition_times_move_only_when_a_status_changes() -> None:
    model = Model(desire(chain("p", docker_node("n"))))
    published: list[Pass] = []
    loop = Loop(model.world(), say=lambda _: None, publish=published.append)
    assert loop.run_until(is_ready, timeout_s=10)
    loop.turn()
    loop.turn()
    loop.close()
    assert published[-1].statuses == published[-2].statuses


def test_stop_ends_a_loop_that_rests() -> None:
    loop = Loop(Model(desire()).world(), say=lambda _: None)
    thread = threading.Thread(target=loop.run)
    thread.start()
    loop.stop()
    thread.join(5)
    assert not thread.is_alive()
    loop.close()


def test_a_convergence_is_not_over_while_an_action_that_ended_was_not_looked_at() -> None:
    """A stop may end between a pass and the question whether all is done: the removal is still to come."""
    model = Model(desire(chain("p", docker_node("n"))))
    loop = Loop(model.world(), say=lambda _: None)
    assert loop.run_until(is_ready, timeout_s=10)
    model.desired = desire()
    assert loop.run_until(lambda made: made.is_rest, timeout_s=10)
    loop.close()
    assert model.observed.containers == ()
    assert model.observed.node_files == ()
