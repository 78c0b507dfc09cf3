"""A pipeline of one node under a controller, and a person's hands on what it is made of."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from reconciler.contract import env, labels, lock
from reconciler.stream import Session
from tests.support.place import REPOSITORY, Place, end, eventually

if TYPE_CHECKING:
    from pathlib import Path

    import docker

    from reconciler.controller.event import Event

LIMITS = "resourceLimits: {memoryMb: 128, cpuCores: 1.0, pids: 64}"
MANIFEST = """
apiVersion: reconciler.dev/v1alpha1
kind: Pipeline
metadata: {name: echo}
spec:
  nodes:
    - id: echo
      nodeType: echo:Echo
      source: ./nodes
"""
DOCKER = f"""
      docker:
        pythonVersion: "3.11"
        {LIMITS}
"""
REPAIRED_S = 25.0
QUIET_S = 1.0
"""What a controller does is told a moment after it has been done; at rest nothing follows."""


@dataclass(slots=True)
class World:
    """A pipeline of one node under a controller, with a person's hands on the engine.

    Events count after the first `before`: what a pipeline lacks when it is brought up is told in the words of a repair.
    """

    place: Place
    engine: docker.APIClient
    controller: subprocess.Popen[str]
    before: int = 0

    @property
    def manifest(self) -> Path:
        return self.place.manifests / "echo" / "echo.yaml"

    @property
    def directory(self) -> Path:
        """The node instance's own directory."""
        (found,) = self.place.paths.nodes.iterdir()
        return found

    def containers(self) -> list[dict[str, Any]]:
        return self.engine.containers(all=True, filters={"label": f"{labels.INSTANCE}={self.place.instance}"})

    def seen(self) -> dict[str, Any]:
        """Inspect the one container."""
        (found,) = self.containers()
        return self.engine.inspect_container(found["Id"])

    def conditions(self, kind: str = "Pipeline") -> dict[str, dict[str, Any]]:
        path = self.place.paths.status
        statuses = json.loads(path.read_text()) if path.exists() else []
        return {c["type"]: c for status in statuses if status["kind"] == kind for c in status["conditions"]}

    def ready(self) -> bool:
        """Whether the pipeline says it is ready and the one container runs."""
        running = [c["State"] for c in self.containers()] in ([], ["running"])
        return running and self.conditions().get("Ready", {}).get("status") == "True"

    def settle(self) -> None:
        """Wait until nothing more is told, and count only what is told from now on."""

        def quiet() -> bool:
            self.before = len(self.place.events())
            time.sleep(QUIET_S)
            return len(self.place.events()) == self.before

        eventually(quiet, within_s=REPAIRED_S)

    def events(self) -> list[Event]:
        """Return what was told since the world had settled, in the order of the journal."""
        return self.place.events()[self.before :]

    def told(self, cause: str, *, of: str = "") -> bool:
        """Whether an event names a cause, of an object where one is named."""
        return any(cause in event.message and event.object.endswith(of) for event in self.events())

    def repaired(self, cause: str, *, within_s: float = REPAIRED_S) -> None:
        """Wait until a difference was told and is gone, and see frames pass."""
        try:
            eventually(lambda: self.told(cause), within_s=within_s)
            eventually(self.ready, within_s=within_s)
        except AssertionError as error:
            events = [event.message for event in self.events()]
            raise AssertionError(f"{cause}: {events[-12:]} {self.conditions('Node')}") from error
        self.works()

    def works(self) -> None:
        """Send a word through the pipeline."""
        said = subprocess.run(
            self.place._command(("stream", "echo")),
            env=self.place.environ,
            input="hello\n",
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert [json.loads(line)["text"] for line in said.stdout.splitlines()] == ["hello"], said.stderr

    def open(self, *, timeout_s: float = REPAIRED_S) -> Session:
        """Open a session of this program's own."""
        runtime_dir = self.place.environ[env.RUNTIME_DIR]
        return Session.open("echo", timeout_s=timeout_s, instance=self.place.instance, runtime_dir=runtime_dir)

    def down_with_the_controller(self) -> None:
        end(self.controller)

    def up_again(self) -> None:
        """Start the next controller, and wait until it is asked for sessions; before, those that stand are used."""
        self.controller = self.place.watch()
        eventually(lambda: lock.held(self.place.paths.controller), within_s=REPAIRED_S)


def write(place: Place, text: str) -> None:
    """Put the manifest and its code in place."""
    target = place.manifests / "echo"
    shutil.copytree(REPOSITORY / "manifests" / "echo" / "nodes", target / "nodes")
    (target / "echo.yaml").write_text(text)


def up(place: Place, client: docker.APIClient, text: str) -> World:
    """Bring a manifest up under a controller."""
    write(place, text)
    world = World(place, client, place.watch())
    eventually(world.ready, within_s=240)
    world.settle()
    return world
