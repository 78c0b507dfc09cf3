"""The files through which the planes meet, as they lie in the runtime directory.

Rule: a damaged document counts as missing, so that it is written anew; a directory that can't be read raises.
"""

from __future__ import annotations

import os
from functools import lru_cache
from typing import TYPE_CHECKING

from reconciler.contract import files, lock
from reconciler.model.errors import FilesError
from reconciler.model.observed import NodeFiles

if TYPE_CHECKING:
    from pathlib import Path

    from reconciler.contract.files import Endpoints


JSON = ".json"
PARSED = 2_048
"""Documents of each kind that are remembered by their text."""


def node_files(nodes: Path) -> tuple[NodeFiles, ...]:
    """Return the files of every node instance, by name.

    Raises:
        FilesError: if the directory is there and can't be read.
    """
    return tuple(_node(f"{nodes}/{name}", name) for name in _entries(nodes) if os.path.isdir(f"{nodes}/{name}"))


def endpoints(directory: Path) -> tuple[Endpoints, ...]:
    """Return the endpoints of every session, by session. One whose file is damaged is named, with nothing in it.

    Raises:
        FilesError: if the directory is there and can't be read.
    """
    found = []
    for session in _documents(directory):
        document = _endpoints(files.read_text(f"{directory}/{session}{JSON}") or "")
        whole = document is not None and document.session == session
        found.append(document if document and whole else files.Endpoints(session, ""))
    return tuple(found)


def stale_leases(directory: Path) -> tuple[str, ...]:
    """Return the sessions whose lease nobody holds any more. A lease is locked before it has its name.

    Raises:
        FilesError: if the directory is there and can't be read.
    """
    leases = ((session, f"{directory}/{session}{JSON}") for session in _documents(directory))
    return tuple(session for session, path in leases if not lock.held(path) and os.path.isfile(path))


def _node(directory: str, name: str) -> NodeFiles:
    return NodeFiles(
        name=name,
        assignments=_assignments(files.read_text(f"{directory}/assignments.json") or ""),
        status=_status(files.read_text(f"{directory}/status.json") or ""),
        alive=lock.held(f"{directory}/alive"),
    )


# Most texts are those of the last look, and what is made of them can't change.
_assignments = lru_cache(maxsize=PARSED)(files.parse_assignments)
_status = lru_cache(maxsize=PARSED)(files.parse_status)
_endpoints = lru_cache(maxsize=PARSED)(files.parse_endpoints)


def _documents(directory: Path) -> list[str]:
    return [name.removesuffix(JSON) for name in _entries(directory) if name.endswith(JSON)]


def _entries(directory: Path) -> list[str]:
    try:
        return sorted(name for name in os.listdir(directory) if not name.startswith("."))
    except FileNotFoundError:
        return []
    except OSError as error:
        msg = f"can't read {directory}: {error.strerror}"
        raise FilesError(msg) from error
