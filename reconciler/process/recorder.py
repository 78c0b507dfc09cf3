"""The parent of each host process: a shell that waits for it and writes its exit code down.

The kernel tells an exit code to a parent alone, and a controller that is started anew is nobody's parent. So each
process has one that outlives the controller, and any controller finds the code in the runtime directory.

Rule: an empty record asks for the code, and none is written where it is not asked for: who ends a process on purpose
takes the record away first.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from reconciler.contract.files import read_bytes
from reconciler.model.observed import ProcessEnd

RECORD = "exit"
"""Name of the record in a node instance's directory: the recorder's PID and the exit code, once there is one."""

SHELL = ("/bin/sh", "-c")
SCRIPT = """record=$1; shift
exec 3>&2 2>/dev/null
"$@" 2>&3 3>&-
code=$?
[ -e "$record" ] && echo "$$ $code" >"$record.new" && mv -f "$record.new" "$record"
exit $code"""
"""What the shell itself has to say of a signal is no output of the node, so its own stderr is closed to it."""

_BEFORE = (*SHELL, SCRIPT, "recorder")


def recorded(argv: tuple[str, ...], record: str) -> tuple[str, ...]:
    """Return the arguments of a recorder that runs a command."""
    return (*_BEFORE, record, *argv)


def record_of(argv: tuple[str, ...]) -> str:
    """Return where a process writes an exit code to; `""` where it is no recorder."""
    return argv[len(_BEFORE)] if argv[: len(_BEFORE)] == _BEFORE and len(argv) > len(_BEFORE) else ""


def ask(record: str) -> None:
    """Ask for the exit code of what is started next.

    Raises:
        OSError: if it can't be asked for.
    """
    Path(record).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    Path(record).write_bytes(b"")


def withdraw(record: str) -> None:
    """Ask for no exit code any more, and forget one that is there."""
    with suppress(OSError):
        Path(record).unlink()


def read(record: str, name: str) -> ProcessEnd | None:
    """Return how a node instance ended, or None where that is not recorded, or can't be read."""
    try:
        pid, code = map(int, read_bytes(record).split())
    except (OSError, ValueError):
        return None
    return ProcessEnd(name, pid, code)
