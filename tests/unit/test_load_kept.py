"""A pipeline that asks to be kept outlives its manifest, and nothing else does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from reconciler.plan.plan import plan
from tests.support.manifests import Folder, pipeline, session
from tests.support.worlds import BARE

if TYPE_CHECKING:
    from pathlib import Path

    from reconciler.model.desired import Desired


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def kept(name: str, value: str = "disabled") -> str:
    found = f"metadata: {{name: {name}"
    return pipeline(name).replace(found, f"{found}, annotations: {{reconciler.dev/prune: {value}}}")


def names(desired: Desired) -> list[str]:
    return [found.name for found in desired.pipelines]


def test_a_pipeline_outlives_its_manifest_through_restarts(folder: Folder) -> None:
    folder.write("voice.yaml", kept("voice"))
    folder.write("other.yaml", pipeline("other"))
    before = folder.converge()
    assert before.kept == frozenset()
    folder.remove("voice.yaml")
    for _ in range(3):
        after = folder.converge()
        assert (after.pipelines, after.sessions) == (before.pipelines, before.sessions)
        assert (after.kept, after.complete, after.diagnostics) == ({"voice"}, True, ())


def test_conditions_say_that_it_is_kept(folder: Folder) -> None:
    folder.write("voice.yaml", kept("voice"))
    folder.write("other.yaml", pipeline("other"))
    folder.converge()
    folder.remove("voice.yaml")
    accepted = {s.name: s.condition("Accepted") for s in plan(folder.converge(), BARE).statuses if s.kind == "Pipeline"}
    assert [(name, found.status, found.reason) for name, found in accepted.items() if found] == [
        ("other", "True", "Yes"),
        ("voice", "True", "Kept"),
    ]


@pytest.mark.parametrize("value", ["enabled", "false", "''"])
def test_another_word_keeps_nothing(folder: Folder, value: str) -> None:
    folder.write("voice.yaml", kept("voice", value))
    folder.write("other.yaml", pipeline("other"))
    folder.converge()
    folder.remove("voice.yaml")
    assert names(folder.converge()) == ["other"]


def test_what_a_file_loses_is_kept_beside_what_it_has(folder: Folder) -> None:
    folder.write("all.yaml", f"{kept('a')}---\n{pipeline('b')}---\n{session('desk', 'a')}")
    folder.converge()
    folder.write("all.yaml", f"{pipeline('c')}---\n{session('desk', 'a')}")
    for _ in range(2):
        desired = folder.converge()
        assert names(desired) == ["a", "c"]
        assert {found.name for found in desired.sessions} == {"a", "c", "desk"}
        assert desired.diagnostics == ()


@pytest.mark.parametrize("place", ["voice.yaml", "moved.yaml"])
def test_a_manifest_of_the_name_takes_over_and_can_then_go(folder: Folder, place: str) -> None:
    folder.write("voice.yaml", kept("voice"))
    folder.write("other.yaml", pipeline("other"))
    folder.converge()
    folder.remove("voice.yaml")
    folder.converge()
    folder.write(place, pipeline("voice"))
    desired = folder.converge()
    assert (names(desired), desired.kept, desired.diagnostics) == (["other", "voice"], frozenset(), ())
    folder.remove(place)
    assert names(folder.converge()) == ["other"]


def test_a_file_in_place_of_the_directory_removes_nothing_unless_it_is_meant(folder: Folder) -> None:
    folder.write("voice.yaml", pipeline())
    folder.converge()
    folder.manifests.rename(folder.root / "aside")
    folder.manifests.write_text(pipeline("single").replace("{id: a,", "{id: a, source: aside/nodes,"))
    desired = folder.converge()
    assert (names(desired), desired.complete, len(desired.diagnostics)) == (["voice"], False, 1)
    assert names(folder.loader(allow_empty=True).load()) == ["single"]


def test_it_is_kept_when_the_directory_is_emptied_on_purpose(folder: Folder) -> None:
    folder.write("voice.yaml", kept("voice"))
    folder.write("other.yaml", pipeline("other"))
    folder.converge()
    folder.remove("voice.yaml")
    folder.remove("other.yaml")
    loader = folder.loader(allow_empty=True)
    assert names(loader.load()) == ["voice"]
