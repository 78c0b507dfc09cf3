"""BY-03 on the real engine: what vanished, can't be read or was emptied by accident takes nothing away."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from tests.support.place import eventually
from tests.support.world import conditions, containers, is_ready, running, started_at

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import docker

    from tests.support.place import Place, Run


def _remove(place: Place) -> None:
    shutil.rmtree(place.manifests)


def _empty(place: Place) -> None:
    shutil.rmtree(place.manifests / "echo")


def _put_a_file_in_its_place(place: Place) -> None:
    shutil.rmtree(place.manifests)
    place.manifests.write_text("")


def _make_a_loop(place: Place) -> None:
    shutil.rmtree(place.manifests)
    place.manifests.symlink_to(place.manifests)


@pytest.mark.parametrize("spoil", [_remove, _empty, _make_a_loop, _put_a_file_in_its_place])
def test_a_directory_that_is_not_what_it_was_at_the_first_look_removes_nothing(
    place: Place, client: docker.APIClient, spoil: Callable[[Place], None]
) -> None:
    place.copy("echo")
    assert place.once().returncode == 0
    before = started_at(client, place)
    spoil(place)
    for _ in range(2):  # the last good versions outlive the first controller that misses them
        said = place.once()
        assert said.returncode == 2, said.stderr
        assert str(place.manifests) in said.stderr
        assert started_at(client, place) == before
    assert place.reconcile("diff", "-f", str(place.manifests)).stdout == "no difference\n"


def test_an_empty_directory_can_be_meant(place: Place, client: docker.APIClient) -> None:
    place.copy("echo")
    assert place.once().returncode == 0
    _empty(place)
    assert place.once().returncode == 2
    assert len(running(client, place)) == 2
    assert _allowing_empty(place).returncode == 0
    assert not containers(client, place)


def _allowing_empty(place: Place) -> Run:
    return place.reconcile("--once", "--allow-empty", "-f", str(place.manifests))


def test_a_directory_that_goes_under_our_eyes_removes_nothing_and_one_that_is_emptied_does(
    place: Place, client: docker.APIClient
) -> None:
    example = place.copy("echo")
    place.watch()
    eventually(lambda: is_ready(place), within_s=240)
    before = started_at(client, place)
    aside = place.base / "aside"
    place.manifests.rename(aside)
    eventually(lambda: "nothing is removed" in place.log(), within_s=40)
    place.manifests.mkdir()  # another directory, and an empty one
    eventually(lambda: "there are no manifests" in place.log(), within_s=40)
    assert started_at(client, place) == before
    shutil.copytree(aside, place.manifests, dirs_exist_ok=True)
    _edit(place.manifests / "echo" / "echo.yaml", "name: echo", "name: second")
    eventually(lambda: set(conditions(place, "Pipeline", "Ready")) == {"second"}, within_s=40)
    assert started_at(client, place) == before
    shutil.rmtree(example)
    eventually(lambda: not containers(client, place), within_s=40)


def _edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_a_swapped_link_is_one_revision(place: Place, client: docker.APIClient) -> None:
    """A sync that swaps a link: what is in both revisions is never touched, the rest goes and comes at once."""
    place.copy("echo")
    revisions = place.base / "revisions"
    for name in ("one", "two"):
        shutil.copytree(place.manifests / "echo", revisions / name)
        pipeline = revisions / name / f"{name}.yaml"
        shutil.copy(revisions / name / "echo.yaml", pipeline)
        _edit(pipeline, "name: echo", f"name: {name}")
    shutil.rmtree(place.manifests)
    place.manifests.symlink_to(revisions / "one")
    place.watch()
    eventually(lambda: is_ready(place), within_s=240)
    before = started_at(client, place)
    fresh = place.base / "fresh"
    fresh.symlink_to(revisions / "two")
    fresh.replace(place.manifests)
    eventually(lambda: set(conditions(place, "Pipeline", "Ready")) == {"echo", "two"}, within_s=40)
    eventually(lambda: is_ready(place), within_s=40)
    assert started_at(client, place) == before
    assert [event for event in place.events() if event.reason == "Invalid"] == []


def test_of_two_files_with_one_name_the_live_one_stays(place: Place, client: docker.APIClient) -> None:
    manifest = place.copy("echo") / "echo.yaml"
    assert place.once().returncode == 0
    before = started_at(client, place)
    first = manifest.with_name("aaa.yaml")  # first by path, and yet not the one that lives
    shutil.copy(manifest, first)
    _edit(first, 'pythonVersion: "3.11"', 'pythonVersion: "3.10"')
    said = place.once()
    assert said.returncode == 2
    assert f'{first}:7:9: metadata.name: the pipeline "echo" is also in {manifest}' in said.stderr
    assert started_at(client, place) == before


def test_a_pipeline_that_asks_for_it_is_kept_without_its_manifest(place: Place, client: docker.APIClient) -> None:
    manifest = place.copy("echo") / "echo.yaml"
    _edit(manifest, "  name: echo\n", '  name: echo\n  annotations: {"reconciler.dev/prune": disabled}\n')
    other = manifest.with_name("other.yaml")
    other.write_text(manifest.read_text().replace("name: echo", "name: other").replace("disabled", "enabled"))
    assert place.once().returncode == 0
    before = started_at(client, place)
    text = manifest.read_text()
    manifest.unlink()
    other.unlink()
    said = _allowing_empty(place)
    assert said.returncode == 0, said.stderr
    assert started_at(client, place) == before
    (pipeline,) = place.items("pipelines")
    accepted = next(c for c in pipeline["status"]["conditions"] if c["type"] == "Accepted")
    assert (pipeline["metadata"]["name"], accepted["status"], accepted["reason"]) == ("echo", "True", "Kept")
    manifest.write_text(text.replace("disabled", "enabled"))
    assert place.once().returncode == 0
    assert started_at(client, place) == before
    manifest.unlink()
    assert _allowing_empty(place).returncode == 0
    assert not containers(client, place)


def test_a_look_that_fails_removes_nothing(place: Place, client: docker.APIClient) -> None:
    """Of the engine, and of what programs want: neither is taken for an empty world."""
    place.copy("echo")
    assert place.once().returncode == 0
    before = started_at(client, place)
    _empty(place)
    away = place.reconcile(
        "--once", "--allow-empty", "-f", str(place.manifests), DOCKER_HOST="unix:///nonexistent/docker.sock"
    )
    assert away.returncode == 3
    shutil.rmtree(place.paths.endpoints)
    place.paths.endpoints.write_text("a file where a directory must be")
    blind = place.reconcile("--once", "--allow-empty", "--timeout", "3", "-f", str(place.manifests))
    assert blind.returncode == 1, blind.stderr
    assert str(place.paths.endpoints) in blind.stderr
    assert started_at(client, place) == before
    place.paths.endpoints.unlink()
    assert _allowing_empty(place).returncode == 0
    assert not containers(client, place)
