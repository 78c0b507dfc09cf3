"""What must be true whatever happens, on the real engine: broken edits, kills in the middle, history that is lost."""

from __future__ import annotations

import os
import shutil
import signal
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.drifting import REPAIRED_S, World
from tests.support.place import eventually
from tests.support.world import conditions, containers, is_ready, published, running, started_at

if TYPE_CHECKING:
    import docker

    from tests.support.place import Place


def _told(place: Place) -> dict[tuple[str, str, str], Any]:
    """Return every condition whole but for those of what was accepted."""
    return {
        (status["kind"], status["name"], found["type"]): found
        for status in published(place)
        for found in status["conditions"]
        if found["type"] != "Accepted"
    }


def test_a_broken_edit_changes_nothing_but_accepted(world: World) -> None:
    """Not the containers, not a file that nodes or programs read, not a word of another condition."""
    place, good = world.place, world.manifest.read_text()
    before, started, snapshots = _told(place), started_at(world.engine, place), list(place.paths.sources.iterdir())
    files = {path: path.stat().st_mtime_ns for path in place.paths.runtime.glob("*/**/*s.json")}
    assert len(files) >= 2
    for bad in (good.replace("nodeType", "nodTyp"), "a: [b\n", "", good.replace("Pipeline", "Pipe")):
        world.manifest.write_text(bad)
        eventually(lambda: conditions(place, "Pipeline", "Accepted")["echo"]["status"] == "False", within_s=REPAIRED_S)
        assert _told(place) == before
        world.manifest.write_text(good)
        eventually(lambda: conditions(place, "Pipeline", "Accepted")["echo"]["status"] == "True", within_s=REPAIRED_S)
    assert _told(place) == before
    assert started_at(world.engine, place) == started
    assert list(place.paths.sources.iterdir()) == snapshots
    unread = {path: at_ns for path, at_ns in files.items() if path.name != "status.json"}  # nodes count in those
    assert {path: path.stat().st_mtime_ns for path in unread} == unread
    world.works()


TWO = """
apiVersion: reconciler.dev/v1alpha1
kind: Pipeline
metadata: {name: echo}
spec:
  nodes:
    - {id: right, nodeType: echo:Echo, source: ./nodes, docker: {pythonVersion: "3.11"}}
    - {id: edited, nodeType: echo:Echo, source: ./edited, docker: {pythonVersion: "3.11"}}
  connections:
    - {from: right, to: edited}
"""


@pytest.mark.parametrize("state", ["created", "running"])
def test_a_rollout_cut_off_by_a_kill_ends_where_it_was_to_end(
    place: Place, client: docker.APIClient, state: str
) -> None:
    """Killed when the new container is there, or runs; the next controller restarts nothing that is right."""
    example = place.copy("echo")
    shutil.copytree(example / "nodes", example / "edited")
    code = example / "edited" / "echo.py"
    code.write_text(f"{code.read_text()}\n\nEDITED = False\n")  # equal code would share a container
    (example / "echo.yaml").write_text(TWO)
    controller = place.watch()
    eventually(lambda: is_ready(place), within_s=240)
    before = started_at(client, place)
    assert len(before) == 2
    code.write_text(code.read_text().replace("EDITED = False", "EDITED = True"))
    seen = containers if state == "created" else running
    eventually(lambda: len(seen(client, place)) == 3, within_s=REPAIRED_S, every_s=0.001)
    os.kill(controller.pid, signal.SIGKILL)
    controller.wait()
    new = started_at(client, place).items() - before.items()
    place.watch()

    def ended() -> bool:
        there = containers(client, place)
        return len(there) == 2 and {c["State"] for c in there} == {"running"} and is_ready(place)

    eventually(ended, within_s=60)
    after = started_at(client, place)
    assert len(after.items() & before.items()) == 1
    assert new <= after.items()
    # What the old version leaves beside its container goes after that.
    diff = ("diff", "-f", str(place.manifests))
    eventually(lambda: place.reconcile(*diff).stdout == "no difference\n", within_s=REPAIRED_S)
    World(place, client, controller).works()


def test_a_journal_that_is_lost_or_damaged_costs_history_only(world: World) -> None:
    """While the controller writes to it, and when it starts."""
    path = world.place.paths.journal
    before = world.seen()
    for damage in (path.unlink, lambda: path.write_bytes(b"no database" * 999)):
        damage()
        world.before = 0  # it starts afresh
        world.engine.kill(before["Id"])
        world.repaired("container ended with exit code 137")
    started = world.seen()["State"]["StartedAt"]
    for damage in (path.unlink, lambda: path.write_bytes(b"no database" * 999)):
        world.down_with_the_controller()
        damage()
        world.up_again()
        eventually(world.ready, within_s=REPAIRED_S)
        world.works()
    assert world.seen()["State"]["StartedAt"] == started
