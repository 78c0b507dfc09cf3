"""A second Docker daemon that a test may kill: it can't disturb the first one, nor leave anything behind.

Rule: the daemon, its containerd and all its containers live in namespaces of their own. In the network namespace lies
no `docker0` that `--bridge=none` could delete; when the PID namespace's first process is killed, the kernel ends all
in it; and mounts go with the mount namespace. Its containers have no network but `none`.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Self

import docker

from tests.support.engine import client
from tests.support.place import eventually

if TYPE_CHECKING:
    from collections.abc import Iterable

START_S = 60.0

FIRST = "ip link set lo up && echo ready && while :; do sleep 3600; done"
"""The namespace's first process: a shell, since one that does not reap leaves the old containerd's PID taken."""


class PrivateEngine:
    """A daemon with directories and namespaces of its own. Close it, or use it as a context manager. Needs root."""

    def __init__(self) -> None:
        assert os.geteuid() == 0, "a daemon of one's own needs root: run this test as root"
        assert shutil.which("dockerd"), "a daemon of one's own needs dockerd on this machine: install docker.io"
        self.directory = Path(tempfile.mkdtemp(prefix="rc-dockerd-", dir="/tmp"))
        self.host = f"unix://{self.directory}/sock"
        self._ids: set[str] = set()
        self._daemon: subprocess.Popen[bytes] | None = None
        spaces = ("--net", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child=KILL")
        self._holder = subprocess.Popen(["unshare", *spaces, "sh", "-c", FIRST], stdout=subprocess.PIPE)
        assert self._holder.stdout is not None
        assert self._holder.stdout.readline() == b"ready\n"
        self._first = _child(self._holder.pid)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self, *, keep_containers: bool) -> None:
        """Start the daemon. `keep_containers`: those that live when it is killed live on, and are found again."""
        place = self.directory
        options = [f"--data-root={place}/data", f"--exec-root={place}/exec", f"--pidfile={place}/pid"]
        options += ["-H", self.host, "--bridge=none", "--iptables=false", "--ip6tables=false"]
        if keep_containers:
            options.append("--live-restore")
        with (place / "log").open("ab") as log:
            self._daemon = subprocess.Popen([*self._inside(), "dockerd", *options], stdout=log, stderr=log)
        eventually(self.answers, within_s=START_S)

    def answers(self) -> bool:
        """Whether the daemon takes calls; those that come before it is ready wait for their answer."""
        assert self._daemon is not None
        assert self._daemon.poll() is None, self.log()
        with socket.socket(socket.AF_UNIX) as knock:  # docker-py leaves its socket open when it is refused
            return knock.connect_ex(f"{self.directory}/sock") == 0

    def client(self) -> docker.APIClient:
        """Return a client; the caller closes it."""
        return docker.APIClient(base_url=self.host, version="auto")

    def kill(self) -> None:
        """Kill the daemon as a crash does; it takes its containerd with it, and containers live on."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End the daemon in good order; without `keep_containers` it stops all containers first."""
        self._end(signal.SIGTERM)

    def load(self, images: Iterable[str]) -> None:
        """Copy images of the machine's own engine."""
        theirs, ours = client(), self.client()
        try:
            for image in images:
                list(ours.load_image(theirs.get_image(image)))
        finally:
            theirs.close()
            ours.close()

    def log(self) -> str:
        """Return the end of what the daemon wrote."""
        return (self.directory / "log").read_text(errors="replace")[-2_000:]

    def close(self) -> None:
        """End everything in the namespaces and remove what lies outside of them: the directory and control groups."""
        try:
            self._note_ids()
        finally:
            self._holder.kill()
            self._holder.communicate()
            if self._daemon is not None:
                self._daemon.wait(START_S)
            shutil.rmtree(self.directory)
            eventually(self._no_groups, within_s=10)

    def _note_ids(self) -> None:
        self._ids |= {path.name for path in self.directory.glob("data/containers/*")}

    def _no_groups(self) -> bool:
        """Remove the control groups of containers that were killed with their shim, as soon as they are empty."""
        left = [path for found in self._ids for path in Path("/sys/fs/cgroup").glob(f"*/docker/{found}")]
        for path in left:
            try:
                path.rmdir()
            except OSError:
                time.sleep(0.05)
        return not left

    def _inside(self) -> list[str]:
        return ["nsenter", f"--target={self._first}", "--net", "--mount", "--pid"]

    def _end(self, number: signal.Signals) -> None:
        assert self._daemon is not None
        os.kill(_child(self._daemon.pid), number)
        self._daemon.wait(START_S)


def _child(parent: int) -> int:
    """Return the PID of a process's one child."""
    children = Path(f"/proc/{parent}/task/{parent}/children")
    eventually(children.read_text, within_s=10)
    (found,) = children.read_text().split()
    return int(found)
