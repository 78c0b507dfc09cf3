"""A pipeline whose nodes are killed and replaced while streams flow through it, one thing after the other."""

from __future__ import annotations

import json
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tests.support.flow import BUILD_S, PATIENCE_S, Plant, audio, docker_node, host_node, key
from tests.support.marathon import stream
from tests.support.place import eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator

    from reconciler.stream import Audio

NAME = "edited"


class Edited:
    """Three nodes in a row that change each frame, some of them host processes; their versions are edited."""

    def __init__(self, plant: Plant, *, on_host: Collection[int] = ()) -> None:
        self.plant = plant
        self._on_host = on_host
        self._versions = [0, 0, 0]
        self.write()

    def write(self) -> None:
        """Put the manifest as its nodes are now; a version is another variable, or another directory of source."""
        self.plant.put(NAME, *(self._host(n) if n in self._on_host else self._docker(n) for n in range(3)), buffer=8)

    def _docker(self, n: int) -> dict[str, Any]:
        node = docker_node(f"gain{n}", "Gain", gain=1 + n / 8)
        node["docker"]["env"]["VERSION"] = str(self._versions[n])
        return node

    def _host(self, n: int) -> dict[str, Any]:
        folder = f"./source-{n}-{self._versions[n]}/nodes"
        source = self.plant.place.manifests / folder
        if not source.exists():
            shutil.copytree(self.plant.place.manifests / "nodes", source)
            (source / "version.py").write_text(f"VERSION = {self._versions[n]}\n")
        return {**host_node(f"gain{n}", "Gain", gain=1 + n / 8), "source": folder}

    def serving(self) -> dict[str, str]:
        """Return which instance serves which node, as the controller says."""
        found = json.loads(self.plant.place.paths.status.read_text())
        return {
            s["name"].partition("/")[2]: s["instance"] for s in found if s["kind"] == "Node" and s["pipeline"] == NAME
        }

    def edit(self, *nodes: int) -> None:
        """Give nodes a new version."""
        for n in nodes:
            self._versions[n] += 1
        self.write()

    def replace(self, *nodes: int) -> None:
        """Give nodes a new version, and wait until the old ones are gone."""
        before = self.serving()
        self.edit(*nodes)
        eventually(lambda: self.is_replaced(before, *nodes), within_s=BUILD_S)

    def is_replaced(self, before: dict[str, str], *nodes: int) -> bool:
        """Whether other instances serve some nodes, all are ready, and the old ones have left nothing."""
        old = {before[f"gain{n}"] for n in nodes}
        left = {path.name for path in self.plant.place.paths.nodes.iterdir()}
        return not old & (set(self.serving().values()) | left) and self.plant.ready()

    def kill(self, node: int) -> None:
        """Kill a container, and wait until it is back."""
        (container,) = [c for name, c in self.plant.containers(NAME).items() if name == f"gain{node}"]
        self.plant.engine.kill(container["Id"])
        eventually(lambda: self._is_back(container["Id"]), within_s=PATIENCE_S)

    def _is_back(self, container: str) -> bool:
        found = self.plant.engine.inspect_container(container)["State"]
        return bool(found["Running"]) and self.plant.ready()


def undisturbed_whatever_happens(plant: Plant, things: Iterable[Callable[[], object]], *, sessions: int) -> int:
    """Stream through several sessions while one thing after the other happens; what arrives must equal a quiet run.

    Returns how many frames each session carried at least.
    """
    done = threading.Event()

    def until_done(seed: int) -> Iterator[Audio]:
        for frame in audio(36_000, seed=seed):
            yield frame
            if done.is_set():
                return

    def run(mine: int) -> list[tuple[Any, ...]]:
        with plant.open(NAME) as session:
            return [key(frame) for frame in stream(session, until_done(mine))]

    with ThreadPoolExecutor() as pool:
        flowing = [pool.submit(run, mine) for mine in range(sessions)]
        try:
            for thing in things:
                thing()
        finally:
            done.set()
    arrived = [each.result() for each in flowing]
    for mine, frames in enumerate(arrived):
        assert frames == [key(frame) for frame in quiet(mine, len(frames))], f"session {mine} differs"
    return min(len(frames) for frames in arrived)


def quiet(seed: int, count: int) -> Iterator[Audio]:
    """Return what the three nodes make of audio, computed here."""
    for frame, _ in zip(audio(36_000, seed=seed), range(count), strict=False):
        samples = frame.samples
        for n in range(3):
            samples = samples * (1 + n / 8)
        yield replace(frame, samples=samples)
