"""Small files and small functions, as a limit that holds for each and a median that holds for all."""

from __future__ import annotations

import ast
from statistics import median
from typing import TYPE_CHECKING

from tests.support.tree import modules, text, tree

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LONGEST_FILE = 400
LONGEST_FUNCTION = 70
MEDIAN_FILE = 140
MEDIAN_FUNCTION = 10


def functions(path: Path) -> Iterator[tuple[str, int]]:
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield f"{path}:{node.lineno} {node.name}", (node.end_lineno or node.lineno) - node.lineno + 1


def lines(path: Path) -> int:
    return len(text(path).splitlines())


def test_no_file_is_too_long() -> None:
    assert {path: lines(path) for path in modules() if lines(path) > LONGEST_FILE} == {}


def test_no_function_is_too_long() -> None:
    found = {where: length for path in modules() for where, length in functions(path)}
    assert {where: length for where, length in found.items() if length > LONGEST_FUNCTION} == {}


def test_the_usual_file_is_short() -> None:
    written = [lines(path) for path in modules("reconciler") if lines(path) > 1]
    assert median(written) <= MEDIAN_FILE


def test_the_usual_function_is_short() -> None:
    assert median(length for path in modules("reconciler") for _, length in functions(path)) <= MEDIAN_FUNCTION
