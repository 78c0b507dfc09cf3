"""The kernel's process table, read from `/proc`.

Source: proc_pid_stat(5): the command, in parentheses, may itself hold spaces and parentheses; field 3 is the state,
field 22 the start time in clock ticks since boot.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.contract.files import read_bytes
from reconciler.contract.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Iterator

PROC = Path("/proc")
ENDED = {"Z", "X", "x"}
_STATE, _PARENT, _USER_TIME, _SYSTEM_TIME, _STARTED, _RESIDENT = 0, 1, 11, 12, 19, 21
"""Positions behind the command: fields 3, 4, 14, 15, 22 and 24, counted from 3."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A living process: its arguments, and its start in clock ticks since boot."""

    pid: int
    started: str
    argv: tuple[str, ...]


def living(uid: int, *words: str) -> Iterator[Entry]:
    """Return a user's processes that have all of some words in their arguments; those that end meanwhile are left out.

    Raises:
        OSError: if the process table itself can't be read.
    """
    wanted = tuple(map(os.fsencode, words))
    for name in os.listdir(PROC):  # noqa: PTH208 - names alone, over hundreds of processes
        if name.isdigit() and (found := _read(name, uid, wanted)):
            yield found


def _read(pid: str, uid: int, words: tuple[bytes, ...]) -> Entry | None:
    """Return one process of a user, or None where it has ended, is another's, or lacks a word.

    The arguments come first: nearly every process ends there, and a machine may run thousands.
    """
    place = f"{PROC}/{pid}"
    try:
        argv = read_bytes(f"{place}/cmdline")
        if not all(word in argv for word in words) or os.stat(place).st_uid != uid:  # noqa: PTH116 - see above
            return None
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return None
    started = started_at(int(pid))
    return None if started is None else Entry(int(pid), started, tuple(os.fsdecode(argv).split("\0")[:-1]))


def parent(pid: int) -> Entry | None:
    """Return the parent of a process, or None where one of the two has ended."""
    behind = _stat(pid)
    if behind is None:
        return None
    above = int(behind[_PARENT])
    try:
        argv = read_bytes(f"{PROC}/{above}/cmdline")
    except OSError:
        return None
    started = started_at(above)
    return None if started is None else Entry(above, started, tuple(os.fsdecode(argv).split("\0")[:-1]))


def usage(pid: int) -> tuple[float, int] | None:
    """Return a process's processor time in seconds and its resident memory in bytes, or None where it has ended."""
    behind = _stat(pid)
    if behind is None:
        return None
    taken = int(behind[_USER_TIME]) + int(behind[_SYSTEM_TIME])
    return taken / os.sysconf("SC_CLK_TCK"), int(behind[_RESIDENT]) * os.sysconf("SC_PAGE_SIZE")


def started_at(pid: int) -> str | None:
    """Return when a process started, or None where it has ended."""
    behind = _stat(pid)
    return None if behind is None or behind[_STATE] in ENDED else behind[_STARTED]


def _stat(pid: int) -> list[str] | None:
    try:
        return read_bytes(f"{PROC}/{pid}/stat").decode("ascii", "replace").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
