"""What the documents tell authors of nodes to write works as it stands there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.support.place import REPOSITORY

if TYPE_CHECKING:
    from pathlib import Path


def blocks(document: str) -> list[str]:
    text = (REPOSITORY / document).read_text(encoding="utf-8")
    return re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize(
    ("document", "module", "first_words"),
    [
        ("manifests/voice/README.md", "count", "from count import"),
        ("docs/nodes.md", "capitals", "from reconciler.stream.testing import run"),
    ],
)
def test_a_node_and_its_test_are_right_as_printed(tmp_path: Path, document: str, module: str, first_words: str) -> None:
    node, *others = blocks(document)
    (test,) = [block for block in others if block.startswith(first_words)]
    (tmp_path / f"{module}.py").write_text(node)
    (tmp_path / f"test_{module}.py").write_text(test)

    said = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": f"{tmp_path}:{REPOSITORY}"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert "1 passed" in said.stdout, said.stdout + said.stderr


def test_every_python_block_is_python() -> None:
    for document in ("manifests/voice/README.md", "docs/nodes.md"):
        for block in blocks(document):
            indented = block.startswith(" ")
            compile(f"class Node:\n{block}" if indented else f"def function():\n{_inside(block)}", document, "exec")


def _inside(block: str) -> str:
    return "".join(f"    {line}\n" for line in block.splitlines() if "import annotations" not in line)
