"""What is handed out: the whole project as one wheel, and the data plane alone as another for images."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from typing import TYPE_CHECKING

import pytest

from reconciler.actuate.runtime_files import runtime_files
from reconciler.contract import RUNTIME_VERSION, VERSION
from tests.support.tree import ROOT, modules, text

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Both wheels, built with the build backend that is installed: nothing is downloaded."""
    into = tmp_path_factory.mktemp("wheels")
    for project in (ROOT, ROOT / "docker" / "reconciler-node"):
        command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", into, project]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    return {path.name.partition("-")[0]: path for path in into.iterdir()}


def members(wheel: Path) -> dict[str, str]:
    """Return the wheel's files with their text, without its metadata."""
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name).decode() for name in archive.namelist() if ".dist-info/" not in name}


def metadata(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return archive.read(name).decode().splitlines()


def test_the_project_s_wheel_has_every_module_and_the_command(wheels: dict[str, Path]) -> None:
    wheel = wheels["reconciler"]
    assert {name: words for name, words in members(wheel).items() if name.endswith(".py")} == {
        path.as_posix(): text(path) for path in modules("reconciler")
    }
    assert "reconciler/py.typed" in members(wheel)
    assert f"Version: {VERSION}" in metadata(wheel)


def test_the_node_wheel_is_the_data_plane_alone(wheels: dict[str, Path]) -> None:
    names = set(members(wheels["reconciler_node"]))
    assert {"/".join(name.split("/")[:2]) for name in names} == {
        "reconciler/__init__.py",
        "reconciler/contract",
        "reconciler/node",
        "reconciler/py.typed",
        "reconciler/stream",
    }


def test_the_node_wheel_is_what_images_get(wheels: dict[str, Path]) -> None:
    in_wheel = {name: words for name, words in members(wheels["reconciler_node"]).items() if name.endswith(".py")}
    assert in_wheel == {name: content.decode() for name, content in runtime_files()}


def test_the_node_wheel_needs_iceoryx2_and_numpy_alone(wheels: dict[str, Path]) -> None:
    lines = metadata(wheels["reconciler_node"])
    needs = [line.partition(": ")[2] for line in lines if line.startswith("Requires-Dist: ")]
    assert [re.split("[=<>]", need)[0] for need in needs] == ["iceoryx2", "numpy"]
    assert "Requires-Python: >=3.9" in lines
    assert f"Version: {RUNTIME_VERSION}" in lines
