"""BY-03: what does not parse, vanished, or was emptied by accident never removes anything."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from reconciler.load import Loader
from reconciler.model.errors import StateError
from tests.support.manifests import Folder, pipeline, session

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reconciler.model.desired import Desired

BROKEN = "kind: ["


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def names(desired: Desired) -> list[str]:
    return [found.name for found in desired.pipelines]


def test_a_broken_file_goes_on_after_a_restart(folder: Folder) -> None:
    folder.write("voice.yaml", pipeline())
    before = folder.converge()
    folder.write("voice.yaml", BROKEN)
    for _ in range(2):
        after = folder.converge()
        assert after.pipelines == before.pipelines
        assert after.sessions == before.sessions
        assert after.complete
    folder.write("voice.yaml", pipeline("renamed"))
    assert names(folder.converge()) == ["renamed"]


def test_a_new_broken_file_stops_pruning_and_nothing_else(folder: Folder) -> None:
    folder.write("voice.yaml", pipeline())
    folder.write("new.yaml", BROKEN)
    desired = folder.converge()
    assert names(desired) == ["voice"]
    assert not desired.complete
    assert [each.pipeline for each in desired.diagnostics] == [""]


def test_a_removed_file_is_removed(folder: Folder) -> None:
    folder.write("a.yaml", pipeline("a"))
    folder.write("b.yaml", pipeline("b"))
    folder.converge()
    folder.remove("a.yaml")
    desired = folder.converge()
    assert (names(desired), desired.complete, desired.diagnostics) == (["b"], True, ())


@pytest.mark.parametrize("emptied", ["", "# all gone\n", "---\n---\n"])
def test_an_emptied_file_is_not_a_removed_one(folder: Folder, emptied: str) -> None:
    folder.write("a.yaml", pipeline("a"))
    folder.converge()
    folder.write("a.yaml", emptied)
    desired = folder.converge()
    assert names(desired) == ["a"]
    assert folder.lines(desired) == ["a.yaml:1:1: holds no manifest any more: to remove what it held, delete the file"]


def test_a_document_can_be_taken_out_of_a_file(folder: Folder) -> None:
    folder.write("a.yaml", pipeline("a") + "---\n" + pipeline("b"))
    assert names(folder.converge()) == ["a", "b"]
    folder.write("a.yaml", pipeline("a"))
    assert names(folder.converge()) == ["a"]


def test_a_file_is_taken_whole_or_not_at_all(folder: Folder) -> None:
    folder.write("a.yaml", pipeline("a") + "---\n" + pipeline("b"))
    before = folder.converge()
    folder.write("a.yaml", pipeline("a", spec="  suspend: true\n") + "---\n" + pipeline("b", spec="  suspend: 3\n"))
    after = folder.converge()
    assert after.pipelines == before.pipelines
    assert [each.pipeline for each in after.diagnostics] == ["b"]


def test_the_directory_may_go(folder: Folder) -> None:
    folder.write("voice.yaml", pipeline())
    running = folder.loader()
    before = running.load()
    running.keep()
    shutil.rmtree(folder.manifests)
    for loader in (running, folder.loader(), folder.loader(allow_empty=True)):
        desired = loader.load()
        loader.keep()
        assert desired.pipelines == before.pipelines
        assert desired.sessions == before.sessions
        assert not desired.complete
        assert "no such file or directory" in str(desired.diagnostics[0])


def test_an_empty_directory_at_the_first_look_removes_nothing(folder: Folder) -> None:
    folder.write("voice.yaml", pipeline())
    before = folder.converge()
    folder.remove("voice.yaml")
    desired = folder.converge()
    assert desired.pipelines == before.pipelines
    assert not desired.complete
    assert "--allow-empty" in desired.diagnostics[0].message


def test_an_empty_directory_can_be_meant(folder: Folder) -> None:
    folder.write("voice.yaml", pipeline())
    folder.converge()
    folder.remove("voice.yaml")
    loader = folder.loader(allow_empty=True)
    assert loader.load() == type(loader.load())()
    loader.keep()
    assert not list(folder.paths.manifests.glob("*.json"))


def test_a_directory_that_empties_under_our_eyes_is_meant(folder: Folder) -> None:
    folder.write("voice.yaml", pipeline())
    loader = folder.loader()
    loader.load()
    folder.remove("voice.yaml")
    for _ in range(2):
        desired = loader.load()
        assert (names(desired), desired.complete, desired.diagnostics) == ([], True, ())


def test_another_empty_directory_in_its_place_is_not(folder: Folder) -> None:
    folder.write("voice.yaml", pipeline())
    loader = folder.loader()
    loader.load()
    folder.manifests.rename(folder.root / "old")
    folder.manifests.mkdir()
    desired = loader.load()
    assert names(desired) == ["voice"]
    assert not desired.complete


def test_a_single_file_under_our_eyes(folder: Folder) -> None:
    file = folder.write("voice.yaml", pipeline())
    loader = Loader(folder.paths, file)
    assert names(loader.load()) == ["voice"]
    loader.keep()
    file.unlink()
    gone = Loader(folder.paths, file).load()
    assert (names(gone), gone.complete) == (["voice"], False)
    seen = loader.load()
    assert (names(seen), seen.complete) == ([], True)


def test_source_that_vanished_goes_on_with_its_digest(folder: Folder) -> None:
    folder.write("voice.yaml", pipeline())
    before = folder.converge()
    shutil.rmtree(folder.manifests / "nodes")
    after = folder.converge()
    assert after.pipelines == before.pipelines
    assert folder.lines(after) == [
        'voice.yaml:6:7: node "a" has no source: put its code into ./nodes beside the manifest, or name its directory'
    ]


def test_a_swapped_link_is_one_revision(folder: Folder) -> None:
    folder.write("voice.yaml", pipeline())
    first = folder.root / "rev-1"
    folder.manifests.rename(first)
    folder.manifests.symlink_to(first)
    loader = folder.loader()
    before = loader.load()
    assert before.pipelines[0].nodes[0].source.path == f"{first}/nodes"
    assert before.pipelines[0].origin.path == f"{folder.manifests}/voice.yaml"
    second = folder.root / "rev-2"
    shutil.copytree(first, second)
    swap = folder.root / "swap"
    swap.symlink_to(second)
    swap.replace(folder.manifests)
    after = loader.load()
    assert after.pipelines[0].nodes[0].source.path == f"{second}/nodes"
    assert after.pipelines[0].generation == before.pipelines[0].generation
    third = folder.root / "rev-3"
    third.mkdir()
    swap.symlink_to(third)
    swap.replace(folder.manifests)
    emptied = loader.load()
    assert (names(emptied), emptied.complete) == (["voice"], False)


@pytest.fixture
def open_folder() -> Iterator[Folder]:
    """A folder that any user may enter, which pytest's own are not."""
    with tempfile.TemporaryDirectory() as root:
        Path(root).chmod(0o755)
        yield Folder(Path(root))


