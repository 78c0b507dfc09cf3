"""The whole output of image builds, one file for each image, for `reconcile describe image`.

The output of a build that has failed stays while it is tried again, since it says why; the next one lies beside it, and
takes its place when it ends.

Rule: it explains and decides nothing: what can't be written is not. Both a log and their number are bounded.
"""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

LONGEST_BYTES = 2 << 20
"""A log that grows longer loses its first half."""

MOST_LOGS = 100
ENDED, UNDER_WAY = ".log", ".now"
AGAIN = "::built again\n"
CUT_OFF = "::cut off: the controller ended before the build did\n"


class BuildLogs:
    """The logs of an instance. Any thread may call."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._began_s: dict[str, float] = {}
        self._lock = threading.Lock()

    def take_over(self) -> None:
        """Take over what a controller that was killed has left: no build of its is under way any more.

        Such a log stands for its build, unless an earlier one says why that failed.
        """
        with self._lock, suppress(OSError):
            for left in self._directory.glob(f"*{UNDER_WAY}"):
                ended = left.with_suffix(ENDED)
                if ended.exists():
                    left.unlink()
                    continue
                with left.open("a", encoding="utf-8") as log:
                    log.write(CUT_OFF)
                left.replace(ended)

    def begin(self, tag: str) -> None:
        """Begin an image's log, and drop the oldest where there are too many."""
        with self._lock, suppress(OSError):
            self._began_s[tag] = time.monotonic()
            self._directory.mkdir(mode=0o700, exist_ok=True)
            logs = sorted(self._directory.iterdir(), key=lambda path: path.stat().st_mtime)
            for old in logs[: max(len(logs) - MOST_LOGS + 1, 0)]:
                old.unlink()
            place(self._directory, tag, UNDER_WAY).write_text("", encoding="utf-8")

    def line(self, tag: str, text: str) -> None:
        """Append a line, with the seconds since the build began."""
        elapsed_s = time.monotonic() - self._began_s.get(tag, time.monotonic())
        path = place(self._directory, tag, UNDER_WAY)
        with self._lock, suppress(OSError), path.open("a", encoding="utf-8") as log:
            log.write(f"{elapsed_s:7.1f} {text}\n")
            if log.tell() > LONGEST_BYTES:
                log.flush()
                self._halve(path)

    def end(self, tag: str) -> None:
        """Put an image's log in the place of that of an earlier build."""
        with self._lock, suppress(OSError):
            place(self._directory, tag, UNDER_WAY).replace(place(self._directory, tag, ENDED))

    @staticmethod
    def _halve(path: Path) -> None:
        content = path.read_bytes()
        path.write_bytes(content[len(content) // 2 :].partition(b"\n")[2])


def read(directory: Path, tag: str) -> str | None:
    """Return the log of an image's last build, and of the one under way; None where there is none."""
    found = [text for text in (_text(place(directory, tag, kind)) for kind in (ENDED, UNDER_WAY)) if text is not None]
    return AGAIN.join(found) if found else None


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None


def place(directory: Path, tag: str, kind: str) -> Path:
    """Return the file of an image's log, of a build that has ended or is under way."""
    return directory / f"{tag.rpartition(':')[2]}{kind}"
