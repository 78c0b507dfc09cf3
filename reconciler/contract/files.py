"""Format of the files through which the planes meet. Every file is JSON and replaced atomically.

| file | written by | read by |
|---|---|---|
| `sessions/<session>.json` | client library, which holds it by `flock` | controller |
| `endpoints/<session>.json` | controller | client library |
| `nodes/<name>/assignments.json` | controller | node runtime |
| `nodes/<name>/status.json` | node runtime | controller |

Rule: a reader takes what it knows and passes over the rest, so that the planes can be of different versions; a
document it can't use is `None`, never an exception.
"""

from __future__ import annotations

import errno
import json
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Dict, Mapping, Optional, Tuple, Union

from reconciler.contract.values import asdict, dataclass, named, names_of, replace

if TYPE_CHECKING:
    from pathlib import Path

FORMAT = 1

_PIECE_BYTES = 1 << 16
_LARGEST_BYTES = 1 << 26

_TEXTS = {"session", "node", "port", "output", "state", "message", "generation"}
"""Fields of a session's status that are no numbers."""

INPUTS = "inputs"

RELIABLE = "reliable"
LATEST = "latest"

STARTING = "starting"
WAITING = "waiting"
READY = "ready"
ERRING = "erring"
FAILED = "failed"
"""How a session fares in a node: initializing; ready but for the instance that serves it yet; served; served, and
`process` raised in the stream it has; not served."""

RESTART = "Restart"
SKIP = "Skip"
FAIL = "Fail"
"""What happens when a node raises on a frame (`onError`)."""

STALL_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True)
class Channel:
    """One end of a publish-subscribe service, with the limits that whoever creates it sets.

    `node` is who emits ("" for the session's own program). `port` is the emitting port for an output, the receiving
    port for an input. `delivery` is this reader's for an input; a sender goes by `readers`: the node ids of the
    reliable readers, for which it waits ("" is the session's own program, which counts only while it is attached).
    `buffer` (frames) and `subscribers` are the service's limits and equal at all its ends.
    """

    name: str
    node: str = ""
    port: str = ""
    delivery: str = RELIABLE
    buffer: int = 32
    subscribers: int = 1
    readers: Tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Served:
    """One session as one node instance serves it. `generation` is a digest of the rest.

    `stall_timeout_s`: how long `process` may work on a frame and give nothing back; None: for ever.
    """

    session: str
    pipeline: str
    node: str
    params: str
    inputs: Tuple[Channel, ...]
    outputs: Tuple[Channel, ...]
    generation: str = ""
    on_error: str = RESTART
    stall_timeout_s: Optional[float] = STALL_TIMEOUT_S


@dataclass(frozen=True, slots=True)
class Assignments:
    """What a node instance shall serve. `generation` is a digest of the content: equal means nothing to do.

    `leaving` are sessions that another instance takes over: it is to end them in good order, which it has done when
    its status has this generation and does not name them. A runtime that doesn't know the field ends them at once.
    """

    name: str
    generation: str
    sessions: Tuple[Served, ...] = ()
    leaving: Tuple[Served, ...] = ()


@dataclass(frozen=True, slots=True)
class InputStatus:
    """What has come over one connection: from `node` ("" for the session's own program) to the receiving `port`.

    `output` is the emitting port; a runtime that doesn't know the field says nothing of it. `received` and `dropped`
    count frames, `doubled` those that came once more and were passed over.
    """

    node: str = ""
    port: str = ""
    received: int = 0
    dropped: int = 0
    doubled: int = 0
    output: str = ""


def added(first: InputStatus, second: InputStatus) -> InputStatus:
    """Return the sum of what came over one connection."""
    return replace(
        first,
        received=first.received + second.received,
        dropped=first.dropped + second.dropped,
        doubled=first.doubled + second.doubled,
    )


@dataclass(frozen=True, slots=True)
class SessionStatus:
    """How one session fares in one node of an instance (which may serve two nodes of one session).

    `generation` is that of the entry it is served by, so that a session is not in doubt because others come and go.
    `received`, `sent` and `dropped` count frames; `backlog` are those sent that some reliable reader has not finished.
    `failures` counts how often in a row the node could not be got ready; it is tried again with backoff. `inputs` has
    what came by connection, in the order of the assignment's inputs.
    """

    session: str
    node: str = ""
    state: str = STARTING
    message: str = ""
    received: int = 0
    sent: int = 0
    dropped: int = 0
    generation: str = ""
    backlog: int = 0
    failures: int = 0
    inputs: Tuple[InputStatus, ...] = ()


@dataclass(frozen=True, slots=True)
class Usage:
    """What the kernel has counted of a container since it started; 0 where it counts nothing.

    `memory_peak_bytes` is the most it used, in whole MiB, rounded up, `oom_kills` how many of its processes were killed
    for memory, `pids_refused` how many it could not start, `throttled` the share of late time in which it had to wait
    (0.0 to 1.0).
    """

    memory_peak_bytes: int = 0
    oom_kills: int = 0
    pids_refused: int = 0
    throttled: float = 0.0


