"""A place of one's own: an instance with its own directories, driven by the real command line, gone without a trace."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reconciler.contract import env, names, paths
from reconciler.controller import journal

if TYPE_CHECKING:
    from collections.abc import Callable

    from reconciler.controller.event import Event

REPOSITORY = Path(__file__).parents[2]
SHM = Path("/dev/shm")

Run = subprocess.CompletedProcess[str]


class Place:
    """An instance under a short temporary path, since iceoryx2's root directory must be short."""

    def __init__(self) -> None:
        token = uuid.uuid4().hex[:8]
        self.instance = f"test-{token}"
        self.base = Path(f"/tmp/rc-{token}")
        self.manifests = self.base / "manifests"
        self.manifests.mkdir(parents=True)
        self.environ = {
            **os.environ,
            env.INSTANCE: self.instance,
            env.STATE_DIR: str(self.base / "state"),
            env.RUNTIME_DIR: str(self.base / "run"),
        }
        self.environ.pop(env.MANIFESTS, None)
        self.paths = paths.resolve(environ=self.environ)
        self._programs: list[subprocess.Popen[str]] = []

    def copy(self, example: str) -> Path:
        """Copy an example into the manifests and return its directory."""
        return Path(shutil.copytree(REPOSITORY / "manifests" / example, self.manifests / example))

    def reconcile(self, *arguments: str, timeout_s: float = 300.0, **environ: str) -> Run:
        """Run `reconcile` to its end."""
        return subprocess.run(
            self._command(arguments),
            env={**self.environ, **environ},
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )

    def once(self) -> Run:
        """Converge to the manifests."""
        return self.reconcile("--once", "-f", str(self.manifests))

    def start(self, *arguments: str, stdout: Path = Path(os.devnull)) -> subprocess.Popen[str]:
        """Start `reconcile` in the background; it is ended with the place."""
        with (self.base / f"program-{len(self._programs)}.log").open("w") as log, stdout.open("w") as out:
            program = subprocess.Popen(self._command(arguments), env=self.environ, stdout=out, stderr=log, text=True)
        self._programs.append(program)
        return program

    def watch(self) -> subprocess.Popen[str]:
        """Start a controller that watches the manifests."""
        return self.start("-f", str(self.manifests))

    def items(self, kind: str) -> list[dict[str, Any]]:
        """Return what `get KIND -o json` shows."""
        said = self.reconcile("get", kind, "-f", str(self.manifests), "-o", "json")
        assert said.returncode == 0, said.stderr
        found: list[dict[str, Any]] = json.loads(said.stdout)["items"]
        return found

    def events(self) -> list[Event]:
        """Return all that the journal holds, oldest first; `get events` shows the end of it only."""
        return journal.read(self.paths.journal, last=journal.KEPT_EVENTS)

    def log(self) -> str:
        """Return what the background programs wrote on stderr."""
        return "\n".join(path.read_text() for path in sorted(self.base.glob("program-*.log")))

    def segments(self) -> list[str]:
        """Return the instance's files in shared memory, but for the lock that iceoryx2 keeps for itself."""
        prefix = names.shm_prefix(self.instance)
        return [path.name for path in SHM.glob(f"{prefix}*") if not path.name.endswith(".global_mgmt")]

    def close(self) -> None:
        """End what was started, take everything down, and see that nothing is left."""
        try:
            for program in self._programs:
                end(program)
            down = self.reconcile("down")
            assert down.returncode == 0, down.stderr
            assert self.segments() == []
            assert list(SHM.glob(f"{names.shm_prefix(self.instance)}*")) == []
        finally:
            shutil.rmtree(self.base, ignore_errors=True)

    def _command(self, arguments: tuple[str, ...]) -> list[str]:
        return [sys.executable, "-m", "reconciler.cli", *arguments]


def unique(package: str) -> str:
    """Return a requirement that means the package and that no other test asks for, so that its image is not there yet.

    Environment images are shared by all instances of an engine.
    """
    return f"{package}!=9999.{uuid.uuid4().int % 10**9}"


def lying(root: Path) -> dict[Path, os.stat_result]:
    """Return all that lies below a directory. Programs are at work there: what goes while one looks is left out."""
    found = {}
    for folder, folders, files in os.walk(root):
        for path in (Path(folder, name) for name in (*folders, *files)):
            with contextlib.suppress(FileNotFoundError):
                found[path] = path.lstat()
    return found


def end(program: subprocess.Popen[str]) -> int:
    """Ask a program to end, and wait for it."""
    if program.poll() is None:
        program.terminate()
    try:
        program.communicate(timeout=30)
    except subprocess.TimeoutExpired:
        program.kill()
        program.communicate()
        raise
    return program.returncode


def eventually(happens: Callable[[], object], *, within_s: float, every_s: float = 0.05) -> float:
    """Wait until something holds and return how long it took; what it last was is in the error."""
    started = time.monotonic()
    last: object = None
    while (took := time.monotonic() - started) < within_s:
        last = happens()
        if last:
            return took
        time.sleep(every_s)
    msg = f"did not happen within {within_s} s; last seen: {last!r}"
    raise AssertionError(msg)
