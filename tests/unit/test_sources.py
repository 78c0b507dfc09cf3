"""Node source on disk: what changes its digest, and that a snapshot is what its name says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from reconciler import sources
from reconciler.model.errors import SourceError
from reconciler.sources import tree

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def code(tmp_path: Path) -> Path:
    """Return a directory of node source."""
    directory = tmp_path / "nodes"
    (directory / "inner").mkdir(parents=True)
    (directory / "speech.py").write_text("A = 1\n")
    (directory / "inner" / "words.py").write_text("B = 2\n")
    return directory


def test_digest_is_a_fixed_form(code: Path) -> None:
    assert sources.digest(code) == "b483b5b756def04906a61a0d09a2f90a2f1f1dee63714965e82c6f62792df001"


@pytest.mark.parametrize("name", ["__pycache__/speech.cpython-311.pyc", ".git/HEAD", ".speech.py.swp", "speech.py~"])
def test_what_is_no_source_leaves_the_digest(code: Path, name: str) -> None:
    before = sources.digest(code)
    (code / name).parent.mkdir(exist_ok=True)
    (code / name).write_text("noise")
    assert sources.digest(code) == before


def test_content_and_name_change_the_digest(code: Path) -> None:
    seen = {sources.digest(code)}
    (code / "speech.py").write_text("A = 3\n")
    seen.add(sources.digest(code))
    (code / "speech.py").rename(code / "speech2.py")
    seen.add(sources.digest(code))
    (code / "data.txt").write_text("")
    seen.add(sources.digest(code))
    assert len(seen) == 4


def test_link_to_a_directory_is_not_followed(code: Path) -> None:
    before = sources.digest(code)
    (code / "loop").symlink_to(code)
    assert sources.digest(code) == before


def test_what_is_not_whole_is_told_and_can_be_removed(code: Path, tmp_path: Path) -> None:
    wanted, place = sources.digest(code), tmp_path / "snapshots"
    assert sources.look(place) == (frozenset(), ())
    sources.snapshot(code, wanted, sources=place)
    (place / ".copy-cut0ff").mkdir()
    (place / "mine").mkdir()  # nobody knows what it is, so it is nothing of ours
    assert sources.look(place) == ({wanted}, (".copy-cut0ff",))
    (place / wanted / "speech.py").write_text("")
    assert sources.look(place) == (frozenset(), (".copy-cut0ff", wanted))
    for name in (wanted, ".copy-cut0ff", wanted):
        sources.remove(name, sources=place)
    assert [path.name for path in place.iterdir()] == ["mine"]


@pytest.mark.parametrize("name", ["mine", "..", "", ".copy-/../mine"])
def test_nothing_else_is_removed(tmp_path: Path, name: str) -> None:
    (tmp_path / "mine").mkdir()
    with pytest.raises(SourceError, match="no snapshot"):
        sources.remove(name, sources=tmp_path)
    assert (tmp_path / "mine").is_dir()


def test_link_to_a_file_counts_as_the_file_and_must_not_lead_out(code: Path, tmp_path: Path) -> None:
    (code / "twin.py").symlink_to("speech.py")
    before = sources.digest(code)
    (code / "speech.py").write_text("A = 4\n")
    assert sources.digest(code) != before
    (tmp_path / "elsewhere").write_text("not for the node")
    (code / "more.py").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(SourceError, match="leads out"):
        sources.digest(code)


def test_snapshot_holds_the_same_source(code: Path, tmp_path: Path) -> None:
    wanted = sources.digest(code)
    (code / ".git").mkdir()
    sources.snapshot(code, wanted, sources=tmp_path / "snapshots")
    assert sources.present(tmp_path / "snapshots") == {wanted}
    assert sources.digest(tmp_path / "snapshots" / wanted) == wanted
    assert [entry.name for entry in (tmp_path / "snapshots").iterdir()] == [wanted]


def test_snapshot_again_is_no_work_and_needs_no_origin(code: Path, tmp_path: Path) -> None:
    wanted = sources.digest(code)
    sources.snapshot(code, wanted, sources=tmp_path / "snapshots")
    inode = (tmp_path / "snapshots" / wanted).stat().st_ino
    (code / "speech.py").unlink()
    sources.snapshot(code, wanted, sources=tmp_path / "snapshots")
    assert (tmp_path / "snapshots" / wanted).stat().st_ino == inode


def test_damaged_snapshot_is_made_anew(code: Path, tmp_path: Path) -> None:
    wanted = sources.digest(code)
    sources.snapshot(code, wanted, sources=tmp_path / "snapshots")
    (tmp_path / "snapshots" / wanted / "speech.py").write_text("damaged")
    sources.snapshot(code, wanted, sources=tmp_path / "snapshots")
    assert sources.digest(tmp_path / "snapshots" / wanted) == wanted
    assert [entry.name for entry in (tmp_path / "snapshots").iterdir()] == [wanted]


def test_edited_source_is_refused_and_leaves_nothing(code: Path, tmp_path: Path) -> None:
    wanted = sources.digest(code)
    (code / "speech.py").write_text("A = 9\n")
    with pytest.raises(SourceError, match="edited"):
        sources.snapshot(code, wanted, sources=tmp_path / "snapshots")
    assert list((tmp_path / "snapshots").iterdir()) == []


def test_missing_directory_is_said(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no directory"):
        sources.digest(tmp_path / "nowhere")


def test_too_many_files_are_said(code: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tree, "LONGEST_FILES", 1)
    with pytest.raises(SourceError, match="too much"):
        sources.digest(code)
