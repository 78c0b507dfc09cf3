"""Which files are manifests, and reading them so that what was read is what was there."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import NoReturn

import pytest

from reconciler.load import Loader, check, reading, sources
from reconciler.load.files import is_settled, look, read
from tests.support.manifests import Folder, pipeline


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def test_which_files_are_manifests(folder: Folder) -> None:
    for name in (
        "b.yaml",
        "a.yml",
        "sub/deep/c.yaml",
        "folder.yaml/d.yaml",
        ".hidden.yaml",
        ".git/config.yaml",
        "e.yaml~",
        ".f.yaml.swp",
        "#g.yaml#",
        "#h.yaml",
        "i.yaml.tmp",
        "j.json",
        "nodes/k.yaml",
        "sub/nodes/l.yaml",
        "__pycache__/m.yaml",
    ):
        folder.write(name, "")
    found = [each.shown.removeprefix(f"{folder.manifests}/") for each in look(folder.manifests).files]
    assert found == ["a.yml", "b.yaml", "folder.yaml/d.yaml", "sub/deep/c.yaml"]


def test_paths_are_told_as_they_were_given(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.write("a.yaml", "kind: x")
    monkeypatch.chdir(folder.root)
    assert str(check(folder.manifests.relative_to(folder.root)).diagnostics[0]).startswith("manifests/a.yaml:1:1: ")


def test_links_that_lead_back_are_followed_once(folder: Folder) -> None:
    folder.write("sub/a.yaml", "")
    (folder.manifests / "sub" / "up").symlink_to(folder.manifests)
    (folder.manifests / "self").symlink_to("self")
    (folder.manifests / "twin").symlink_to("sub")
    found = [each.shown.removeprefix(f"{folder.manifests}/") for each in look(folder.manifests).files]
    assert found == ["sub/a.yaml", "twin/a.yaml"]


def test_folders_nested_beyond_reason_are_said_and_not_followed(folder: Folder) -> None:
    folder.write("/".join(["d"] * 40) + "/a.yaml", "")
    found = look(folder.manifests)
    assert found.files == ()
    assert [why for _, _, why in found.lost] == ["folders nested deeper than 32 levels"]


def test_what_is_no_regular_file_is_said_and_holds_nobody_up(folder: Folder) -> None:
    folder.write("good.yaml", pipeline())
    os.mkfifo(folder.manifests / "pipe.yaml")
    (folder.manifests / "gone.yaml").symlink_to("nowhere")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(folder.manifests / "socket.yaml"))
    (folder.manifests / "null.yaml").symlink_to("/dev/null")
    desired = folder.loader().load()
    listener.close()
    assert [each.name for each in desired.pipelines] == ["voice"]
    assert folder.lines(desired) == [
        "gone.yaml:1:1: is gone, or a link that leads nowhere",
        "null.yaml:1:1: is no regular file",
        "pipe.yaml:1:1: is no regular file",
        "socket.yaml:1:1: can't be read: No such device or address",
    ]


def test_names_that_are_no_text_are_told_on_one_line(folder: Folder) -> None:
    (folder.manifests / os.fsdecode(b"\xff\n.yaml")).write_text("kind: x")
    desired = folder.loader().load()
    assert folder.lines(desired)[0].startswith("\ufffd?.yaml:1:1: ")
    folder.write("a.yaml", pipeline())
    folder.converge()


def test_too_large_a_file_is_not_read_whole(folder: Folder) -> None:
    path = folder.write("a.yaml", "")
    os.truncate(path, 1 << 40)
    assert len(read(str(path), limit=100).data) == 101
    assert "1048576 bytes that are allowed" in folder.lines(folder.loader().load())[0]


def test_an_edit_of_equal_length_in_the_same_tick_is_seen(folder: Folder) -> None:
    folder.write("a.yaml", pipeline(spec="  suspend: true \n"))
    loader = folder.loader()
    assert loader.load().pipelines[0].suspend
    path = folder.manifests / "a.yaml"
    with path.open("r+") as file:  # in place: the same inode, size and, with luck, time
        file.write(pipeline(spec="  suspend: false\n"))
    assert not loader.load().pipelines[0].suspend


def test_what_did_not_change_is_not_opened_again(monkeypatch: pytest.MonkeyPatch) -> None:
    loader = Loader(None, Path(__file__).parents[2] / "manifests")
    before = loader.load()

    def opened(*_: object, **__: object) -> NoReturn:
        raise AssertionError

    monkeypatch.setattr(reading, "read", opened)
    monkeypatch.setattr(sources, "digest", opened)
    monkeypatch.setattr(sources, "read", opened)
    assert loader.load() == before


def test_yaml_that_belongs_to_node_code_is_no_manifest(folder: Folder) -> None:
    folder.write("a.yaml", pipeline(nodes="{id: a, nodeType: 'code:A', source: ./code}"))
    folder.write("code/code.py", "class A: pass\n")
    folder.write("code/settings.yaml", "rate: 16000\n")
    assert folder.loader().load().diagnostics == ()
    folder.write("code/b.yaml", pipeline("b", nodes="{id: a, nodeType: 'code:A', source: .}"))
    desired = folder.loader().load()
    assert [each.name for each in desired.pipelines] == ["b", "voice"]


def test_source_beside_the_manifest_does_not_hide_the_manifest(folder: Folder) -> None:
    folder.write("a.yaml", pipeline(nodes="{id: a, nodeType: 'code:A', source: .}"))
    folder.write("code.py", "class A: pass\n")
    assert [each.name for each in folder.loader().load().pipelines] == ["voice"]


def test_what_was_just_written_may_change_within_a_clock_tick(folder: Folder) -> None:
    path = folder.write("a.yaml", "a")
    content = read(str(path), limit=10)
    assert (content.data, content.settled) == (b"a", False)
    old = (*content.signature[:-2], 1_700_000_000_000_000_000, 1_700_000_000_000_000_000)
    assert is_settled(old)
    assert not is_settled((*old[:-1], content.signature[-1]))
