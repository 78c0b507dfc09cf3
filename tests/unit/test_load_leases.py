"""A lease counts while its lock is held."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from typing import IO, TYPE_CHECKING

import pytest

from reconciler.contract.files import Lease, dump
from reconciler.load.leases import look
from tests.support.manifests import Folder, pipeline, session

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    made = Folder(tmp_path)
    made.paths.sessions.mkdir(parents=True)
    return made


def open_lease(folder: Folder, name: str, text: str | None = None) -> IO[str]:
    """Take a lease as the client does: locked before it is put in place."""
    temporary = folder.paths.sessions / f".{name}.new"
    file = temporary.open("w")
    fcntl.flock(file, fcntl.LOCK_EX)
    file.write(dump(Lease(name, "voice")) if text is None else text)
    file.flush()
    temporary.rename(folder.paths.sessions / f"{name}.json")
    return file


def test_a_lease_lasts_as_long_as_its_lock(folder: Folder) -> None:
    folder.write("voice.yaml", pipeline())
    loader = folder.loader()
    with open_lease(folder, "s-1"):
        desired = loader.load()
        assert [(each.name, each.pipeline, each.kind) for each in desired.sessions] == [
            ("s-1", "voice", "lease"),
            ("voice", "voice", "standing"),
        ]
        assert loader.held_leases() == {"s-1"}
        assert loader.stale_leases == ()
    assert [each.name for each in loader.load().sessions] == ["voice"]
    assert loader.held_leases() == frozenset()
    assert loader.stale_leases == (folder.paths.sessions / "s-1.json",)


def test_a_killed_program_holds_nothing(folder: Folder) -> None:
    hold = (
        "import fcntl, sys; file = open(sys.argv[1]); fcntl.flock(file, fcntl.LOCK_EX); "
        "print('held', flush=True); sys.stdin.read()"
    )
    path = folder.paths.sessions / "s-1.json"
    path.write_text(dump(Lease("s-1", "voice")))
    program = subprocess.Popen(
        [sys.executable, "-c", hold, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with program:
        assert program.stdout is not None
        assert program.stdout.readline() == "held\n"
        assert [each.name for each in look(folder.paths.sessions).sessions] == ["s-1"]
        program.kill()
        program.wait()
        assert look(folder.paths.sessions).stale == (path,)


def test_looking_takes_no_lock_away(folder: Folder) -> None:
    with open_lease(folder, "s-1"):
        look(folder.paths.sessions)
        with (folder.paths.sessions / "s-1.json").open() as other, pytest.raises(BlockingIOError):
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"session": 3}', '{"session": "other", "pipeline": "voice"}', "[" * 9_999]
)
def test_a_held_file_that_is_no_lease_is_said(folder: Folder, text: str) -> None:
    with open_lease(folder, "s-1", text):
        found = look(folder.paths.sessions)
    assert found.sessions == ()
    assert "this is no lease" in found.diagnostics[0].message
    assert found.complete


def test_what_is_no_file_holds_nobody_up(folder: Folder) -> None:
    os.mkfifo(folder.paths.sessions / "pipe.json")
    (folder.paths.sessions / "folder.json").mkdir()
    (folder.paths.sessions / "link.json").symlink_to("/etc/passwd")
    found = look(folder.paths.sessions)
    assert found.sessions == ()
    assert len(found.diagnostics) == 3


def test_standing_and_declared_sessions_keep_their_names(folder: Folder) -> None:
    folder.write("voice.yaml", pipeline() + "---\n" + session("mine", "voice"))
    with open_lease(folder, "voice"), open_lease(folder, "mine"), open_lease(folder, "other"):
        desired = folder.loader().load()
    assert [(each.name, each.kind) for each in desired.sessions] == [
        ("mine", "declared"),
        ("other", "lease"),
        ("voice", "standing"),
    ]


def test_no_runtime_directory_is_no_lease(folder: Folder) -> None:
    folder.paths.sessions.rmdir()
    assert look(folder.paths.sessions) == type(look(folder.paths.sessions))()
