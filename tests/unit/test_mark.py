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
