"""The file that a mark is: how long it is believed, and what happens where it can't be written."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest

from reconciler.cli import mark
from reconciler.cli.mark import Mark
from reconciler.cli.parser import parse
from reconciler.contract.paths import Paths

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Mark:
    """A mark of a world that stays as it is, about to be left."""
    paths = Paths("i", tmp_path / "state", tmp_path / "run")
    paths.runtime.mkdir()
    paths.status.write_text("[]")
    monkeypatch.setattr(mark.Unchanged, "told", lambda _: "all of it")
    found = Mark(parse(["--once", "-f", str(tmp_path)]), paths, tmp_path)
    assert not found.holds()
    return found


@pytest.mark.parametrize(("age_s", "holds"), [(0.0, True), (mark.LONGEST_S + 5, False), (-5.0, False)])
def test_a_mark_is_believed_for_a_while_and_never_where_the_clock_was_set_back(
    left: Mark, tmp_path: Path, age_s: float, *, holds: bool
) -> None:
    left.leave()
    then_s = time.time() - age_s
    os.utime(tmp_path / "run" / "rest", (then_s, then_s))
    assert left.holds() == holds


def test_a_mark_that_can_t_be_written_fails_no_command(left: Mark, tmp_path: Path) -> None:
    (tmp_path / "run" / "rest").mkdir()
    left.leave()
    assert not left.holds()


def test_a_mark_is_for_its_owner_alone(left: Mark, tmp_path: Path) -> None:
    """It holds the engine's lists, which only those get who may use the engine."""
    (tmp_path / "run" / "rest.new").write_text("cut off, and open to all")
    left.leave()
    assert left.holds()
    assert (tmp_path / "run" / "rest").stat().st_mode & 0o777 == 0o600
    assert not (tmp_path / "run" / "rest.new").exists()


def test_of_the_environment_a_mark_holds_what_counts_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    options = parse(["--once", "-f", "."])
    before = mark._said(options)
    for name in ("DOCKER_AUTH_CONFIG", "PYTHON_KEYRING", "HOME"):
        monkeypatch.setenv(name, "a credential")
    assert mark._said(options) == before
    for name in ("DOCKER_HOST", "RECONCILE_MEMORY_MB"):
        said = mark._said(options)
        monkeypatch.setenv(name, "unix:///elsewhere")
        assert mark._said(options) != said
