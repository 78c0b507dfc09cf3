"""A random history on the real engine: two pipelines, a person's hands on all they are made of, and what must follow.

Rule: everything random comes from one seed, so that a history can be told by it. What the engine and the controller
make of it in time is not in our hands.
"""

from __future__ import annotations

import os
import shutil
import signal
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from docker.errors import APIError

from reconciler import sources
from reconciler.process import HostProcesses
from tests.support.place import REPOSITORY, Place
from tests.support.world import conditions, containers

if TYPE_CHECKING:
    import random
    import subprocess
    from collections.abc import Callable, Sequence

    import docker

DOCKER = 'docker: {pythonVersion: "3.11", network: none}'
VERSIONS = (0, 1)


def manifest(name: str, version: int, *, host: bool) -> str:
    """Return a pipeline of one container, and of a host process behind it where `host` says so."""
    source = f"source: ./code{version}"
    last = f"\n    - {{id: last, nodeType: echo:Echo, {source}}}\n  connections: [{{from: echo, to: last}}]"
    return f"""
apiVersion: reconciler.dev/v1alpha1
kind: Pipeline
metadata: {{name: {name}}}
spec:
  nodes:
    - {{id: echo, nodeType: echo:Echo, {source}, {DOCKER}}}{last if host else ""}
"""


@dataclass
class RealHistory:
    """One history: what is wanted, and the hands. `told` is what happened, for the message of a test that fails."""

    place: Place
    engine: docker.APIClient
    random: random.Random
    wanted: dict[str, int] = field(default_factory=dict)
    told: list[str] = field(default_factory=list)
    controller: subprocess.Popen[str] | None = None

    def __post_init__(self) -> None:
        for version in VERSIONS:
            code = self.place.manifests / f"code{version}"
            shutil.copytree(REPOSITORY / "manifests" / "echo" / "nodes", code)
            (code / "version.py").write_text(f"VERSION = {version}\n")
        for name in ("echo", "other"):
            self.edit(name, 0)
        self.start()

    def start(self) -> None:
        """Start the next controller."""
        self.controller = self.place.start("--allow-empty", "-f", str(self.place.manifests))

    def happen(self) -> None:
        """Let one thing happen."""
        happenings: Sequence[Callable[[], object]] = (
            lambda: self.edit(self.random.choice(("echo", "other")), self.random.choice(VERSIONS)),
            lambda: self.take_away(self.random.choice(("echo", "other"))),
            self.kill_controller,
            self.kill_process,
            lambda: self.lose(self.place.paths.nodes.glob("*/*.json")),
            lambda: self.lose(self.place.paths.endpoints.glob("*.json")),
            lambda: self.lose(self.place.paths.sources.glob("*/*.py")),
            lambda: self.on_container("kill"),
            lambda: self.on_container("pause"),
            lambda: self.on_container("stop", timeout=1),
            lambda: self.on_container("remove_container", force=True),
            lambda: self.on_container("rename", f"{self.place.instance}-renamed-{len(self.told)}"),
        )
        self.random.choice(happenings)()

    def edit(self, name: str, version: int) -> None:
        """Ask for a pipeline in a version of its code."""
        self.told.append(f"edit {name} to {version}")
        self.wanted[name] = version
        (self.place.manifests / f"{name}.yaml").write_text(manifest(name, version, host=name == "other"))

    def take_away(self, name: str) -> None:
        """Remove a pipeline's manifest."""
        self.told.append(f"take away {name}")
        self.wanted.pop(name, None)
        (self.place.manifests / f"{name}.yaml").unlink(missing_ok=True)

    def kill_controller(self) -> None:
        """Kill the controller and start the next."""
        assert self.controller is not None
        self.told.append("kill controller")
        self.controller.kill()
        self.controller.wait()
        self.start()

    def kill_process(self) -> None:
        """Kill a host process."""
        for found in HostProcesses().list(self.place.instance)[:1]:
            self.told.append(f"kill process {found.pid}")
            with suppress(ProcessLookupError):
                os.kill(found.pid, signal.SIGKILL)

    def lose(self, paths: Any) -> None:
        """Remove one of some files."""
        found = sorted(paths)
        if found:
            lost: Path = self.random.choice(found)
            self.told.append(f"lose {lost.relative_to(self.place.base)}")
            lost.unlink(missing_ok=True)

    def on_container(self, verb: str, *arguments: object, **options: object) -> None:
        """Do something to a container, by the engine's own client; it may have gone meanwhile."""
        found = sorted(containers(self.engine, self.place), key=lambda container: str(container["Names"]))
        if found:
            chosen = self.random.choice(found)
            self.told.append(f"{verb} {chosen['Names'][0]}")
            with suppress(APIError):
                getattr(self.engine, verb)(chosen["Id"], *arguments, **options)

    def differences(self) -> list[str]:
        """Return how the world differs from what is wanted, told without the planner."""
        digests = {sources.digest(self.place.manifests / f"code{version}") for version in self.wanted.values()}
        there = containers(self.engine, self.place)
        mounted = [
            Path(m["Source"]).name for c in there for m in c["Mounts"] if m["Destination"] == "/opt/reconciler/source"
        ]
        ready = {
            name for name, found in conditions(self.place, "Pipeline", "Ready").items() if found["status"] == "True"
        }
        processes = HostProcesses().list(self.place.instance)
        names = {c["Names"][0].lstrip("/") for c in there} | {found.name for found in processes}
        pairs = {
            "states": (["running"] * len(digests), [c["State"] for c in there]),
            "code in containers": (sorted(digests), sorted(mounted)),
            "host processes": (int("other" in self.wanted), len(processes)),
            "ready pipelines": (set(self.wanted), ready),
            "directories": (names, {path.name for path in self.place.paths.nodes.iterdir()}),
            "snapshots": (digests, {path.name for path in self.place.paths.sources.iterdir()}),
            "whole snapshots": (digests, digests & sources.present(self.place.paths.sources)),
            "endpoints": (set(self.wanted), {path.stem for path in self.place.paths.endpoints.iterdir()}),
        }
        return [f"{what} shall be {shall} and are {are}" for what, (shall, are) in pairs.items() if shall != are]
