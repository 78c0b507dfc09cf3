"""What is remembered of instances that end or give no sign of life: pure, each end told once, nothing kept for ever."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from reconciler.controller.last_lines import last_lines
from reconciler.controller.loop import Loop, World
from reconciler.model.action import RestartContainer, Step
from reconciler.model.memory import End, Memory, Outcome, Starts, new_ends, note_ends, remember, see_signs_of_life
from reconciler.model.observed import ProcessEnd
from tests.support.model_engine import ModelEngine
from tests.support.worlds import BARE, chain, desire, docker_node, rest

PIPELINE = chain("echo", docker_node("echo"))
UP = rest(desire(PIPELINE))
(CONTAINER,) = UP.containers
ENDED = replace(UP, containers=(replace(CONTAINER, state="exited", exit_code=3),))
SILENT = replace(UP, node_files=tuple(replace(files, alive=False) for files in UP.node_files))


def test_an_end_is_new_until_it_is_noted_and_again_after_a_start() -> None:
    assert list(new_ends(Memory(), UP)) == []
    (end,) = new_ends(Memory(), ENDED)
    assert end == End(CONTAINER.name, CONTAINER.id, 0, 3)
    memory = note_ends(Memory(), ENDED, [replace(end, lines=("no",))])
    assert memory.ends == {CONTAINER.name: replace(end, lines=("no",))}
    assert list(new_ends(memory, ENDED)) == []
    assert note_ends(memory, UP, []) == memory
    again = replace(memory, starts={f"container/{CONTAINER.name}": Starts(1, 0.0)})
    assert [end.run for end in new_ends(again, ENDED)] == [1]
    assert note_ends(memory, BARE, []).ends == {}


def test_silence_is_counted_from_its_first_sight_and_forgotten_with_a_sign_of_life_or_a_start() -> None:
    first = see_signs_of_life(Memory(), SILENT, now_s=5.0)
    assert first.silent_since_s == {CONTAINER.name: 5.0}
    assert see_signs_of_life(first, SILENT, now_s=9.0) == first
    assert see_signs_of_life(first, UP, now_s=9.0).silent_since_s == {}
    assert see_signs_of_life(first, ENDED, now_s=9.0).silent_since_s == {}
    step = Step(RestartContainer(CONTAINER.name, CONTAINER.id), "silent")
    assert remember(first, step, Outcome(), now_s=9.0).silent_since_s == {}
    assert remember(first, step, Outcome("EngineError"), now_s=9.0).silent_since_s == first.silent_since_s


def test_the_loop_reads_the_last_lines_of_an_end_once() -> None:
    read: list[End] = []

    def lines(end: End) -> tuple[str, ...]:
        read.append(end)
        return ("no such model",)

    ended = replace(PIPELINE.nodes[0], restart=replace(PIPELINE.nodes[0].restart, policy="Never"))
    loop = Loop(World(lambda: desire(chain("echo", ended)), lambda: ENDED, lambda _: None, lines), say=lambda _: None)
    for _ in range(3):
        loop.turn()
    loop.close()
    assert len(read) == 1
    assert loop.last
    (node,) = [status for status in loop.last.statuses if status.kind == "Node"]
    ready = node.condition("Ready")
    assert ready
    assert "exit code 3 (no such model)" in ready.message


@pytest.mark.parametrize("code", [None, 0, 1])
def test_what_can_t_be_read_is_nothing_said(code: int | None) -> None:
    for container in ("gone", ""):
        assert last_lines(ModelEngine(away=True), Path, End("rc-x-1", container, 1, code)) == ()


def test_last_lines_of_a_host_process_are_those_of_its_file(tmp_path: Path) -> None:
    (tmp_path / "rc-x-1").write_text("".join(f"line {number}\n" for number in range(9)) + "x" * 999 + "\nhalf")
    lines = last_lines(ModelEngine(away=True), lambda name: tmp_path / name, End("rc-x-1", "", 77, 1))
    assert lines == ("line 7", "line 8", "x" * 200)


def test_an_end_of_a_host_process_is_told_apart_by_its_pid() -> None:
    name = "rc-test-1"
    ended = replace(BARE, process_ends=(ProcessEnd(name, 7, 137),))
    (end,) = new_ends(Memory(), ended)
    assert end == End(name, "", 7, 137)
    memory = note_ends(Memory(), ended, [end])
    assert list(new_ends(memory, ended)) == []
    assert len(list(new_ends(memory, replace(BARE, process_ends=(ProcessEnd(name, 8, 137),))))) == 1
    assert note_ends(memory, BARE, []).ends == {}
