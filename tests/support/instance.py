"""One instance's runtime directory with real node processes in it, and proof that nothing is left of it."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import IO, TYPE_CHECKING

from reconciler.contract import doorbell, env, files, names, paths
from reconciler.contract.files import Assignments, Channel, Endpoints, Served
from reconciler.contract.watch import Watch
from reconciler.shm import Shm
from reconciler.stream.channel import Domain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

REPOSITORY = Path(__file__).parents[2]
PATIENCE_S = 20.0


class Instance:
    """Writes by hand what a controller would write, and starts what it would start."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.paths = paths.resolve(
            instance=f"test-{secrets.token_hex(4)}",
            runtime_dir=str(directory),
            state_dir=str(directory / "state"),
            environ={},
        )
        self.prefix = names.shm_prefix(self.paths.instance)
        self.shm = Shm(str(self.paths.shm_root), self.prefix)
        self.programs: list[subprocess.Popen[str]] = []
        for each in (self.paths.sessions, self.paths.endpoints, self.paths.nodes, self.paths.shm_root):
            each.mkdir(parents=True)

    @property
    def environ(self) -> dict[str, str]:
        """What a client program needs to find this instance."""
        return {env.INSTANCE: self.paths.instance, env.RUNTIME_DIR: str(self.directory)}

    def domain(self, name: str = "test") -> Domain:
        """Return an iceoryx2 node of this program's own."""
        return Domain(self.paths.shm_root, self.prefix, name)

    def start_node(
        self,
        node_type: str,
        source: Path,
        *,
        node: str = "",
        python: str = sys.executable,
        environ: dict[str, str] | None = None,
        stdout: int | IO[bytes] = subprocess.PIPE,
    ) -> subprocess.Popen[str]:
        """Start a node instance."""
        name = f"rc-{self.paths.instance}-{node or node_type.lower()}"
        self.paths.node(name).mkdir(exist_ok=True)
        return self.start_program(
            [python, "-m", "reconciler.node", "--instance", self.paths.instance, "--name", name],
            {
                env.NODE_NAME: name,
                env.NODE_DIR: str(self.paths.node(name)),
                env.NODE_TYPE: node_type,
                env.SOURCE_DIR: str(source),
                env.SHM_ROOT: str(self.paths.shm_root),
                env.SHM_PREFIX: self.prefix,
                **(environ or {}),
            },
            stdout=stdout,
        )

    def start_program(
        self, argv: Sequence[str], environ: dict[str, str], *, stdout: int | IO[bytes] = subprocess.PIPE
    ) -> subprocess.Popen[str]:
        """Start a program that can import this project."""
        log = (self.directory / f"log-{len(self.programs)}").open("w+")
        program = subprocess.Popen(
            argv,
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(REPOSITORY), "PYTHONUNBUFFERED": "1", **environ},
            stdout=stdout,
            stdin=subprocess.PIPE,
            stderr=log,
            text=True,
        )
        log.close()
        self.programs.append(program)
        return program

    def log(self, program: subprocess.Popen[str]) -> str:
        """Return what a program wrote to stderr."""
        return (self.directory / f"log-{self.programs.index(program)}").read_text()

    def assign(self, name: str, *served: Served, leaving: tuple[Served, ...] = ()) -> str:
        """Write a node instance's assignments; a new generation every time, which is returned."""
        directory = self.paths.node(f"rc-{self.paths.instance}-{name}")
        directory.mkdir(exist_ok=True)
        document = Assignments(directory.name, secrets.token_hex(6), served, leaving)
        files.replace_text(directory / "assignments.json", files.dump(document))
        doorbell.ring(directory)
        return document.generation

    def status(self, name: str) -> files.Status | None:
        """Read a node instance's status."""
        text = files.read_text(self.paths.node(f"rc-{self.paths.instance}-{name}") / "status.json")
        return None if text is None else files.parse_status(text)

    def await_status(self, name: str, fits: Callable[[files.Status], bool]) -> files.Status:
        """Wait until a node instance says what is expected."""
        watch = Watch(self.paths.node(f"rc-{self.paths.instance}-{name}"))
        deadline = time.monotonic() + PATIENCE_S
        try:
            while True:
                status = self.status(name)
                if status is not None and fits(status):
                    return status
                logs = "\n".join(self.log(program) for program in self.programs)
                assert time.monotonic() < deadline, f"{name} says {status}\n{logs}"
                watch.wait(1.0)
        finally:
            watch.close()

    def await_ready(self, name: str, *sessions: str) -> None:
        """Wait until a node instance serves sessions."""
        ready = set(sessions)
        self.await_status(name, lambda status: {s.session for s in status.sessions if s.state == "ready"} >= ready)

    def await_left(self, name: str, generation: str) -> None:
        """Wait until a node instance has taken in assignments and serves nothing any more."""
        self.await_status(name, lambda status: status.generation == generation and not status.sessions)

    def publish(self, endpoints: Endpoints) -> None:
        """Write where a session begins and ends."""
        files.replace_text(self.paths.endpoints / f"{endpoints.session}.json", files.dump(endpoints))

    def end(self, program: subprocess.Popen[str]) -> int:
        """End a program in good order and return its exit code."""
        program.terminate()
        return program.wait(PATIENCE_S)

    def close(self) -> None:
        """End what runs, sweep after the killed, and prove that nothing is left."""
        for program in self.programs:
            if program.poll() is None:
                program.terminate()
        for program in self.programs:
            try:
                program.wait(PATIENCE_S)
            except subprocess.TimeoutExpired:
                program.kill()
                program.wait()
            for pipe in (program.stdout, program.stdin):
                if pipe is not None:
                    with contextlib.suppress(BrokenPipeError):
                        pipe.close()
        nodes, _ = self.shm.look()
        assert [node for node in nodes if not node.dead] == []
        self.shm.remove_dead_nodes(tuple(node.id for node in nodes))
        self.shm.tidy()
        assert self.shm.look() == ((), ())
        assert self.shm.files() == (0, 0)
        assert sorted(path.name for path in self.paths.shm_root.rglob("*") if path.is_file()) == []
        self.shm.forget()

    def abandon(self) -> None:
        """Reclaim what can be reclaimed after a failed test, too: nobody could once the root directory is gone."""
        for program in self.programs:
            if program.poll() is None:
                program.kill()
                program.wait()
        nodes, _ = self.shm.look()
        self.shm.remove_dead_nodes(tuple(node.id for node in nodes if node.dead))


