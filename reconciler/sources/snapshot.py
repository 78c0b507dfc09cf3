"""Snapshots of node source: `<sources>/<digest>/`, complete or not there."""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path

from reconciler.model.errors import SourceError
from reconciler.sources.tree import digest, files

CACHED_SNAPSHOTS = 1024

_DIGEST = re.compile(r"[0-9a-f]{64}")
_COPY = ".copy-"
_OURS = re.compile(rf"{_DIGEST.pattern}|{re.escape(_COPY)}\w+")


def present(sources: Path) -> frozenset[str]:
    """Return the digests of the snapshots that are there in good order; contents are read when a file has changed.

    Raises:
        SourceError: if the directory is there and can't be read.
    """
    return look(sources)[0]


def look(sources: Path) -> tuple[frozenset[str], tuple[str, ...]]:
    """Return the digests of the snapshots in good order, and the names of what else we put beside them, sorted.

    Raises:
        SourceError: if the directory is there and can't be read.
    """
    try:
        found = [entry for entry in sources.iterdir() if _OURS.fullmatch(entry.name)]
    except FileNotFoundError:
        return frozenset(), ()
    except OSError as error:
        msg = f"can't read {sources}: {error.strerror}"
        raise SourceError(msg) from error
    whole = frozenset(entry.name for entry in found if _DIGEST.fullmatch(entry.name) and _is_whole(entry))
    return whole, tuple(sorted(entry.name for entry in found if entry.name not in whole))


def remove(name: str, *, sources: Path) -> None:
    """Remove a snapshot, or what is left of one; one that is gone is success.

    Raises:
        SourceError: if it can't be removed, or is nothing of ours.
    """
    if not _OURS.fullmatch(name):
        msg = f"{name!r} is no snapshot in {sources}"
        raise SourceError(msg)
    import shutil  # noqa: PLC0415 - a look must not pay for it

    try:
        shutil.rmtree(sources / name)
    except FileNotFoundError:
        return
    except OSError as error:
        msg = f"can't remove {error.filename or sources / name}: {error.strerror}"
        raise SourceError(msg) from error


def _is_whole(place: Path) -> bool:
    try:
        stats = [(relative, path.stat()) for relative, path in files(place)]
        return _digest_as_of(place, tuple((str(name), s.st_ino, s.st_size, s.st_mtime_ns) for name, s in stats)) == (
            place.name
        )
    except (OSError, SourceError):
        return False


@lru_cache(maxsize=CACHED_SNAPSHOTS)
def _digest_as_of(place: Path, _signature: tuple[tuple[str, int, int, int], ...]) -> str:
    """Return the digest of a directory whose files are as the signature says: inode, size and time of change."""
    return digest(place)


def snapshot(directory: Path, wanted: str, *, sources: Path) -> None:
    """Copy a directory's source to `sources/<wanted>`, if it is not there in good order already.

    Raises:
        SourceError: if the directory's content is not what `wanted` says (it was edited since), or can't be copied.
    """
    import shutil  # noqa: PLC0415 - a look must not pay for it
    import tempfile  # noqa: PLC0415 - nor for this

    place = sources / wanted
    if place.is_dir() and digest(place) == wanted:
        return
    sources.mkdir(parents=True, exist_ok=True)
    # The copy lies beside its place, so that the rename stays on one file system.
    copy = Path(tempfile.mkdtemp(prefix=_COPY, dir=sources))
    try:
        _copy(directory, copy)
        _check(copy, wanted, directory)
        if place.exists():
            place.rename(copy / ".damaged")
        # Whoever made the same snapshot meanwhile made it of the same content.
        (copy / ".source").rename(place)
    except OSError as error:
        msg = f"can't copy {error.filename or directory} to {place}: {error.strerror}"
        raise SourceError(msg) from error
    finally:
        shutil.rmtree(copy, ignore_errors=True)


def _copy(directory: Path, copy: Path) -> None:
    import shutil  # noqa: PLC0415 - see above

    target = copy / ".source"
    target.mkdir(mode=0o755)
    for relative, path in files(directory):
        place = target / relative
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, place)


def _check(copy: Path, wanted: str, directory: Path) -> None:
    found = digest(copy / ".source")
    if found != wanted:
        msg = f"{directory} was edited while it was looked at ({found[:12]}, not {wanted[:12]}); the next pass retries"
        raise SourceError(msg)
