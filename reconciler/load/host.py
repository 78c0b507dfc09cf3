"""What of the host a manifest may name: where relative paths end, what is the host's own, and what secrets hold.

Rule: paths are judged with every link resolved, at each look. Whoever may write manifests gets no way to the host's own
places by them, unless whoever starts the controller allows it. A secret's content goes into a digest that nobody can
make without this instance's key, and nowhere else.
"""

from __future__ import annotations

import hmac
import os
from typing import TYPE_CHECKING

from reconciler.contract import envfile, names
from reconciler.contract.env import ALLOW_HOST_PATHS
from reconciler.contract.values import dataclass, replace
from reconciler.load.files import read
from reconciler.load.tree import Problem
from reconciler.load.words import cut

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reconciler.contract.paths import Paths
    from reconciler.load.draft import NodePlace
    from reconciler.model.manifest import Docker, Node, SecretFile

HOSTS_OWN = ("/boot", "/dev", "/etc", "/proc", "/run", "/sys", "/var/lib/containerd", "/var/lib/docker")
"""Configuration, devices, kernel and sockets of the host, and what the engine keeps."""

ENGINE_SOCKET = "/var/run/docker.sock"
MAX_SECRET_BYTES = 1 << 20

Place = tuple[int, int]
"""Line and column."""


@dataclass(frozen=True, slots=True)
class Outside:
    """What lies outside the manifest of one node's container: digests of its secrets, and what is wrong."""

    digests: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()


class Host:
    """The host as manifests may name it."""

    def __init__(self, paths: Paths | None, *, allowed: tuple[str, ...] = (), engine: str = "") -> None:
        own = [*HOSTS_OWN, ENGINE_SOCKET, engine.removeprefix("unix://") if engine.startswith("unix://") else ""]
        if paths is not None:
            own += [str(paths.state), str(paths.runtime)]
        self._own = tuple(sorted({os.path.realpath(each) for each in own if each}))
        every = (*allowed, *(paths.allowed if paths is not None else ()))
        self._allowed = tuple(os.path.realpath(each) for each in every)
        self._key = paths.secret_key if paths is not None else None

    def outside(self, node: Node, place: NodePlace, base: str, root: str) -> Outside:
        """Return what a node's container needs of the host. `base` is the manifest's directory, `root` all manifests'.

        Relative paths begin at `base` and must not lead out of `root`.
        """
        if node.docker is None:
            return Outside()
        problems = list(self._problems(node.docker, place, base, root))
        if problems:
            return Outside(problems=tuple(problems))
        secrets = (*node.docker.env_from, *node.docker.secrets)
        key = self._read_key() if secrets else b""
        return Outside(tuple(_digest(key, each, base) for each in secrets))

    def refusal(self, written: str, base: str, root: str) -> str:
        """Say why a path may not be named; nothing if it may."""
        real = os.path.realpath(os.path.join(base, written))
        if not written.startswith("/") and not any(_below(real, os.path.realpath(each)) for each in (base, root)):
            return (
                f'"{cut(written)}" leads out of the directory of manifests, to {real}; write that path if it is meant'
            )
        if any(_below(real, each) for each in self._allowed):
            return ""
        own = next((each for each in self._own if _below(real, each) or _below(each, real)), "")
        if not own:
            return ""
        how = "is" if real == own else "lies in" if _below(real, own) else "holds"
        said = f'"{cut(written)}" {how} {own}, which is the host\'s own'
        return f"{said}; if that is meant, start the controller with --allow-host-path {real} (or {ALLOW_HOST_PATHS})"

    def _problems(self, docker: Docker, place: NodePlace, base: str, root: str) -> Iterator[Problem]:
        for index, volume in enumerate(docker.volumes):
            said = self.refusal(volume.host_path, base, root)
            if said:
                yield _problem(place.volumes, index, place, f"docker.volumes: hostPath {said}")
        for field, files, places in (
            ("envFrom", docker.env_from, place.env_from),
            ("secrets", docker.secrets, place.secrets),
        ):
            for index, file in enumerate(files):
                said = self.refusal(file.path, base, root) or _unusable(file, base, docker, env=field == "envFrom")
                if said:
                    yield _problem(places, index, place, f"docker.{field}: file {said}")

    def _read_key(self) -> bytes:
        """Return the instance's key. Where there is none yet, nothing of ours runs, and looks use an empty one."""
        return read(str(self._key), limit=1024).data if self._key is not None else b""


def with_digests(docker: Docker, digests: tuple[str, ...], base: str) -> Docker:
    """Return a container with whole paths of its secrets, and digests of what they hold."""
    files = [*docker.env_from, *docker.secrets]
    made = [
        replace(file, path=os.path.normpath(os.path.join(base, file.path)), digest=digest)
        for file, digest in zip(files, digests, strict=True)
    ]
    count = len(docker.env_from)
    return replace(docker, env_from=tuple(made[:count]), secrets=tuple(made[count:]))


def _unusable(file: SecretFile, base: str, docker: Docker, *, env: bool) -> str:
    """Say why a file can't be used as a secret; nothing if it can. What it holds is never said."""
    path = os.path.join(base, file.path)
    content = read(path, limit=MAX_SECRET_BYTES)
    if content.why:
        return f'"{cut(file.path)}" {content.why}'
    if not _readable_inside(path):
        return f'"{cut(file.path)}" can\'t be read by user {os.geteuid()}, as which the node runs: make it its owner'
    if not env:
        return ""
    try:
        found = dict(envfile.parse(content.data.decode("utf-8", "replace")))
    except envfile.MalformedError as error:
        return f'"{cut(file.path)}" line {error.line} is no NAME=VALUE'
    taken = next((name for name in found if name in dict(docker.env) or name.startswith(names.RESERVED_ENV)), "")
    return f'"{cut(file.path)}" sets {taken}, which is set elsewhere' if taken else ""


def _readable_inside(path: str) -> bool:
    """Whether the node can read a file: it has the controller's user, and not the powers that root has outside."""
    about = os.stat(path)
    mine = about.st_uid == os.geteuid() and about.st_mode & 0o400
    shared = about.st_gid == os.getegid() and about.st_mode & 0o040
    return bool(mine or shared or about.st_mode & 0o004)


def _digest(key: bytes, file: SecretFile, base: str) -> str:
    content = read(os.path.join(base, file.path), limit=MAX_SECRET_BYTES).data
    return hmac.new(key, content, "sha256").hexdigest()


def _problem(places: tuple[Place, ...], index: int, node: NodePlace, said: str) -> Problem:
    line, column = places[index] if index < len(places) else (node.type_line, node.type_column)
    return Problem(line, column, said)


def _below(path: str, directory: str) -> bool:
    return path == directory or path.startswith(f"{directory.rstrip('/')}/")
