"""No row of `docs/drift.md` without its test: each test it names is there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from tests.support.tree import tree

TABLE = Path("docs/drift.md")
HOMES = ("tests/engine/test_drift.py", "tests/engine/test_drift_beside.py")
NAMED = re.compile(r"`(?:(tests/[\w/]+\.py)::)?(test_\w+)(?:\[\w+\])?`")


def _rows() -> list[str]:
    lines = (Path(__file__).parents[2] / TABLE).read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line.startswith("| ") and not line.startswith("| difference")]


def _tests(*paths: str) -> set[str]:
    nodes = (node for path in paths for node in ast.walk(tree(Path(path))))
    return {node.name for node in nodes if isinstance(node, ast.FunctionDef)}


def test_every_row_names_tests_that_are_there() -> None:
    rows = _rows()
    assert len(rows) >= 20
    for row in rows:
        named = NAMED.findall(row.rstrip("|").rpartition("|")[2])
        assert named, row
        assert [name for path, name in named if name not in _tests(*([path] if path else HOMES))] == [], row


def test_every_drift_test_has_a_row() -> None:
    named = {name for row in _rows() for _, name in NAMED.findall(row)}
    assert {name for name in _tests(*HOMES) if name.startswith("test_")} <= named
