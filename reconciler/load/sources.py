"""Node source as manifests name it: its digest, and whether the class a node asks for is in it.

Rule: code is read, never imported. A file is read again only when its stat has changed, so a look at source that did
not change only stats it.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.contract.values import dataclass
from reconciler.load.files import Signature, is_settled, read, signature
from reconciler.load.words import instead
from reconciler.model.errors import SourceError
from reconciler.sources import digest
from reconciler.sources.tree import counts, files

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_CODE_BYTES = 1 << 20
"""Of longer code only so much is searched, as text."""

ANY = "*"
"""Among the names of a module: it imports everything from another one, so any name may be there."""


class Sources:
    """Digests and names of node source, remembered by what stat says of each file."""

    def __init__(self) -> None:
        self._looks: dict[str, _Look] = {}
        self._fresh: dict[str, _Look] = {}
        self._missing: dict[tuple[str, str], str] = {}

    def begin(self) -> None:
        """Begin a pass: what was not asked for in the last one is forgotten, the rest is looked at again once."""
        self._looks, self._fresh = self._fresh, {}
        digests = {look.digest for look in self._looks.values()}
        self._missing = {key: said for key, said in self._missing.items() if key[0] in digests}

    def trust(self, digest: str, node_type: str) -> None:
        """Take it as known that source of this digest has this node type."""
        self._missing[digest, node_type] = ""

    def digest(self, directory: str) -> str:
        """Return the digest of a directory of source.

        Raises:
            SourceError: as `reconciler.sources.digest` does.
        """
        if directory not in self._fresh:
            self._fresh[directory] = self._look(directory, self._looks.get(directory))
        found = self._fresh[directory]
        if found.error is not None:
            raise found.error
        return found.digest

    def missing(self, directory: str, node_type: str) -> str:
        """Say what a node type names that is not in a directory; nothing if all is there.

        Raises:
            SourceError: if the directory can't be read.
        """
        key = (self.digest(directory), node_type)
        if key not in self._missing:
            self._missing[key] = _missing(directory, node_type)
        return self._missing[key]

    def _look(self, directory: str, before: _Look | None) -> _Look:
        """Look at a directory; where each stat is as before and proves something, so is the digest."""
        listing = tuple(_listing(directory))
        if before is not None and before.listing == listing and before.error is None:
            return before
        try:
            found = digest(Path(directory))
        except SourceError as error:
            return _Look("", (), error)
        # Content that may have changed since, or may change within a clock tick, is read again in the next pass.
        proves = all(is_settled(signature) for _, signature in listing) and listing == tuple(_listing(directory))
        return _Look(found, listing if proves else ())


@dataclass(frozen=True, slots=True)
class _Look:
    """A directory as it was looked at. `listing` is empty where it proves nothing."""

    digest: str
    listing: tuple[tuple[str, Signature], ...] = ()
    error: SourceError | None = None


def _listing(directory: str) -> Iterator[tuple[str, Signature]]:
    """Yield the path and stat of everything that could be source. An unreadable folder shows when it is digested."""
    open_folders = [directory]
    while open_folders:
        try:
            with os.scandir(open_folders.pop()) as entries:
                for entry in entries:
                    if not counts(entry.name):
                        continue
                    if entry.is_dir(follow_symlinks=False):
                        open_folders.append(entry.path)
                    yield entry.path, signature(entry.stat())
        except OSError:
            # Told apart from every other listing, so that the digest is asked.
            yield "", (time.monotonic_ns(),)


def _missing(directory: str, node_type: str) -> str:
    module, _, name = node_type.rpartition(":")
    if not module:
        return _missing_class(directory, name)
    stem = module.replace(".", "/")
    path = next((p for p in (f"{directory}/{stem}.py", f"{directory}/{stem}/__init__.py") if Path(p).is_file()), "")
    if not path:
        modules = sorted(_module(relative) for relative, _ in _code(directory))
        return f'no module "{module}", {instead(module, modules, of="modules there")}'
    bound = _bound(path)
    if name in bound or ANY in bound:
        return ""
    if wrong := _mistake(path):
        return f'no class "{name}" in {Path(path).name}, which is no Python here: {wrong}'
    return f'no class "{name}" in {Path(path).name}, {instead(name, sorted(bound), of="names there")}'


def _missing_class(directory: str, name: str) -> str:
    bound = {_module(relative): _bound(str(path), classes=True) for relative, path in _code(directory)}
    holders = sorted(module for module, names in bound.items() if name in names)
    if len(holders) > 1:
        return f'class "{name}" in {" and ".join(holders)}: write "{holders[0]}:{name}"'
    if holders:
        return ""
    wrong = ((relative, _mistake(str(path))) for relative, path in _code(directory))
    if broken := next((f"{relative}, {why}" for relative, why in wrong if why), ""):
        return f'no class "{name}", and not all of it is Python here: {broken}'
    classes = sorted({each for names in bound.values() for each in names})
    return f'no class "{name}", {instead(name, classes, of="classes there")}'


def _mistake(path: str) -> str:
    from reconciler.load.bound import mistake  # noqa: PLC0415 - see below

    return mistake(read(path, limit=MAX_CODE_BYTES).data)


def _bound(path: str, *, classes: bool = False) -> frozenset[str]:
    code = read(path, limit=MAX_CODE_BYTES)
    if code.why:
        raise SourceError(f"{path} {code.why}")
    from reconciler.load.bound import names  # noqa: PLC0415 - only source that changed is parsed

    return frozenset(names(code.data, classes=classes))


def _code(directory: str) -> Iterator[tuple[str, Path]]:
    return ((relative, path) for relative, path in files(Path(directory)) if relative.endswith(".py"))


def _module(relative: str) -> str:
    return relative.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
