"""The import contracts hold, and bite: each is broken on purpose in a copy, and named by the linter."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from tests.support.tree import ROOT, modules

LAYERS = "The control plane's layers"
DATA_LAYERS = "The data plane's layers"
PLANES = "The data plane never imports the control plane"
DECIDE = "Looking and acting don't decide"
ALONE = "The contract needs the standard library alone"
PURE = "The planner and the model are pure"

BREAKS = [
    (LAYERS, "reconciler/model/errors.py", "import reconciler.plan.plan"),
    (LAYERS, "reconciler/engine/__init__.py", "import reconciler.controller.loop"),
    (LAYERS, "reconciler/engine/__init__.py", "import reconciler.sources"),
    (DATA_LAYERS, "reconciler/contract/names.py", "import reconciler.stream"),
    (PLANES, "reconciler/stream/__init__.py", "import reconciler.model.status"),
    (PLANES, "reconciler/node/__init__.py", "import pydantic"),
    (DECIDE, "reconciler/observe/__init__.py", "import reconciler.plan.plan"),
    (DECIDE, "reconciler/actuate/__init__.py", "import reconciler.plan.prune"),
    (ALONE, "reconciler/contract/env.py", "import numpy"),
    (PURE, "reconciler/plan/plan.py", "import time"),
    (PURE, "reconciler/plan/prune.py", "from pathlib import Path"),
    (PURE, "reconciler/model/desired.py", "import logging"),
]


def contracts() -> list[dict[str, Any]]:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    found: list[dict[str, Any]] = settings["contracts"]
    return found


def places() -> set[str]:
    layers = [layer for contract in contracts() for layer in contract.get("layers", ())]
    return {module.strip().removeprefix("reconciler.") for layer in layers for module in layer.split("|")}


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("layers")
    shutil.copy(ROOT / "pyproject.toml", root)
    for package in places():
        (root / "reconciler" / package).mkdir(parents=True)
        (root / "reconciler" / package / "__init__.py").touch()
    for path in modules("reconciler"):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / path, root / path)
    return root


def lint(root: Path) -> subprocess.CompletedProcess[str]:
    linter = Path(sys.executable).parent / "lint-imports"
    return subprocess.run([linter, "--no-logo", "--no-cache"], cwd=root, capture_output=True, text=True, check=False)


def test_the_layers_hold(copy: Path) -> None:
    done = lint(copy)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(("contract", "name", "line"), BREAKS)
def test_a_broken_layer_is_named(copy: Path, contract: str, name: str, line: str) -> None:
    path = copy / name
    before = path.read_text()
    path.write_text(f"{before}\n{line}\n")
    try:
        done = lint(copy)
    finally:
        path.write_text(before)
    assert done.returncode == 1, done.stdout + done.stderr
    assert f"{contract} BROKEN" in done.stdout


def test_every_contract_is_broken_once() -> None:
    assert {contract["name"] for contract in contracts()} == {contract for contract, _, _ in BREAKS}


def test_every_package_has_its_place() -> None:
    packages = {path.parent.name for path in modules("reconciler") if len(path.parts) == 3 and path.stem == "__init__"}
    assert packages <= places()
