"""Node source as manifests name it: its digest, and whether the class a node asks for is in it.

Rule: code is read, never imported. A file is read again only when its stat has changed, so a look at source that did
not change only stats it.
"""

from __future__ import annotations

import ast
import re
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.load.files import Content, Signature, is_settled, read, signature_of
from reconciler.load.words import instead
from reconciler.model.errors import SourceError
from reconciler.sources import digest
from reconciler.sources.tree import LARGEST_BYTES, content, files

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_CODE_BYTES = 1 << 20
"""Code beyond this is searched as text."""

_CLASS = re.compile(r"^class\s+([A-Za-z_]\w*)", re.MULTILINE)

_PLAIN = (ast.ClassDef, ast.ImportFrom, ast.Import, ast.Assign, ast.AnnAssign)

ANY = "*"
"""Among the names of a module: it imports everything from another one, so any name may be there."""


class Sources:
    """Digests and names of node source, remembered by what stat says of each file."""

    def __init__(self) -> None:
        self._digests: dict[str, str | SourceError] = {}
        self._contents: dict[str, tuple[Signature, bytes]] = {}
        self._names: dict[str, tuple[Signature, frozenset[str]]] = {}
        self._used: set[str] = set()

    def begin(self) -> None:
        """Begin a look: what was not asked for in the last one is forgotten, the rest is looked at again once."""
        self._digests = {}
        self._contents = {path: known for path, known in self._contents.items() if path in self._used}
        self._names = {path: known for path, known in self._names.items() if path in self._used}
        self._used = set()

    def digest(self, directory: str) -> str:
        """Return the digest of a directory of source.

        Raises:
            SourceError: as `reconciler.sources.digest` does.
        """
        found = self._digests.get(directory)
        if found is None:
            try:
                found = digest(Path(directory), content_of=self._content)
            except SourceError as error:
                found = error
            self._digests[directory] = found
        if isinstance(found, SourceError):
            raise found
        return found

    def missing(self, directory: str, node_type: str) -> str:
        """Say what a node type names that is not in a directory; nothing if all is there.

        Raises:
            SourceError: if the directory can't be read.
        """
        module, _, name = node_type.rpartition(":")
        if not module:
            return self._missing_class(directory, name)
        stem = module.replace(".", "/")
        path = next((p for p in (f"{directory}/{stem}.py", f"{directory}/{stem}/__init__.py") if Path(p).is_file()), "")
        if not path:
            modules = sorted(_module(relative) for relative, _ in _code(directory))
            return f'no module "{module}", {instead(module, modules, of="modules there")}'
        bound = self._bound(path)
        if name in bound or ANY in bound:
            return ""
        return f'no class "{name}" in {Path(path).name}, {instead(name, sorted(bound), of="names there")}'

    def _missing_class(self, directory: str, name: str) -> str:
        bound = {_module(relative): self._bound(str(path), classes=True) for relative, path in _code(directory)}
        holders = sorted(module for module, names in bound.items() if name in names)
        if len(holders) > 1:
            return f'class "{name}" is in {" and ".join(holders)}: write "{holders[0]}:{name}"'
        if holders:
            return ""
        classes = sorted({each for names in bound.values() for each in names if each != ANY})
        return f'no class "{name}", {instead(name, classes, of="classes there")}'

    def _content(self, path: Path) -> bytes:
        key = str(path)
        self._used.add(key)
        known = self._contents.get(key)
        if known is not None and known[0] == signature_of(key):
            return known[1]
        before = signature_of(key)
        found = content(path)
        if before and before == signature_of(key) and is_settled(before):
            self._contents[key] = (before, found)
        return found

    def _bound(self, path: str, *, classes: bool = False) -> frozenset[str]:
        key = f"{path}:classes" if classes else path
        self._used.add(key)
        known = self._names.get(key)
        if known is not None and known[0] == signature_of(path):
            return known[1]
        code = read(path, limit=LARGEST_BYTES)
        names = frozenset(_names(code, classes=classes))
        if code.settled:
            self._names[key] = (code.signature, names)
        return names


def _code(directory: str) -> Iterator[tuple[str, Path]]:
    return ((relative, path) for relative, path in files(Path(directory)) if relative.endswith(".py"))


def _module(relative: str) -> str:
    return relative.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def _names(code: Content, *, classes: bool) -> Iterator[str]:
    """Yield what a module binds at its top. Code that this Python can't parse may be right for the node's."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if len(code.data) > MAX_CODE_BYTES:
                raise ValueError  # noqa: TRY301
            body = ast.parse(code.data).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        yield from _CLASS.findall(code.data.decode("utf-8", "replace"))
        return
    yield from _bound_by(body, classes=classes)


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
