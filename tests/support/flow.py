"""Pipelines of real containers, and what flows through them."""

from __future__ import annotations

import itertools
import json
import shutil
import time
from typing import TYPE_CHECKING, Any

import iceoryx2 as iox
import numpy as np

from reconciler.contract import env, labels, names
from reconciler.stream import Audio, Frame, Json, Session, Tensor
from tests.support.engine import client
from tests.support.place import REPOSITORY, Place, eventually

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

BUILD_S = 300.0
"""The first run ever builds an image."""

PATIENCE_S = 30.0
RATE = 16_000
CHUNK = 320
"""20 ms of audio."""


class Plant:
    """One instance with a controller that watches, and pipelines that are put there as needed."""

    def __init__(self) -> None:
        self.place = Place()
        self.engine = client()
        shutil.copytree(REPOSITORY / "tests" / "stream" / "nodes", self.place.manifests / "nodes")

    def put(
        self, name: str, *nodes: dict[str, Any], buffer: int = 32, connections: list[dict[str, Any]] | None = None
    ) -> None:
        """Write the manifest of a chain, or as it is connected; a node is its id, its type, and what else it has."""
        chain = [
            {"from": first["id"], "to": second["id"], "buffer": buffer} for first, second in itertools.pairwise(nodes)
        ]
        spec = {
            "nodes": [{"source": "./nodes", **node} for node in nodes],
            "connections": chain if connections is None else connections,
        }
        document = {
            "apiVersion": "reconciler.dev/v1alpha1",
            "kind": "Pipeline",
            "metadata": {"name": name},
            "spec": spec,
        }
        # JSON is YAML.
        (self.place.manifests / f"{name}.yaml").write_text(json.dumps(document))

    def watch(self) -> None:
        """Start the controller and wait until all is ready."""
        self.controller = self.place.watch()
        eventually(self.ready, within_s=BUILD_S)

    def ready(self) -> bool:
        """Whether every pipeline is ready."""
        assert self.controller.poll() is None, self.place.log()[-4000:]
        if not self.place.paths.status.exists():
            return False
        found = [status for status in json.loads(self.place.paths.status.read_text()) if status["kind"] == "Pipeline"]
        good = [any(c["type"] == "Ready" and c["status"] == "True" for c in each["conditions"]) for each in found]
        return len(good) == len(list(self.place.manifests.glob("*.yaml"))) and all(good)

    def open(self, pipeline: str) -> Session:
        """Open a session."""
        return Session.open(
            pipeline,
            timeout_s=PATIENCE_S,
            instance=self.place.instance,
            runtime_dir=self.place.environ[env.RUNTIME_DIR],
        )

    def containers(self, pipeline: str) -> dict[str, dict[str, Any]]:
        """Return the running containers of a pipeline by node id."""
        wanted = [f"{labels.INSTANCE}={self.place.instance}", f"{labels.PIPELINE}={pipeline}"]
        found = self.engine.containers(filters={"label": wanted})
        return {each["Labels"][labels.NODE]: each for each in found}

    def kill(self, pipeline: str, node: str) -> None:
        """Kill the container of a node."""
        self.engine.kill(self.containers(pipeline)[node]["Id"])

    def told(self, prefix: str) -> list[tuple[str, float, str]]:
        """Return what was ever said about objects: the rest of their name, when, and what."""
        events = [event for event in self.place.events() if event.object.startswith(prefix)]
        return [(event.object.removeprefix(prefix), event.at_s, event.message) for event in events]

    def who_has_open(self) -> dict[str, set[str]]:
        """Return, for every service, the names of the iceoryx2 nodes that have it open."""
        config = iox.config.default()
        config.global_cfg.prefix = iox.FileName.new(names.shm_prefix(self.place.instance))
        config.global_cfg.root_path = iox.Path.new(str(self.place.paths.shm_root))
        return {
            service.name().to_string(): {node[0].details.name.as_str() for node in service.nodes() if node[0].details}
            for service in iox.Service.list(config, iox.ServiceType.Ipc)
        }

    def usage(self, container: dict[str, Any]) -> tuple[int, float]:
        """Return a container's bytes of memory and seconds of CPU, as the kernel counts them."""
        stats = self.engine.stats(container["Id"], stream=False, one_shot=True)
        return stats["memory_stats"]["usage"], stats["cpu_stats"]["cpu_usage"]["total_usage"] / 1e9

    def close(self) -> None:
        """End everything."""
        self.engine.close()
        self.place.close()


def docker_node(id_: str, kind: str, *, python: str = "3.11", **params: Any) -> dict[str, Any]:
    """Return a node in a container without network, and of its own: equal ones would be shared but for `env`."""
    docker_ = {"pythonVersion": python, "env": {"NODE": id_}, "network": "none"}
    return {"id": id_, "nodeType": f"flow:{kind}", "params": params, "docker": docker_}


def host_node(id_: str, kind: str, **params: Any) -> dict[str, Any]:
    """Return a node in a process of the host."""
    return {"id": id_, "nodeType": f"flow:{kind}", "params": params}


def audio(seconds: float, *, seed: int = 1) -> Iterator[Audio]:
    """Return noise in frames of 20 ms, the same for the same seed."""
    random = np.random.default_rng(seed)
    for number in range(int(seconds * RATE / CHUNK)):
        samples = random.standard_normal(CHUNK, dtype=np.float32)
        yield Audio(samples, RATE, timestamp_ns=number * CHUNK * 1_000_000_000 // RATE, metadata={"seed": seed})


def paced(frames: Iterable[Audio]) -> Iterator[Audio]:
    """Hand out frames at the speed of the microphone that would have recorded them."""
    begun = time.monotonic()
    for frame in frames:
        time.sleep(max(begun + frame.timestamp_ns / 1e9 - time.monotonic(), 0.0))
        yield frame


def key(frame: Frame) -> tuple[Any, ...]:
    """Return all of a frame that must arrive as it was sent, but for the metadata."""
    if isinstance(frame, Audio):
        return ("audio", frame.timestamp_ns, frame.rate, frame.samples.tobytes())
    if isinstance(frame, Tensor):
        return ("tensor", frame.timestamp_ns, frame.array.dtype.str, frame.array.shape, frame.array.tobytes())
    assert isinstance(frame, Json), frame
    return ("json", frame.timestamp_ns, json.dumps(frame.value))
