"""What a text said is known by its digest, also after all else of the instance was forgotten."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from reconciler.contract import VERSION
from reconciler.load import draft, drafts, validate
from tests.support.manifests import Folder, pipeline


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The texts that are parsed from now on."""
    found: list[bytes] = []
    check = validate.check
    monkeypatch.setattr(validate, "check", lambda data: found.append(data) or check(data))
    return found


def test_a_text_that_was_good_once_is_not_parsed_again(folder: Folder, parsed: list[bytes]) -> None:
    """As after `down` and `--once`, or where an edit is taken back."""
    folder.write("a.yaml", pipeline("a"))
    before = folder.converge()
    shutil.rmtree(folder.paths.manifests)
    assert folder.converge().pipelines == before.pipelines
    folder.write("a.yaml", pipeline("b"))
    folder.converge()
    folder.write("a.yaml", pipeline("a"))
    assert folder.converge().pipelines == before.pipelines
    assert len(parsed) == 2


def test_at_rest_nothing_is_written(folder: Folder) -> None:
    folder.write("a.yaml", pipeline("a"))
    folder.converge()
    (kept,) = folder.paths.drafts.iterdir()
    before = kept.stat()
    folder.converge()
    assert [path.stat() for path in folder.paths.drafts.iterdir()] == [before]


def test_a_text_that_was_wrong_is_parsed_again(folder: Folder, parsed: list[bytes]) -> None:
    folder.write("a.yaml", "kind: [")
    folder.converge()
    folder.converge()
    assert len(parsed) == 2


@pytest.mark.parametrize("damage", ["", "{", '{"sha256": "0", "form": "1", "draft": {}}', "[]"])
def test_a_damaged_or_older_draft_is_made_anew(folder: Folder, parsed: list[bytes], damage: str) -> None:
    folder.write("a.yaml", pipeline("a"))
    before = folder.converge()
    (kept,) = folder.paths.drafts.iterdir()
    shutil.rmtree(folder.paths.manifests)
    kept.write_text(damage)
    assert folder.converge().pipelines == before.pipelines
    assert len(parsed) == 2


def test_the_oldest_drafts_go(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drafts, "KEPT", 2)
    for name in ("a", "b", "c"):
        folder.write("a.yaml", pipeline(name))
        folder.converge()
    assert len(list(folder.paths.drafts.iterdir())) == 2


def test_what_can_t_be_written_is_no_error(folder: Folder) -> None:
    folder.paths.state.mkdir(parents=True)
    folder.paths.drafts.write_text("in the way")
    folder.write("a.yaml", pipeline("a"))
    assert [found.name for found in folder.converge().pipelines] == ["a"]


def test_a_program_under_development_is_another_when_what_makes_drafts_changes(tmp_path: Path) -> None:
    """Its version stays the same from one commit to the next, and what it then says of an old text must count."""
    for package in draft.PACKAGES:
        (tmp_path / package).mkdir()
        (tmp_path / package / "a.py").write_text("")
    before = draft.form(str(tmp_path), "1.0.dev0")
    assert draft.form(str(tmp_path), "1.0.dev0") == before
    (tmp_path / "load" / "__pycache__").mkdir()
    assert draft.form(str(tmp_path), "1.0.dev0") == before
    for package in draft.PACKAGES:
        known = draft.form(str(tmp_path), "1.0.dev0")
        (tmp_path / package / "a.py").write_text("#")
        assert draft.form(str(tmp_path), "1.0.dev0") != known
    assert draft.form(str(tmp_path), "1.0") == "1/1.0"
    assert draft.form(str(Path(draft.__file__).parents[1]), VERSION) == draft.FORM


GETS_READY = """
import sys, threading
from reconciler.cli import converge
told, converge.GET_READY_S = threading.Event(), 0.0
known = lambda: sorted({"pydantic", "ruamel.yaml"} & set(sys.modules))
if "ended" in sys.argv:
    told.set()
converge._get_ready(told)
print(*known())
"""


@pytest.mark.parametrize(("how", "known"), [("", "pydantic ruamel.yaml"), ("ended", "")])
def test_a_controller_that_watches_is_ready_for_an_edit_before_it_comes(how: str, known: str) -> None:
    """Its import takes most of the time from an edit to what follows; one that ends at once need not pay for it."""
    said = subprocess.run([sys.executable, "-c", GETS_READY, how], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == known
