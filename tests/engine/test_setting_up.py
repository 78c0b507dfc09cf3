"""The scripts that set a machine up, on the engine that they are to provide (FR-013)."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.support.tree import ROOT

if TYPE_CHECKING:
    from reconciler.engine.client import Engine

VERSIONS = ("3.9", "3.10", "3.11")
MODULES = "bz2, ctypes, ensurepip, lzma, pip, sqlite3, ssl, sys, zlib"


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=600)


def test_an_engine_that_answers_is_used() -> None:
    done = run("hack/engine-up")
    assert done.returncode == 0, done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert "answers at" in done.stderr


def test_base_images_that_are_there_stay_as_they_are(engine: Engine) -> None:
    def ids() -> list[str]:
        return [str(engine.client.inspect_image(f"python:{version}-slim")["Id"]) for version in VERSIONS]

    before = ids()
    done = run("hack/base-images", *VERSIONS)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert ids() == before


@pytest.mark.parametrize("version", VERSIONS)
def test_a_base_image_has_the_interpreter_it_is_named_for(version: str) -> None:
    program = f"import {MODULES}; print('%d.%d' % sys.version_info[:2])"
    image = f"python:{version}-slim"
    done = run(
        "docker",
        "run",
        "--rm",
        "--network=none",
        "--label=dev.reconciler.instance=test-base",
        image,
        "python",
        "-c",
        program,
    )
    assert (done.returncode, done.stdout.strip()) == (0, version), done.stderr
