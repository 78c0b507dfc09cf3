"""The mark that `--once` leaves at rest: it holds while nothing changes, and whatever a look would see ends it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from reconciler.cli.mark import Mark
from reconciler.cli.parser import parse
from reconciler.contract import labels
from reconciler.observe.unchanged import QUIET_S
from tests.support.drifting import DOCKER, MANIFEST
from tests.support.engine import client as past_our_door
from tests.support.place import Place, eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import docker

HEAVY = "reconciler.plan"


class World:
    """A pipeline of one node that `--once` has found at rest, and hands on what it is made of."""

    def __init__(self, place: Place, engine: docker.APIClient) -> None:
        self.place = place
        self.engine = engine
        place.copy("echo")
        self.manifest = place.manifests / "echo" / "echo.yaml"
        self.manifest.write_text(MANIFEST + DOCKER)

    @property
    def container(self) -> dict[str, Any]:
        (found,) = self.engine.containers(all=True, filters={"label": f"{labels.INSTANCE}={self.place.instance}"})
        return dict(found)

    @property
    def node(self) -> Path:
        (found,) = self.place.paths.nodes.iterdir()
        return found

    def once(self) -> tuple[int, bool]:
        """Run `--once`; return its exit code and whether it planned anything, rather than trust the mark."""
        code = (
            "import sys; from reconciler.cli.__main__ import main; code = main()\n"
            f"print({HEAVY!r} in sys.modules); sys.exit(code)"
        )
        done = subprocess.run(
            [sys.executable, "-c", code, "--once", "-f", str(self.place.manifests)],
            env=self.place.environ,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        return done.returncode, done.stdout.strip() == "True"

    def rest(self) -> None:
        """Have a mark left, and see it hold. Who else uses this engine may change its images meanwhile."""

        def holds() -> bool:
            time.sleep(QUIET_S)
            return self.once() == (0, False) and self.holds()

        eventually(holds, within_s=90)

    def holds(self) -> bool:
        """Whether the mark holds now, asked in this process."""
        time.sleep(2 * QUIET_S)
        with pytest.MonkeyPatch.context() as as_a_command:
            for name, value in self.place.environ.items():
                as_a_command.setenv(name, value)
            mark = Mark(parse(["--once", "-f", str(self.place.manifests)]), self.place.paths, self.place.manifests)
            return mark.holds()


@pytest.fixture
def world() -> Iterator[World]:
    place, engine = Place(), past_our_door()
    try:
        yield World(place, engine)
    finally:
        engine.close()
        place.close()


def _code(world: World) -> None:
    path = world.manifest.parent / "nodes" / "echo.py"
    path.write_text(path.read_text() + "\n")


def _snapshot(world: World) -> None:
    (path,) = world.place.paths.sources.glob("*/echo.py")
    path.chmod(0o644)
    path.write_text("")


def _touched(path: Path) -> None:
    os.utime(path, ns=(1, 1))


HANDS: dict[str, Callable[[World], object]] = {
    "manifest edited": lambda world: world.manifest.write_text(MANIFEST),
    "manifest beside it": lambda world: (world.place.manifests / "b.yaml").write_text("kind: x"),
    "code edited": _code,
    "snapshot of code edited": _snapshot,
    "assignments removed": lambda world: (world.node / "assignments.json").unlink(),
    "conditions removed": lambda world: world.place.paths.status.unlink(),
    "endpoints removed": lambda world: next(world.place.paths.endpoints.iterdir()).unlink(),
    "last good version touched": lambda world: _touched(next(world.place.paths.manifests.iterdir())),
    "container killed": lambda world: world.engine.kill(world.container["Id"]),
    "container paused": lambda world: world.engine.pause(world.container["Id"]),
    "container renamed": lambda world: world.engine.rename(world.container["Id"], f"{world.place.instance}-mine"),
    "container removed": lambda world: world.engine.remove_container(world.container["Id"], force=True),
    "limits changed": lambda world: world.engine.update_container(world.container["Id"], mem_limit=96 << 20),
    "network taken away": lambda world: world.engine.disconnect_container_from_network(world.container["Id"], "bridge"),
    "image has another name, too": lambda world: world.engine.tag(world.container["ImageID"], world.place.instance),
}


@pytest.mark.parametrize("hand", HANDS)
def test_a_difference_ends_rest(world: World, hand: str) -> None:
    world.rest()
    HANDS[hand](world)
    try:
        assert not world.holds()
        if "manifest" not in hand:
            assert world.once() == (0, True)
    finally:
        if "image" in hand:
            world.engine.remove_image(world.place.instance, noprune=True)


def test_a_program_that_holds_no_lock_any_more_ends_rest(world: World) -> None:
    """The runtime is killed within its container, which the engine tells of a moment later: its locks are free."""
    world.rest()
    top = world.engine.top(world.container["Id"], ps_args="-o pid,args")
    (pid,) = [int(row[0]) for row in top["Processes"] if "reconciler.node" in row[1] and "init" not in row[1]]
    os.kill(pid, 9)
    assert not world.holds()