@dataclass(frozen=True, slots=True)
class Status:
    """What a node instance says of itself.

    `generation` is the one of the assignments it has taken in, empty until the node's code is loaded.
    """

    name: str
    generation: str = ""
    sessions: Tuple[SessionStatus, ...] = ()
    error: str = ""
    usage: Usage = Usage()


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Where a session begins and ends, and whether it is ready.

    `memory` is the number of the pipeline's own shared memory (`st_dev` of its `/dev/shm`), 0 if it has the host's.
    """

    session: str
    pipeline: str
    ready: bool = False
    reason: str = ""
    message: str = ""
    inputs: Tuple[Channel, ...] = ()
    outputs: Tuple[Channel, ...] = ()
    memory: int = 0


@dataclass(frozen=True, slots=True)
class Lease:
    """A program's wish for a session; it lasts as long as the file's lock."""

    session: str
    pipeline: str
    pid: int = 0
    program: str = ""


def dump(document: Any) -> str:
    """Return a document's JSON text, the same for equal documents."""
    return json.dumps({"format": FORMAT, **asdict(document)}, sort_keys=True, indent=1) + "\n"


def parse_assignments(text: str) -> Optional[Assignments]:
    """Read assignments, or None where the text is damaged."""
    raw = _load(text)
    try:
        sessions = tuple(_served(entry) for entry in raw.get("sessions", ()))
        leaving = tuple(_served(entry) for entry in raw.get("leaving", ()))
        return Assignments(raw["name"], raw["generation"], sessions, leaving)
    except (KeyError, TypeError, AttributeError):
        return None


def parse_status(text: str) -> Optional[Status]:
    """Read a status, or None where the text is damaged."""
    raw = _load(text)
    try:
        sessions = tuple(_session_status(entry) for entry in raw.get("sessions", ()))
        usage = _status_of(Usage, raw.get("usage", {}))
        texts = (raw["name"], raw.get("generation", ""), raw.get("error", ""))
        if not all(isinstance(text, str) for text in texts):
            return None
        return Status(texts[0], texts[1], sessions, texts[2], usage)
    except (KeyError, TypeError, AttributeError):
        return None


def parse_endpoints(text: str) -> Optional[Endpoints]:
    """Read endpoints, or None where the text is damaged."""
    raw = _load(text)
    try:
        plain = _known(Endpoints, raw)
        plain["inputs"] = tuple(_channel(entry) for entry in raw.get("inputs", ()))
        plain["outputs"] = tuple(_channel(entry) for entry in raw.get("outputs", ()))
        return Endpoints(**plain)
    except (KeyError, TypeError, AttributeError):
        return None


def parse_lease(text: str) -> Optional[Lease]:
    """Read a lease, or None where the text is damaged."""
    try:
        return Lease(**_known(Lease, _load(text)))
    except (TypeError, AttributeError):
        return None


def read_bytes(path: Union[str, Path]) -> bytes:
    """Read a file whole. A look reads a dozen for each node, most of a few bytes: half the time that `open` takes.

    A node's code may put anything there: a pipe nobody writes to is empty, and what has no end is given up.

    Raises:
        OSError: if it can't be read, or is too large to be ours.
    """
    file = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        pieces = []
        left = _LARGEST_BYTES
        while piece := os.read(file, _PIECE_BYTES):
            pieces.append(piece)
            left -= len(piece)
            if left < 0:
                raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), str(path))
        return b"".join(pieces)
    finally:
        os.close(file)


def read_text(path: Union[str, Path]) -> Optional[str]:
    """Read a file, or None where it is gone or no text."""
    try:
        return read_bytes(path).decode("utf-8")
    except (OSError, UnicodeDecodeError):
        return None


def replace_text(path: Path, text: str) -> None:
    """Put a file in place whole: a reader sees the old content or the new, never a part.

    Raises:
        OSError: if it can't be written, with the file's name; then nothing is left of the new content.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink()
        error.filename = error.filename or str(path)  # a full disk has none
        raise


def _load(text: str) -> Dict[str, Any]:
    try:
        raw = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return raw if isinstance(raw, dict) else {}


def _known(kind: Any, raw: Mapping[str, Any]) -> Dict[str, Any]:
    return {name: raw[name] for name in names_of(kind) if name in raw}


def _session_status(raw: Mapping[str, Any]) -> SessionStatus:
    made: SessionStatus = _status_of(SessionStatus, {name: raw[name] for name in raw if name != INPUTS})
    return replace(made, inputs=tuple(_status_of(InputStatus, entry) for entry in raw.get(INPUTS, ())))


def _status_of(kind: Any, raw: Mapping[str, Any]) -> Any:
    """Return a part of a status. The node's own process writes there, so that types are looked at, too.

    Raises:
        TypeError: if a number is none, or a text.
    """
    made = kind(**_known(kind, raw))
    for name, value in named(made).items():
        if name != INPUTS and not isinstance(value, str if name in _TEXTS else (int, float)):
            raise TypeError(name)
    return made


def _channel(raw: Mapping[str, Any]) -> Channel:
    plain = _known(Channel, raw)
    plain["readers"] = tuple(raw.get("readers", ()))
    return Channel(**plain)


def _served(raw: Mapping[str, Any]) -> Served:
    plain = _known(Served, raw)
    plain["inputs"] = tuple(_channel(entry) for entry in raw.get("inputs", ()))
    plain["outputs"] = tuple(_channel(entry) for entry in raw.get("outputs", ()))
    return Served(**plain)
