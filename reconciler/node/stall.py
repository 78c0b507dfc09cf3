"""What is done about a node that hangs: `process` has worked on a frame for too long and has given nothing back.

The runtime's main thread notices. It takes the frame away, tells the session in an error frame, and ends the process
with a code of its own, since a thread can't be ended; the controller starts it again. With `onError: Restart` the frame
is then tried once more; so that it is not tried for ever, what it was is noted in a file beside the status.

Rule: what holds the interpreter's lock stops the main thread too. For that the process ends itself a while later, by a
watchdog that needs no lock, and with the places of all threads in the log.
"""

from __future__ import annotations

import contextlib
import faulthandler
import json
from typing import TYPE_CHECKING, Any, Dict, Iterable, List, NamedTuple, Optional

from reconciler.contract import files

if TYPE_CHECKING:
    from pathlib import Path

    from reconciler.node.worker import Worker
    from reconciler.stream.subscriber import Arrival

FILE = "stalled.json"
WATCHDOG_S = 10.0
"""How much later than the main thread would have noticed the watchdog ends the process."""


class Hanging(NamedTuple):
    """A worker whose node hangs, and on what."""

    worker: Worker
    arrival: Arrival


def find(workers: Iterable[Worker]) -> Optional[Hanging]:
    """Return a worker whose node hangs, its frame taken away from it; None where all get on."""
    for worker in workers:
        left_s = worker.stalls_in_s()
        if left_s is not None and left_s <= 0:
            arrival = worker.seize()
            if arrival is not None:
                return Hanging(worker, arrival)
    return None


def due_in_s(workers: Iterable[Worker]) -> float:
    """Return when the next node may be found to hang, in seconds from now; infinity where none can."""
    waits = [left_s for worker in workers if (left_s := worker.stalls_in_s()) is not None]
    return max(min(waits, default=float("inf")), 0.0)


def guard(workers: Iterable[Worker]) -> None:
    """End the process, unless this is called again before some node has hung for longer than can be noticed.

    The watchdog is a thread: where a limit allows none just now, there is none until the next call.
    """
    due_s = due_in_s(workers)
    if due_s < float("inf"):
        with contextlib.suppress(RuntimeError):
            faulthandler.dump_traceback_later(due_s + WATCHDOG_S, exit=True)
    else:
        faulthandler.cancel_dump_traceback_later()


class Note:
    """Which frame each session hung on last, kept beside the status."""

    def __init__(self, directory: Path) -> None:
        """Name the file."""
        self._path = directory / FILE

    def has(self, hanging: Hanging) -> bool:
        """Tell whether the node hung on this very frame before."""
        return self._read().get(_session(hanging)) == _frame(hanging)

    def write(self, hanging: Hanging, workers: Iterable[Worker]) -> None:
        """Note a frame; sessions that are served no more are forgotten."""
        served = {f"{worker.served.session}@{worker.served.node}" for worker in workers}
        kept = {session: frame for session, frame in self._read().items() if session in served}
        kept[_session(hanging)] = _frame(hanging)
        with contextlib.suppress(OSError):
            files.replace_text(self._path, json.dumps(kept))

    def _read(self) -> Dict[str, Any]:
        try:
            found = json.loads(files.read_text(self._path) or "{}")
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}


def _session(hanging: Hanging) -> str:
    served = hanging.worker.served
    return f"{served.session}@{served.node}"


def _frame(hanging: Hanging) -> List[int]:
    header = hanging.arrival.header
    return [hanging.arrival.end, header.incarnation, header.position]