@contextlib.contextmanager
def fresh_instance() -> Iterator[Instance]:
    """Make an instance, and prove afterwards that nothing of it is left in shared memory."""
    directory = Path(tempfile.mkdtemp(prefix="rc-", dir="/tmp"))
    instance = Instance(directory)
    try:
        yield instance
        instance.close()
    finally:
        instance.abandon()
        shutil.rmtree(directory)


def chain(session: str, *nodes: str, buffer: int = 32, pipeline: str = "") -> tuple[list[Served], Endpoints]:
    """Return what serves a chain of nodes, and where it begins and ends."""
    links = [Channel(names.input_channel(session, nodes[0]), buffer=buffer, subscribers=3, readers=(nodes[0],))]
    for node, reader in zip(nodes, [*nodes[1:], ""], strict=True):
        name = names.output_channel(session, node)
        links.append(Channel(name, node, buffer=buffer, subscribers=3, readers=(reader,)))
    served = [
        Served(session, pipeline or session, node, "{}", (links[index],), (links[index + 1],))
        for index, node in enumerate(nodes)
    ]
    ends = Endpoints(session, pipeline or session, ready=True, inputs=(links[0],), outputs=(links[-1],))
    return served, ends


def with_params(served: Served, params: str) -> Served:
    """Return a served session with other parameters."""
    return replace(served, params=params)
