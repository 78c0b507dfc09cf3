"""The names that a module of node source binds at its top. Code is read, never imported."""

from __future__ import annotations

import ast
import re
import warnings
from typing import TYPE_CHECKING

from reconciler.load.sources import MAX_CODE_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator

_CLASS = re.compile(r"^class\s+([A-Za-z_]\w*)", re.MULTILINE)

_PLAIN = (ast.ClassDef, ast.ImportFrom, ast.Import, ast.Assign, ast.AnnAssign)


def names(code: bytes, *, classes: bool) -> Iterator[str]:
    """Yield what a module binds at its top. Code that this Python can't parse may be right for the node's."""
    try:
        body = _parsed(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        yield from _CLASS.findall(code.decode("utf-8", "replace"))
        return
    yield from _bound_by(body, classes=classes)


def mistake(code: bytes) -> str:
    """Say why code does not parse, with its line; nothing where it does, or nobody can tell."""
    try:
        _parsed(code)
    except SyntaxError as error:
        return f"line {error.lineno}: {error.msg}"
    except (ValueError, RecursionError, MemoryError):
        pass
    return ""


def _parsed(code: bytes) -> list[ast.stmt]:
    if len(code) > MAX_CODE_BYTES:
        raise ValueError  # taken as code that does not parse
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ast.parse(code).body


def _bound_by(body: list[ast.stmt], *, classes: bool) -> Iterator[str]:
    for statement in body:
        match statement:
            case ast.ClassDef(name=name):
                yield name
            case ast.If() | ast.Try() | ast.With():
                yield from _bound_by(
                    [each for each in ast.walk(statement) if isinstance(each, _PLAIN)], classes=classes
                )
            case _ if classes:
                pass
            case ast.ImportFrom(names=imported) | ast.Import(names=imported):
                yield from (each.asname or each.name.partition(".")[0] for each in imported)
            case ast.Assign(targets=targets):
                yield from (target.id for target in targets if isinstance(target, ast.Name))
            case ast.AnnAssign(target=ast.Name(id=name)) | ast.FunctionDef(name=name):
                yield name
