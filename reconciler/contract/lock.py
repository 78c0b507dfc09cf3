"""File locks as signs of life: the kernel lets go of them when their program ends, however it ends.

Rule: asking takes the lock for a moment, so whoever wants it tries for a moment, too.
"""

from __future__ import annotations

import fcntl
import os
import struct
import time
from typing import TYPE_CHECKING, Union

if TYPE_CHECKING:
    from pathlib import Path

PATIENCE_S = 0.25
"""Longer than anybody holds a lock only to ask."""

_PAUSE_S = 0.005
_ASKING = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
"""Where a pipe lies in the place of a file, opening it else waits for who writes to it."""

_FLOCK = "hhqqi"
_WHOLE = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)


def take(file: int) -> bool:
    """Lock an open file for as long as it is open; False when another program has it."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                return False
            time.sleep(_PAUSE_S)
        else:
            return True


def held(path: Union[str, Path]) -> bool:
    """Tell whether some program holds a file's lock; a file that is not there is held by nobody."""
    try:
        file = os.open(path, _ASKING)
    except OSError:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(file)
    return False


def is_write_locked(path: Union[str, Path]) -> bool:
    """Tell whether another process has locked a file for writing by its record. Source: fcntl_locking(2)."""
    file = os.open(path, _ASKING)
    try:
        found = fcntl.fcntl(file, fcntl.F_GETLK, _WHOLE)
    finally:
        os.close(file)
    kind: int = struct.unpack(_FLOCK, found)[0]
    return kind == fcntl.F_WRLCK


def is_at(file: int, path: Path) -> bool:
    """Tell whether an open file is the one that now has a name."""
    try:
        return path.stat().st_ino == os.fstat(file).st_ino
    except OSError:
        return False


def remove_unheld(path: Path) -> None:
    """Remove a file that is locked by nobody; whoever locks it afterwards sees by `is_at` that it is gone."""
    try:
        file = os.open(path, _ASKING)
    except OSError:
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if is_at(file, path):  # what has the name by now may be locked by another program
            path.unlink(missing_ok=True)
    except BlockingIOError:
        return
    finally:
        os.close(file)
