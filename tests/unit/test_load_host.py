"""What of the host a manifest may name, and what becomes of secrets."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from reconciler.actuate.files import make_key
from reconciler.contract import envfile
from reconciler.contract.paths import resolve
from reconciler.load import Loader
from reconciler.load.host import ENGINE_SOCKET
from tests.support.manifests import Folder, pipeline

if TYPE_CHECKING:
    from reconciler.model.manifest import Docker

WORD = "hunter2-is-no-secret"


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    made = Folder(tmp_path)
    made.paths.state.mkdir()
    make_key(made.paths.secret_key)
    return made


def with_volume(folder: Folder, path: str, *, allowed: tuple[str, ...] = ()) -> list[str]:
    docker = f"docker: {{volumes: [{{containerPath: /models, hostPath: {path}}}]}}"
    folder.write("voice.yaml", pipeline(nodes=f"{{id: a, nodeType: A, {docker}}}"))
    return folder.lines(Loader(folder.paths, folder.manifests, allowed=allowed).load())


@pytest.mark.parametrize(
    "path",
    [
        *("/", "/etc", "/etc/ssl/private", "/proc", "/sys/kernel", "/dev", "/dev/shm", "/run", "/var/run", "/var/lib"),
        *("/var/run/docker.sock", "/run/docker.sock", "/var/lib/docker", "/usr/../etc", "//etc/"),
    ],
)
def test_what_is_the_host_s_own_is_refused_where_it_is_written(folder: Folder, path: str) -> None:
    (line,) = with_volume(folder, path)
    column = len("    - {id: a, nodeType: A, docker: {volumes: [{containerPath: /models, hostPath: ") + 1
    assert line.startswith(f"voice.yaml:6:{column}: docker.volumes: hostPath ")
    assert "the host's own" in line
    assert "--allow-host-path" in line


def test_our_own_directories_what_holds_them_and_links_to_them_are_refused(folder: Folder) -> None:
    for path in (folder.paths.state, folder.paths.runtime / "nodes", folder.root):
        assert len(with_volume(folder, str(path))) == 1, path
    (folder.root / "innocent").symlink_to("/etc")
    assert " /etc, which is the host's own" in with_volume(folder, str(folder.root / "innocent"))[0]
    (folder.manifests / "sockets").symlink_to(Path(ENGINE_SOCKET).parent)
    assert len(with_volume(folder, "./sockets")) == 1


def test_what_whoever_starts_the_controller_allows_may_be_named(folder: Folder) -> None:
    assert with_volume(folder, "/etc/ssl/certs", allowed=("/etc/ssl",)) == []
    assert len(with_volume(folder, "/etc", allowed=("/etc/ssl",))) == 1
    environ = {"RECONCILE_ALLOW_HOST_PATHS": "/dev/snd:/etc/ssl"}
    assert resolve(instance="x", allowed=("/opt",), environ=environ).allowed == ("/opt", "/dev/snd", "/etc/ssl")
    folder.paths = replace(folder.paths, allowed=("/etc/ssl",))
    assert with_volume(folder, "/etc/ssl/certs") == []


def test_relative_paths_end_at_the_directory_of_manifests(folder: Folder) -> None:
    outside = folder.root / "outside"
    outside.mkdir()
    (outside / "code.py").write_text("class A: pass\n")
    assert with_volume(folder, "./data") == []
    assert "leads out of the directory of manifests" in with_volume(folder, "../outside")[0]
    (folder.manifests / "data").symlink_to(outside)
    assert "leads out of the directory of manifests" in with_volume(folder, "./data")[0]
    assert with_volume(folder, str(outside)) == []
    folder.write("voice.yaml", pipeline(nodes="{id: a, nodeType: A, source: ../outside}"))
    (line,) = folder.lines(folder.loader().load())
    assert line.startswith('voice.yaml:6:36: source of node "a": "../outside" leads out')


def secretive(folder: Folder) -> Docker:
    docker = "docker: {envFrom: [{file: ./words.env}], secrets: [{name: key, file: ./key}], isolated: true}"
    folder.write("voice.yaml", pipeline(nodes=f"{{id: a, nodeType: A, {docker}}}"))
    desired = folder.loader().load()
    assert folder.lines(desired) == []
    (node,) = desired.pipelines[0].nodes
    assert node.docker is not None
    return node.docker


def test_a_changed_secret_is_a_changed_node_and_never_told(folder: Folder) -> None:
    folder.write("words.env", f"TOKEN={WORD}\n")
    folder.write("key", WORD)
    before = secretive(folder)
    assert [file.path for file in (*before.env_from, *before.secrets)] == [
        f"{folder.manifests}/words.env",
        f"{folder.manifests}/key",
    ]
    assert WORD not in json.dumps(asdict(before))
    assert secretive(folder) == before
    folder.write("key", "another")
    after = secretive(folder)
    assert (after.env_from, after.secrets[0].digest == before.secrets[0].digest) == (before.env_from, False)
    folder.write("key", WORD)
    assert secretive(folder) == before
    folder.paths.secret_key.write_bytes(b"another instance's")
    assert secretive(folder).secrets[0].digest != before.secrets[0].digest


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "is gone"),
        (f"A=1\n{WORD}\n", "line 2 is no NAME=VALUE"),
        (f"LEVEL={WORD}\n", "sets LEVEL, which is set elsewhere"),
        (f"RECONCILE_SHM_ROOT={WORD}\n", "sets RECONCILE_SHM_ROOT, which is set elsewhere"),
    ],
)
def test_a_file_of_variables_that_can_not_be_used_is_told_without_its_content(
    folder: Folder, text: str | None, said: str
) -> None:
    if text is not None:
        folder.write("words.env", text)
    docker = "docker: {env: {LEVEL: info}, envFrom: [{file: ./words.env}]}"
    folder.write("voice.yaml", pipeline(nodes=f"{{id: a, nodeType: A, {docker}}}"))
    (line,) = folder.lines(folder.loader().load())
    assert line.startswith('voice.yaml:6:74: docker.envFrom: file "./words.env" ')
    assert said in line
    assert WORD not in line


def test_lines_of_a_file_of_variables() -> None:
    text = "# why\n\nA=1\n B_2 = x=y \nEMPTY=\n"
    assert list(envfile.parse(text)) == [("A", "1"), ("B_2", " x=y "), ("EMPTY", "")]
    for wrong in ("A", "1=2", "=x", "A B=1"):
        with pytest.raises(envfile.MalformedError):
            list(envfile.parse(wrong))
