"""The files through which the planes meet, as they lie in the runtime directory.

Rule: a damaged document counts as missing, so that it is written anew; a directory that can't be read raises.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from reconciler.contract import files, lock
from reconciler.model.errors import FilesError
from reconciler.model.observed import NodeFiles

if TYPE_CHECKING:
    from pathlib import Path

    from reconciler.contract.files import Endpoints


PARSED = 2_048
"""Documents of each kind that are remembered by their text."""


def node_files(nodes: Path) -> tuple[NodeFiles, ...]:
    """Return the files of every node instance, by name.

    Raises:
        FilesError: if the directory is there and can't be read.
    """
    return tuple(_node(entry) for entry in _entries(nodes) if entry.is_dir())


def endpoints(directory: Path) -> tuple[Endpoints, ...]:
    """Return the endpoints of every session, by session. One whose file is damaged is named, with nothing in it.

    Raises:
        FilesError: if the directory is there and can't be read.
    """
    found = []
    for entry in _entries(directory):
        if entry.suffix == ".json":
            document = _endpoints(files.read_text(entry) or "")
            whole = document is not None and document.session == entry.stem
            found.append(document if document and whole else files.Endpoints(entry.stem, ""))
    return tuple(found)


def stale_leases(directory: Path) -> tuple[str, ...]:
    """Return the sessions whose lease nobody holds any more. A lease is locked before it has its name.

    Raises:
        FilesError: if the directory is there and can't be read.
    """
    leases = [entry for entry in _entries(directory) if entry.suffix == ".json"]
    return tuple(entry.stem for entry in leases if not lock.held(entry) and entry.is_file())


def _node(directory: Path) -> NodeFiles:
    return NodeFiles(
        name=directory.name,
        assignments=_assignments(files.read_text(directory / "assignments.json") or ""),
        status=_status(files.read_text(directory / "status.json") or ""),
        alive=lock.held(directory / "alive"),
    )


# Most texts are those of the last look, and what is made of them can't change.
_assignments = lru_cache(maxsize=PARSED)(files.parse_assignments)
_status = lru_cache(maxsize=PARSED)(files.parse_status)
_endpoints = lru_cache(maxsize=PARSED)(files.parse_endpoints)


def _entries(directory: Path) -> list[Path]:
    try:
        return sorted(entry for entry in directory.iterdir() if not entry.name.startswith("."))
    except FileNotFoundError:
        return []
    except OSError as error:
        msg = f"can't read {directory}: {error.strerror}"
        raise FilesError(msg) from error
