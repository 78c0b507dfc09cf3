"""Writing and removing the files through which the planes meet, and the directories they lie in."""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.contract import doorbell, files, lock
from reconciler.model.errors import FilesError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reconciler.contract.files import Assignments, Endpoints
    from reconciler.model.observed import Site

KEY_BYTES = 32

PRIVATE = 0o700
"""Runtime directories are their owner's alone, as iceoryx2's files are: one uid for controller, programs and nodes."""


def prepare(site: Site) -> None:
    """Create the directories that must be there before anything runs. Safe to repeat.

    Raises:
        FilesError: if one can't be created, or belongs to another user.
    """
    with translated("create the directories of this instance, whose place --state-dir and --runtime-dir choose"):
        _of_one_user(Path(site.nodes_dir).parent, site)
        for place in (site.nodes_dir, site.endpoints_dir, site.shm_root):
            _directory(Path(place), PRIVATE)
        for place in (site.sources_dir, site.logs_dir):
            _directory(Path(place), 0o755)


def _of_one_user(place: Path, site: Site) -> None:
    """Refuse an instance of another user: nodes and programs of two users would not see each other's frames."""
    owner = place.stat().st_uid if place.exists() else site.uid
    if owner != site.uid:
        msg = (
            f"{place} belongs to user {owner}, and this is user {site.uid}; files of iceoryx2 can be read by their "
            "owner only, so an instance has one user: run as that one, or choose another --instance"
        )
        raise FilesError(msg)


def make_key(place: Path) -> None:
    """Create the key of an instance's secrets, unless it has one. A new key means new digests: nodes are replaced.

    Raises:
        FilesError: if it can't be written.
    """
    with translated(f"create the key of this instance's secrets, {place}"):
        if place.exists():
            return
        temporary = place.with_name(f".{place.name}")
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as key:
            key.write(os.urandom(KEY_BYTES))
        temporary.replace(place)


def write_assignments(site: Site, document: Assignments) -> None:
    """Put an instance's assignments in place, with its directory."""
    with translated(f"write the assignments of {document.name}"):
        directory = Path(site.nodes_dir, document.name)
        _directory(directory, PRIVATE)
        files.replace_text(directory / "assignments.json", files.dump(document))
        doorbell.ring(directory)


def write_endpoints(site: Site, document: Endpoints) -> None:
    """Put a session's endpoints in place."""
    with translated(f"write the endpoints of {document.session}"):
        _directory(Path(site.endpoints_dir), PRIVATE)
        files.replace_text(Path(site.endpoints_dir, f"{document.session}.json"), files.dump(document))


def remove_node_files(site: Site, name: str) -> None:
    """Remove an instance's directory; one that is gone is success."""
    import shutil  # noqa: PLC0415 - a pass that removes nothing must not pay for it

    with translated(f"remove the files of {name}"):
        shutil.rmtree(_below(site.nodes_dir, name), ignore_errors=False, onerror=_unless_gone)


def remove_endpoints(site: Site, session: str) -> None:
    """Remove a session's endpoints; gone already is success."""
    with translated(f"remove the endpoints of {session}"):
        _below(site.endpoints_dir, f"{session}.json").unlink(missing_ok=True)


def remove_lease(site: Site, session: str) -> None:
    """Remove a lease that nobody holds. One that a program has taken meanwhile stays, and gone already is success."""
    with translated(f"remove the lease of {session}"):
        path = _below(site.sessions_dir, f"{session}.json")
        try:
            file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if lock.is_at(file, path):
                path.unlink(missing_ok=True)
        except BlockingIOError:
            return
        finally:
            os.close(file)


def _below(directory: str, name: str) -> Path:
    """Return a place directly in a directory. A name that leads elsewhere is a defect, and would delete elsewhere."""
    if name in {"", ".", ".."} or "/" in name:
        msg = f"{name!r} is no name of a file in {directory}"
        raise FilesError(msg)
    return Path(directory, name)


def _directory(place: Path, mode: int) -> None:
    place.mkdir(parents=True, exist_ok=True, mode=mode)


def _unless_gone(_function: object, _path: str, raised: tuple[object, BaseException, object]) -> None:
    if not isinstance(raised[1], FileNotFoundError):
        raise raised[1]


@contextmanager
def translated(what: str) -> Iterator[None]:
    """Turn an error of the operating system into one of ours, which says what was to be done.

    Raises:
        FilesError: in place of an OSError.
    """
    try:
        yield
    except OSError as error:
        msg = f"can't {what}: {': '.join(filter(None, (error.strerror, error.filename)))}"
        raise FilesError(msg) from error
