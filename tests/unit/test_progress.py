"""What is shown of image builds, and what is kept (US3)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from reconciler.cli.console import Console
from reconciler.cli.progress import CLEAR, Progress
from reconciler.controller import build_logs
from reconciler.controller.build_logs import BuildLogs

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

TAG = "reconciler/env:aaaaaaaaaaaa"
OUTPUT = ["::step apt-get update", "Get:1", "", "::step install numpy", "Resolved\t1"]


def test_without_a_terminal_each_step_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    console = Console(log_format="console", verbose=False)
    for line in OUTPUT:
        console.build(TAG, line)
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.splitlines() == [f"{TAG} | 0 s | apt-get update", f"{TAG} | 0 s | install numpy"]


def test_as_json_each_step_is_an_object(capsys: pytest.CaptureFixture[str]) -> None:
    console = Console(log_format="json", verbose=True)
    for line in OUTPUT:
        console.build(TAG, line)
    said = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [(each["object"], each["reason"], each["message"]) for each in said] == [
        (f"image/{TAG}", "Building", "apt-get update"),
        (f"image/{TAG}", "Building", "install numpy"),
    ]


def test_on_a_terminal_one_line_changes_and_makes_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "70")
    progress = Progress(terminal=True)
    assert progress.line() == ""
    assert [progress.take(TAG, line) for line in OUTPUT] == [""] * len(OUTPUT)
    assert progress.line() == f"{CLEAR}{TAG}  0 s  install numpy  Resolved 1"
    assert progress.line() == "", "not again at once"
    assert progress.clear() == CLEAR
    assert progress.clear() == ""
    progress.take(TAG, "x" * 100)
    assert len(progress.line()) == len(CLEAR) + 69
    progress.end(TAG)
    progress.clear()
    assert progress.line() == ""


def test_the_whole_output_is_kept_within_bounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build_logs, "LONGEST_BYTES", 2_000)
    monkeypatch.setattr(build_logs, "MOST_LOGS", 3)
    logs = BuildLogs(tmp_path / "builds")
    for number in range(5):
        logs.begin(f"reconciler/env:{number}")
    assert len(list((tmp_path / "builds").iterdir())) == 3
    logs.begin(TAG)
    for number in range(1_000):
        logs.line(TAG, f"line {number}")
    kept = build_logs.read(tmp_path / "builds", TAG)
    assert kept is not None
    assert len(kept) <= 2_000
    lines = [line.split(maxsplit=1)[1] for line in kept.splitlines()]
    assert lines[-1] == "line 999"
    assert lines == [f"line {number}" for number in range(1_000 - len(lines), 1_000)]
    assert build_logs.read(tmp_path / "builds", "reconciler/env:never") is None


def test_why_a_build_failed_is_there_until_the_next_one_has_ended(tmp_path: Path) -> None:
    logs = BuildLogs(tmp_path / "builds")

    def read() -> list[str]:
        return [line.split()[-1] for line in (build_logs.read(tmp_path / "builds", TAG) or "").splitlines()]

    for number in range(3):
        before = [str(number - 1), build_logs.AGAIN.split()[-1]] if number else []
        logs.begin(TAG)
        assert read() == before
        logs.line(TAG, str(number))
        assert read() == [*before, str(number)]
        logs.end(TAG)
        assert read() == [str(number)]
