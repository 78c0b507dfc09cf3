"""Find manifest files, and read them so that what was read is what was there at one moment.

Rule: a directory is resolved once per look and everything is read below it, so that a swapped link is one revision;
paths are told as the user wrote them. A look says plainly whether it is complete: what could not be read is `lost`.
"""

from __future__ import annotations

import os
import stat
import time
from typing import TYPE_CHECKING, Literal

from reconciler.contract.values import dataclass, field

if TYPE_CHECKING:
    from pathlib import Path

SUFFIXES = (".yaml", ".yml")
CODE_DIRS = frozenset({"nodes", "__pycache__", "node_modules"})
"""Folders that hold node code; YAML in them belongs to the code."""

MAX_ENTRIES = 50_000
MAX_DEPTH = 32
SETTLED_NS = 20_000_000
"""A file younger than this may change again within the clock tick of its file system, so its stat proves nothing."""

Signature = tuple[int, ...]
State = Literal["read", "missing", "unreadable"]


@dataclass(frozen=True, slots=True)
class Found:
    """A manifest file. `key` is its absolute path and `shown` the path to tell, links not resolved; `real` is read."""

    key: str
    shown: str
    real: str


@dataclass(frozen=True, slots=True)
class Look:
    """What lies at one place. `identity` is the directory's inode: of a file, or of what is missing, the one above it.

    `lost` are folders and files (as keys) that are there and can't be read, with why.
    """

    root: str
    shown: str
    state: State
    identity: tuple[int, int] = (0, 0)
    files: tuple[Found, ...] = ()
    lost: tuple[tuple[str, str, str], ...] = ()
    why: str = ""


@dataclass(slots=True)
class _Walk:
    files: list[Found] = field(default_factory=list)
    lost: list[tuple[str, str, str]] = field(default_factory=list)
    entries: int = 0


def look(place: Path) -> Look:
    """Find the manifests at a place: a directory with its sub-folders, or one file."""
    root = os.path.abspath(place)
    shown = tell(str(place))
    try:
        real = os.path.realpath(root)
        about = os.stat(real)
    except FileNotFoundError:
        return Look(root, shown, "missing", _identity(os.path.split(root)[0]), why="no such file or directory")
    except (OSError, ValueError) as error:
        return Look(root, shown, "unreadable", why=_why(error))
    if not stat.S_ISDIR(about.st_mode):
        # Its code lies beside it where it was named, so only the way to it is resolved.
        parent, name = os.path.split(root)
        file = Found(root, shown, f"{os.path.realpath(parent)}/{name}")
        return Look(root, shown, "read", _identity(parent), (file,))
    walk = _Walk()
    why = _directory(walk, Found(root, shown, real), above=frozenset({(about.st_dev, about.st_ino)}))
    if why:
        return Look(root, shown, "unreadable", why=why)
    files = tuple(sorted(walk.files, key=lambda each: each.key))
    return Look(root, shown, "read", (about.st_dev, about.st_ino), files, tuple(sorted(walk.lost)))


def _directory(walk: _Walk, place: Found, *, above: frozenset[tuple[int, int]]) -> str:
    """Add what lies in a directory; return why it can't be read. `above` are the directories on the way to it."""
    try:
        with os.scandir(place.real) as listing:
            entries = sorted(listing, key=lambda each: each.name)
    except OSError as error:
        return _why(error)
    for entry in entries:
        walk.entries += 1
        if walk.entries > MAX_ENTRIES:
            return f"more than {MAX_ENTRIES} files and folders: choose a directory that holds manifests only"
        if _is_left_out(entry.name):
            continue
        here = Found(f"{place.key}/{entry.name}", f"{place.shown.rstrip('/')}/{tell(entry.name)}", entry.path)
        why = _entry(walk, entry, here, above=above)
        if why:
            walk.lost.append((here.key, here.shown, why))
    return ""


def _entry(walk: _Walk, entry: os.DirEntry[str], here: Found, *, above: frozenset[tuple[int, int]]) -> str:
    try:
        if not entry.is_dir():
            if entry.name.endswith(SUFFIXES):
                walk.files.append(here)
            return ""
        if entry.name in CODE_DIRS:
            return ""
        about = entry.stat()
    except OSError as error:
        return _why(error)
    identity = (about.st_dev, about.st_ino)
    if identity in above:
        return ""
    if len(above) >= MAX_DEPTH:
        return f"folders nested deeper than {MAX_DEPTH} levels"
    return _directory(walk, here, above=above | {identity})


def tell(path: str) -> str:
    """Return a path as it can be printed on one line, whatever bytes its name holds."""
    text = os.fsencode(path).decode("utf-8", "replace")
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def _identity(directory: str) -> tuple[int, int]:
    try:
        about = os.stat(directory)
    except OSError:
        return (0, 0)
    return (about.st_dev, about.st_ino)


def _is_left_out(name: str) -> bool:
    return name.startswith((".", "#")) or name.endswith(("~", ".swp", ".tmp"))


@dataclass(frozen=True, slots=True)
class Content:
    """The bytes of a file, or why there are none. `settled` says whether its signature proves that it is the same."""

    data: bytes = b""
    why: str = ""
    signature: Signature = ()
    settled: bool = False


def signature(about: os.stat_result) -> Signature:
    """Return what changes when a file does."""
    return (about.st_dev, about.st_ino, about.st_size, about.st_mtime_ns, about.st_ctime_ns)


def is_settled(found: Signature) -> bool:
    """Whether a file is old enough for its signature to prove that it is the same."""
    return time.time_ns() - max(found[-2:]) > SETTLED_NS


def signature_of(real: str) -> Signature:
    """Return a file's signature, or nothing where there is no file."""
    try:
        return signature(os.stat(real))
    except (OSError, ValueError):
        return ()


def read(real: str, *, limit: int, attempts: int = 3) -> Content:
    """Read a file whole, again where it changed meanwhile. At most `limit` + 1 bytes, so that too much shows."""
    for _ in range(attempts):
        content = _read_once(real, limit)
        if content is not None:
            return content
    return Content(why="changes while it is read; it is looked at again in the next pass")


def _read_once(real: str, limit: int) -> Content | None:
    try:
        # Without O_NONBLOCK a named pipe would hold us up for ever.
        descriptor = os.open(real, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError) as error:
        return Content(why=_why(error))
    with os.fdopen(descriptor, "rb") as file:
        try:
            before = os.fstat(descriptor)
            if not stat.S_ISREG(before.st_mode):
                return Content(why="is no regular file")
            data = file.read(limit + 1)
            after = os.fstat(descriptor)
        except OSError as error:
            return Content(why=_why(error))
    if signature(before) != signature(after) or (len(data) <= limit and len(data) != after.st_size):
        return None
    return Content(data, signature=signature(after), settled=is_settled(signature(after)))


def _why(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return "is gone, or a link that leads nowhere"
    return f"can't be read: {error.strerror}" if isinstance(error, OSError) else f"can't be read: {error}"
