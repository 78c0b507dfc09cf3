"""A program that opens session after session, each in a process of its own, and ends them as told.

    python -m tests.support.visitor PIPELINE COUNT KILL_EVERY

Every `KILL_EVERY`-th (0: none) ends by SIGKILL with its session open, the others close it. Processes are forked from
this one before it has touched shared memory, which is much cheaper than starting a program for each.
`hold` instead of COUNT opens one session, says its name, and keeps it until stdin ends.
"""

from __future__ import annotations

import os
import signal
import sys

from reconciler.stream import Session, Text


def visit(pipeline: str, number: int, *, killed: bool) -> None:
    """Send a word through a session of one's own, and see that it is what comes back."""
    session = Session.open(pipeline, timeout_s=30)
    session.send(Text(f"word {number}"))
    frame = session.receive(timeout_s=30)
    if not isinstance(frame, Text) or frame.text != f"WORD {number}":
        msg = f"session {session.name} got {frame!r} for word {number}"
        raise ValueError(msg)
    if killed:
        os.kill(os.getpid(), signal.SIGKILL)
    session.close()


def visits(pipeline: str, count: int, *, kill_every: int) -> None:
    """Open sessions one after the other."""
    for number in range(count):
        killed = bool(kill_every) and number % kill_every == 0
        child = os.fork()
        if child == 0:
            status = 1
            try:
                visit(pipeline, number, killed=killed)
                status = 0
            finally:
                os._exit(status)
        _, status = os.waitpid(child, 0)
        expected = signal.SIGKILL if killed else 0
        if status != expected:
            sys.exit(f"visit {number} ended with status {status}, not {expected}")


def hold(pipeline: str) -> None:
    """Keep one session open until stdin ends."""
    with Session.open(pipeline, timeout_s=30) as session:
        sys.stdout.write(f"{session.name}\n")
        sys.stdout.flush()
        sys.stdin.read()


if __name__ == "__main__":
    if sys.argv[2] == "hold":
        hold(sys.argv[1])
    else:
        visits(sys.argv[1], int(sys.argv[2]), kill_every=int(sys.argv[3]))
