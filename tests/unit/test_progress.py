"""What is shown of image builds, and what is kept (US3)."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import TYPE_CHECKING

from reconciler.cli.console import Console
from reconciler.cli.progress import CLEAR, Progress
from reconciler.contract.paths import Paths
from reconciler.controller import build_logs, instance
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


def test_what_a_killed_controller_was_building_is_not_under_way(tmp_path: Path) -> None:
    """Its log says so; and where an earlier build says why it failed, that is what stays."""
    killed, later = BuildLogs(tmp_path / "builds"), BuildLogs(tmp_path / "builds")
    failed = "reconciler/env:failed"
    killed.begin(failed)
    killed.line(failed, "no such package")
    killed.end(failed)
    for tag in (TAG, failed):
        killed.begin(tag)
        killed.line(tag, "half")
    later.take_over()
    assert build_logs.read(tmp_path / "builds", TAG) == f"    0.0 half\n{build_logs.CUT_OFF}"
    assert build_logs.read(tmp_path / "builds", failed) == "    0.0 no such package\n"
    assert list((tmp_path / "builds").glob("*.now")) == []
    later.begin(TAG)
    later.line(TAG, "whole")
    later.end(TAG)
    assert build_logs.read(tmp_path / "builds", TAG) == "    0.0 whole\n"


def test_a_controller_takes_over_the_logs_of_the_one_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(instance, "connect", SimpleNamespace)
    paths = Paths("test", tmp_path / "state", tmp_path / "run", ())
    paths.builds.mkdir(parents=True)
    left = build_logs.place(paths.builds, TAG, build_logs.UNDER_WAY)
    left.write_text("half\n")
    made = instance.Instance(paths, None)
    assert left.exists(), "a command that only looks leaves it: its builder may live"
    monkeypatch.setattr(made, "_engine", SimpleNamespace(end_builds=None))
    made.world()
    assert not left.exists()
    assert build_logs.read(paths.builds, TAG) == f"half\n{build_logs.CUT_OFF}"
