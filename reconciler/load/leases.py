"""Sessions that programs want: a lease counts while somebody holds its lock.

Rule: the lock is the truth, the file only says what it is for. A client locks its file before it puts it in place, so
one that can be locked by us has lost its owner. Nothing is written or removed here.
"""

from __future__ import annotations

import fcntl
import os
import stat
from typing import TYPE_CHECKING

from reconciler.contract import names
from reconciler.contract.files import parse_lease
from reconciler.contract.values import dataclass
from reconciler.model.desired import Diagnostic, Session
from reconciler.model.manifest import Origin

if TYPE_CHECKING:
    from pathlib import Path

MAX_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class Leases:
    """Live leases as sessions; the files of dead ones; and what could not be told."""

    sessions: tuple[Session, ...] = ()
    stale: tuple[Path, ...] = ()
    diagnostics: tuple[Diagnostic, ...] = ()
    complete: bool = True


def look(directory: Path) -> Leases:
    """Look at the leases in a directory; one that is not there holds none."""
    sessions: list[Session] = []
    stale: list[Path] = []
    wrong: list[Diagnostic] = []
    complete = True
    if directory.exists() and not os.access(directory, os.R_OK | os.X_OK):
        return Leases(diagnostics=(Diagnostic(Origin(str(directory)), "leases can't be read"),), complete=False)
    for path in _files(directory):
        try:
            text = _held(path)
        except OSError as error:
            wrong.append(Diagnostic(Origin(str(path)), f"the lease can't be read: {error.strerror}"))
            complete = False
            continue
        if text is None:
            stale.append(path)
        elif text and (session := _session(path, text)):
            sessions.append(session)
        elif text:
            wrong.append(Diagnostic(Origin(str(path)), "this is no lease; its program should close and open again"))
    return Leases(tuple(sessions), tuple(stale), tuple(wrong), complete=complete)


def held(directory: Path) -> frozenset[str]:
    """Return the names of the leases that are held now, without a look at what they say."""
    return frozenset(path.stem for path in _files(directory) if _holds(path))


def _holds(path: Path) -> bool:
    try:
        return bool(_held(path))
    except OSError:
        return False


def _files(directory: Path) -> list[Path]:
    try:
        return sorted(path for path in directory.iterdir() if path.suffix == ".json" and path.name[0] != ".")
    except OSError:
        return []


def _held(path: Path) -> str | None:
    """Return the text of a lease that is held, nothing (`""`) where it is gone, None where nobody holds it."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return ""
    try:
        about = os.fstat(descriptor)
        if not stat.S_ISREG(about.st_mode):
            return "?"
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return os.read(descriptor, MAX_BYTES).decode("utf-8", "replace") or "?"
        # Closing gives the lock back. A file that was removed meanwhile is not stale but gone.
        return None if about.st_nlink else ""
    finally:
        os.close(descriptor)


def _session(path: Path, text: str) -> Session | None:
    try:
        lease = parse_lease(text)
    except RecursionError:
        return None
    if lease is None or not isinstance(lease.session, str) or not isinstance(lease.pipeline, str):
        return None
    if lease.session != path.stem or not names.NAME.fullmatch(lease.session):
        return None
    return Session(lease.session, lease.pipeline, "lease", Origin(str(path)))
