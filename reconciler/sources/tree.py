"""Digest of a directory of node source.

Form `source-v1`: SHA-256 over, for each file in the order of its path's bytes, the path relative to the directory, a
zero byte, the SHA-256 of the content and a newline. It is a fixed form: an upgrade of this program must not change it.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.model.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator

LONGEST_FILES = 5_000
LARGEST_BYTES = 256 << 20
"""Beyond these a directory is no node source but a mistake, such as `source: /`; models belong in `volumes`."""


def digest(directory: Path) -> str:
    """Return the digest of a directory's source, 64 hexadecimal digits.

    Raises:
        SourceError: if it is no directory, can't be read, or is too large to be source.
    """
    whole = hashlib.sha256(b"source-v1\n")
    for relative, path in files(directory):
        whole.update(os.fsencode(relative) + b"\0" + _content(path) + b"\n")
    return whole.hexdigest()


def files(directory: Path) -> list[tuple[str, Path]]:
    """Return each source file as its relative path and its place, in the order of the digest.

    Raises:
        SourceError: if it is no directory, can't be read, or is too large to be source.
    """
    if not directory.is_dir():
        msg = f"{directory} is no directory: `source` must name the directory that holds the node's code"
        raise SourceError(msg)
    found: list[tuple[str, Path]] = []
    size = 0
    for path in _walk(directory):
        size += _size(path)
        found.append((path.relative_to(directory).as_posix(), path))
        if len(found) > LONGEST_FILES or size > LARGEST_BYTES:
            msg = (
                f"{directory} holds more than {LONGEST_FILES} files or {LARGEST_BYTES >> 20} MiB, too much for node "
                "source: let `source` name a smaller directory, and mount data with `volumes`"
            )
            raise SourceError(msg)
    return sorted(found, key=lambda entry: os.fsencode(entry[0]))


def _walk(directory: Path) -> Iterator[Path]:
    inside = f"{os.path.realpath(directory)}/"

    def refuse(error: OSError) -> None:
        msg = f"can't read {error.filename}: {error.strerror}"
        raise SourceError(msg) from error

    for root, directories, names in os.walk(directory, onerror=refuse):
        directories[:] = [name for name in directories if counts(name)]
        for name in names:
            path = Path(root, name)
            if counts(name) and path.is_file():
                if path.is_symlink() and not os.path.realpath(path).startswith(inside):
                    msg = f"{path} is a link that leads out of {directory}: source holds its own files"
                    raise SourceError(msg)
                yield path


def counts(name: str) -> bool:
    """Whether a file or directory of this name is source."""
    return not name.startswith(".") and name != "__pycache__" and not name.endswith((".pyc", "~"))


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError as error:
        msg = f"can't read {path}: {error.strerror}"
        raise SourceError(msg) from error


def _content(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").digest()
    except OSError as error:
        msg = f"can't read {path}: {error.strerror}"
        raise SourceError(msg) from error