@contextmanager
def as_nobody() -> Iterator[None]:
    """Be a user to whom permissions matter."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(65_534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


def test_an_unreadable_folder_keeps_what_was_in_it(open_folder: Folder) -> None:
    open_folder.write("a.yaml", pipeline("a"))
    open_folder.write("sub/b.yaml", pipeline("b", nodes="{id: a, nodeType: 'code:A', source: ../nodes}"))
    loader = open_folder.loader()
    before = loader.load()
    (open_folder.manifests / "sub").chmod(0)
    with as_nobody():
        desired = loader.load()
    (open_folder.manifests / "sub").chmod(0o755)
    assert desired.pipelines == before.pipelines
    assert not desired.complete
    assert open_folder.lines(desired) == ["sub:1:1: can't be read: Permission denied"]
    assert loader.load() == before


def test_an_unreadable_directory_keeps_everything(open_folder: Folder) -> None:
    open_folder.write("a.yaml", pipeline("a"))
    loader = open_folder.loader()
    before = loader.load()
    open_folder.manifests.chmod(0)
    with as_nobody():
        desired = loader.load()
    open_folder.manifests.chmod(0o755)
    assert (desired.pipelines, desired.complete) == (before.pipelines, False)
    assert "can't be read" in str(desired.diagnostics[0])


def test_of_two_claims_the_live_one_stays(folder: Folder) -> None:
    folder.write("b.yaml", pipeline("voice"))
    before = folder.converge()
    folder.write("a.yaml", pipeline("voice", spec="  suspend: true\n"))
    for _ in range(2):
        after = folder.converge()
        assert after.pipelines == before.pipelines
        assert folder.lines(after) == [
            'a.yaml:3:18: metadata.name: the pipeline "voice" is also in b.yaml:3, which keeps it; rename one'
        ]
        assert not after.complete
    folder.remove("b.yaml")
    moved = folder.converge()
    assert moved.pipelines[0].suspend
    assert (moved.complete, moved.diagnostics) == (True, ())


def test_of_two_new_claims_the_first_by_path_is_taken(folder: Folder) -> None:
    folder.write("b.yaml", pipeline("voice", spec="  suspend: true\n"))
    folder.write("a.yaml", pipeline("voice"))
    desired = folder.converge()
    assert [str(each.origin.path) for each in desired.pipelines] == [f"{folder.manifests}/a.yaml"]
    assert [each.origin.path for each in desired.diagnostics] == [f"{folder.manifests}/b.yaml"]


def test_a_claim_of_a_file_that_is_broken_now_still_counts(folder: Folder) -> None:
    """A was renamed to a name that B has, and C now has A's old name: A goes on as it was, and C waits."""
    folder.write("a.yaml", pipeline("a"))
    folder.write("b.yaml", pipeline("b"))
    before = folder.converge()
    folder.write("a.yaml", pipeline("b"))
    folder.write("c.yaml", pipeline("a"))
    after = folder.converge()
    assert after.pipelines == before.pipelines
    assert sorted(Path(each.origin.path).name for each in after.diagnostics) == ["a.yaml", "c.yaml"]


