"""What a manifest's `source` and `nodeType` lead to."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from reconciler.sources import digest
from tests.support.manifests import Folder, pipeline

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def one(folder: Folder, nodes: str) -> list[str]:
    folder.write("voice.yaml", pipeline(nodes=nodes))
    return folder.lines(folder.loader().load())


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("class A: pass", "m:A"),
        ("class A: pass", "A"),
        ("from elsewhere import A", "m:A"),
        ("from elsewhere import B as A", "m:A"),
        ("from elsewhere import *", "m:A"),
        ("A = make()", "m:A"),
        ("A: type = make()", "m:A"),
        ("def A(): pass", "m:A"),
        ("if True:\n    class A: pass", "m:A"),
        ("try:\n    import x\nexcept ImportError:\n    class A: pass", "A"),
        ("class A: pass\n>>> not Python", "m:A"),
        ("class A: pass\nx = '\\d'", "m:A"),
    ],
)
def test_a_class_is_found_without_running_anything(folder: Folder, code: str, kind: str) -> None:
    folder.write("nodes/m.py", f"{code}\n")
    folder.write("nodes/code.py", "raise SystemExit\n")
    assert one(folder, f"{{id: a, nodeType: '{kind}'}}") == []


def test_packages_are_modules_too(folder: Folder) -> None:
    folder.write("nodes/pack/__init__.py", "class Top: pass\n")
    folder.write("nodes/pack/inner.py", "class Inner: pass\n")
    for kind in ("pack:Top", "pack.inner:Inner", "Inner"):
        assert one(folder, f"{{id: a, nodeType: '{kind}'}}") == []
    assert one(folder, "{id: a, nodeType: 'pack.iner:Inner'}") == [
        'voice.yaml:6:25: nodeType of node "a": ./nodes has no module "pack.iner", did you mean "pack.inner"?'
    ]


def test_an_edit_of_code_is_another_digest(folder: Folder) -> None:
    folder.write("voice.yaml", pipeline())
    loader = folder.loader()
    before = loader.load().pipelines[0]
    assert before.nodes[0].source.digest == digest(folder.manifests / "nodes")
    folder.write("nodes/code.py", "class A: pass\n")
    after = loader.load().pipelines[0]
    assert after.nodes[0].source.digest == digest(folder.manifests / "nodes")
    assert after.nodes[0].source.digest != before.nodes[0].source.digest
    assert after.generation != before.generation


def test_an_edit_in_place_of_equal_length_is_seen(folder: Folder) -> None:
    folder.write("voice.yaml", pipeline())
    path = folder.manifests / "nodes/code.py"
    loader = folder.loader()
    for letter in "PQRST":
        path.write_text(f"class A: {letter} = 1\n")
        assert loader.load().pipelines[0].nodes[0].source.digest == digest(path.parent)


def test_what_is_no_code_changes_nothing(folder: Folder) -> None:
    folder.write("voice.yaml", pipeline())
    loader = folder.loader()
    before = loader.load()
    for name in ("nodes/__pycache__/code.pyc", "nodes/.git/HEAD", "nodes/.code.py.swp", "nodes/code.py~"):
        folder.write(name, "x")
    assert loader.load() == before


def test_a_class_that_goes_keeps_the_old_code(folder: Folder) -> None:
    folder.write("voice.yaml", pipeline())
    before = folder.converge()
    folder.write("nodes/code.py", "class Renamed: pass\n")
    after = folder.converge()
    assert after.pipelines == before.pipelines
    assert folder.lines(after) == [
        'voice.yaml:6:25: nodeType of node "a": ./nodes has no class "A" in code.py, names there: Renamed'
    ]


def test_code_that_does_not_parse_is_named_with_its_line(folder: Folder) -> None:
    """Half of it may have been saved; that it has no such class then says little."""
    folder.write("voice.yaml", pipeline())
    folder.write("nodes/code.py", "import os\ndef half(\n")
    (line,) = folder.lines(folder.loader().load())
    assert line.endswith("no class \"A\" in code.py, which is no Python here: line 2: '(' was never closed")
    (bare,) = one(folder, "{id: a, nodeType: A}")
    assert bare.endswith("no class \"A\", and not all of it is Python here: code.py, line 2: '(' was never closed")
    folder.write("nodes/code.py", "class A:\n    match: what a later Python may know\n")
    assert folder.lines(folder.loader().load()) == [], "the node's Python may be another one"


def test_an_image_may_bring_the_code(folder: Folder) -> None:
    assert one(folder, "{id: a, nodeType: Gone, docker: {baseImage: 'x:1'}}") == []
    assert folder.loader().load().pipelines[0].nodes[0].source.digest == ""
    assert one(folder, "{id: a, nodeType: Gone, docker: {volumes: [{hostPath: x, containerPath: /app}]}}") == []
    assert len(one(folder, "{id: a, nodeType: Gone, docker: {}}")) == 1
    assert len(one(folder, "{id: a, nodeType: Gone}")) == 1


def test_paths_are_relative_to_the_manifest(folder: Folder) -> None:
    folder.write("sub/deep/code/code.py", "class A: pass\n")
    docker = "docker: {volumes: [{hostPath: ../data, containerPath: /data}]}"
    folder.write("sub/deep/voice.yaml", pipeline(nodes=f"{{id: a, nodeType: A, source: ./code, {docker}}}"))
    (node,) = folder.loader().load().pipelines[0].nodes
    assert node.source.path == f"{folder.manifests}/sub/deep/code"
    assert node.docker is not None
    assert node.docker.volumes[0].host_path == f"{folder.manifests}/sub/data"


def test_source_that_can_not_be_read_says_why(folder: Folder) -> None:
    folder.write("big/code.py", "class A: pass\n")
    os.truncate(folder.manifests / "big/code.py", 300 << 20)
    (line,) = one(folder, "{id: a, nodeType: A, source: ./big}")
    assert line.startswith('voice.yaml:6:36: source of node "a": ')
    assert "256 MiB" in line


def test_a_named_pipe_in_the_source_holds_nobody_up(folder: Folder) -> None:
    os.mkfifo(folder.manifests / "nodes/pipe.py")
    assert one(folder, "{id: a, nodeType: A}") == []


def test_equal_specs_are_equal_generations_wherever_they_lie(folder: Folder, tmp_path: Path) -> None:
    other = Folder(tmp_path / "other")
    folder.write("voice.yaml", pipeline())
    other.write("other.yaml", "# elsewhere\n" + pipeline("other", spec="  suspend: false\n"))
    mine, theirs = folder.loader().load().pipelines[0], other.loader().load().pipelines[0]
    assert mine.generation == theirs.generation
    other.write("other.yaml", pipeline("other", spec="  suspend: true\n"))
    assert other.loader().load().pipelines[0].generation != mine.generation
