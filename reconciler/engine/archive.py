"""Files on their way into a container, as a tar on disk: one of them may be large."""

from __future__ import annotations

import io
import tarfile
import tempfile
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

IN_MEMORY_BYTES = 1 << 20


def archive(files: Iterable[tuple[str, bytes | Path]]) -> IO[bytes]:
    """Return files as an open tar: owner root, fixed times, and their directories from the second level on.

    The caller closes it.
    """
    content = tempfile.SpooledTemporaryFile(max_size=IN_MEMORY_BYTES)  # noqa: SIM115 - the caller's
    with tarfile.open(fileobj=content, mode="w") as tar:
        seen: set[str] = set()
        for path, data in files:
            relative = path.lstrip("/")
            for parent in _parents(relative, seen):
                entry = tarfile.TarInfo(parent)
                entry.type, entry.mode = tarfile.DIRTYPE, 0o755
                tar.addfile(entry)
            entry = tarfile.TarInfo(relative)
            entry.mode = 0o644
            if isinstance(data, bytes):
                entry.size = len(data)
                tar.addfile(entry, io.BytesIO(data))
            else:
                entry.size = data.stat().st_size
                with data.open("rb") as source:
                    tar.addfile(entry, source)
    content.seek(0)
    return content


def _parents(path: str, seen: set[str]) -> list[str]:
    """Return a path's directories that were not named yet, outermost first; `/opt` and its like keep what they are."""
    parts = path.split("/")[:-1]
    found = ["/".join(parts[:count]) for count in range(2, len(parts) + 1)]
    fresh = [parent for parent in found if parent not in seen]
    seen.update(fresh)
    return fresh