def test_sessions_are_claimed_like_pipelines(folder: Folder) -> None:
    folder.write("a.yaml", pipeline() + "---\n" + session("mine", "voice"))
    folder.write("b.yaml", session("mine", "voice"))
    desired = folder.converge()
    assert [(each.name, each.kind) for each in desired.sessions] == [("mine", "declared"), ("voice", "standing")]
    assert len(desired.diagnostics) == 1


def test_a_session_whose_pipeline_went_says_so(folder: Folder) -> None:
    folder.write("a.yaml", pipeline())
    folder.write("b.yaml", session("mine", "voice"))
    folder.converge()
    folder.remove("a.yaml")
    desired = folder.converge()
    assert desired.sessions == ()
    assert folder.lines(desired) == [
        'b.yaml:4:18: spec.pipeline: there is no pipeline "voice", pipelines here: nothing'
    ]


def test_loading_writes_nothing(folder: Folder) -> None:
    folder.write("voice.yaml", pipeline())
    before = sorted(folder.root.rglob("*"))
    folder.loader().load()
    assert sorted(folder.root.rglob("*")) == before


def test_keeping_twice_writes_once(folder: Folder) -> None:
    folder.write("voice.yaml", pipeline())
    loader = folder.loader()
    loader.load()
    loader.keep()
    (kept,) = folder.paths.manifests.glob("*.json")
    before = kept.stat()
    loader.load()
    loader.keep()
    assert kept.stat() == before


def test_without_manifests_the_kept_ones_are_all(folder: Folder) -> None:
    folder.write("voice.yaml", pipeline())
    before = folder.converge()
    known = Loader(folder.paths, None)
    assert known.load() == before
    known.keep()
    assert known.load() == before


def test_another_place_forgets_the_old_one_only_when_it_was_seen(folder: Folder) -> None:
    folder.write("voice.yaml", pipeline())
    folder.converge()
    missing = Loader(folder.paths, folder.root / "typo")
    assert not missing.load().complete
    missing.keep()
    assert names(Loader(folder.paths, None).load()) == ["voice"]
    other = Folder(folder.root / "other")
    other.write("x.yaml", pipeline("x"))
    there = Loader(folder.paths, other.manifests)
    assert names(there.load()) == ["x"]
    there.keep()
    assert names(Loader(folder.paths, None).load()) == ["x"]


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"path": 3}', "[" * 100_000, "\x00"])
def test_a_damaged_last_good_version_stops_pruning_until_it_is_replaced(folder: Folder, damage: str) -> None:
    folder.write("a.yaml", pipeline("a"))
    folder.write("b.yaml", pipeline("b"))
    folder.converge()
    folder.write("a.yaml", BROKEN)
    loader = folder.loader()
    loader.load()
    kept = {path: json.loads(path.read_text())["path"] for path in folder.paths.manifests.glob("*.json")}
    (of_a,) = (path for path, key in kept.items() if key.endswith("a.yaml"))
    of_a.write_text(damage)
    desired = folder.converge()
    assert names(desired) == ["b"]
    assert not desired.complete
    assert any(each.origin.path == str(of_a) for each in desired.diagnostics)
    folder.write("a.yaml", pipeline("a"))
    repaired = folder.converge()
    assert (names(repaired), repaired.complete, repaired.diagnostics) == (["a", "b"], True, ())
    assert folder.converge().complete


def test_a_kept_version_of_an_older_program_is_read_with_defaults(folder: Folder) -> None:
    folder.write("voice.yaml", pipeline())
    before = folder.converge()
    (kept,) = folder.paths.manifests.glob("*.json")
    raw = json.loads(kept.read_text())
    raw["form"] = "0/older"
    raw["unknown"] = 1
    for made in raw["pipelines"]:
        del made["suspend"]
        made["from the future"] = {}
    kept.write_text(json.dumps(raw))
    folder.write("voice.yaml", BROKEN)
    assert folder.converge().pipelines == before.pipelines


def test_a_state_directory_that_can_not_be_written_says_so(folder: Folder) -> None:
    folder.write("voice.yaml", pipeline())
    folder.paths.state.parent.mkdir(exist_ok=True)
    folder.paths.state.write_text("a file")
    loader = folder.loader()
    loader.load()
    with pytest.raises(StateError, match="--state-dir"):
        loader.keep()
