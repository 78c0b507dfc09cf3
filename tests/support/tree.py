"""The project's own files, as the tidy tests look at them.

Rule: what git tracks or would track; never what a build or a run left behind.
"""

from __future__ import annotations

import ast
import subprocess
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@cache
def files(suffix: str = "") -> tuple[Path, ...]:
    """Return the project's files with this suffix, relative to its root, in order."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    return tuple(sorted(Path(name) for name in listed if name.endswith(suffix) and (ROOT / name).is_file()))


@cache
def modules(folder: str = "") -> tuple[Path, ...]:
    """Return the Python files below `folder`, without stubs and without what tests feed the program."""
    ours = (path for path in files(".py") if not path.match("tests/golden/*/nodes/*"))
    return tuple(path for path in ours if not folder or path.is_relative_to(folder))


def text(path: Path) -> str:
    """Return a file's text; what is not UTF-8 counts as empty."""
    try:
        return (ROOT / path).read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return ""


@cache
def tree(path: Path) -> ast.Module:
    """Return a module's syntax tree."""
    return ast.parse(text(path), filename=str(path))
