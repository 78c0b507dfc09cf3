"""From a pipeline's name to a session's ends: lease, wait, endpoints.

While the controller and the nodes are at work the program opens its ends (`ends.py`).

Rule: nothing is held when opening fails.
"""

from __future__ import annotations

import itertools
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Optional, Tuple

from reconciler.contract import env, files, lock, names
from reconciler.contract.watch import Watch
from reconciler.stream import lease
from reconciler.stream.channel import Domain
from reconciler.stream.ends import Ends, Opening
from reconciler.stream.errors import PipelineNotFound, SessionNotFound, SessionNotReady

if TYPE_CHECKING:
    from reconciler.contract.files import Endpoints
    from reconciler.contract.paths import Paths

_NUMBERS = itertools.count(1)

SHARED_MEMORY = "/dev/shm"  # noqa: S108 - shared memory itself
DECLARED_S = 2.0
"""How long a controller may take to read the manifest of a session that was declared just now."""

NOT_FOUND = "PipelineNotFound"
"""The reason in endpoints that says that no such pipeline is wanted."""


def open_session(
    paths: Paths, pipeline: str, *, session: Optional[str], timeout_s: float
) -> Tuple[lease.Held, Endpoints, Ends]:
    """Take a lease, wait until the session is ready, and open its ends.

    A named session, or the pipeline's own where no controller runs, is attached to; otherwise a new one is asked for.

    Raises:
        PipelineNotFound: if the controller says so.
        SessionNotFound: if the session that is to be attached to is not there.
        SessionNotReady: if it is not ready in time, or another program has it.
        TransportError: if iceoryx2 refuses.
    """
    _need_same_user(paths)
    alive = lock.held(paths.controller)
    if session is None and alive:
        held = lease.ask(paths.sessions, pipeline)
    else:
        _need_endpoints(paths, session or pipeline, pipeline, within_s=min(timeout_s, DECLARED_S) if alive else 0.0)
        held = lease.attach(paths.sessions, session or pipeline, pipeline)
    prefix, name = names.shm_prefix(paths.instance), f"client-{paths.instance}-{os.getpid()}-{next(_NUMBERS)}"
    ends = Opening(
        lambda endpoints: shared_memory(paths, endpoints),
        lambda root: Domain(root, prefix, name, sweeps=not alive),
    )
    try:
        endpoints = _await(paths, held.session, pipeline, ends=ends, timeout_s=timeout_s)
        return held, endpoints, ends.finish(endpoints)
    except BaseException:
        ends.close()
        held.release()
        raise


def shared_memory(paths: Paths, endpoints: Endpoints) -> Path:
    """Return the root directory of a session's channels, in the shared memory that this program has.

    Raises:
        SessionNotReady: if the session is in another one.
    """
    name = endpoints.pipeline
    if not endpoints.memory:
        if _is_private():
            msg = f"pipeline {name} has the host's shared memory, and this program another one: run it outside"
            raise SessionNotReady(msg)
        return paths.shm_root
    if Path(SHARED_MEMORY).stat().st_dev != endpoints.memory:
        msg = f"pipeline {name} has shared memory of its own: run this program by `reconcile exec {name} -- COMMAND`"
        raise SessionNotReady(msg)
    return Path(names.PRIVATE_SHM_ROOT)


def _is_private() -> bool:
    """Whether this program runs in a pipeline's own shared memory."""
    return os.environ.get(env.SHM_ROOT) == names.PRIVATE_SHM_ROOT


def _need_same_user(paths: Paths) -> None:
    """Refuse what iceoryx2 would leave without a word: its files can be read by their owner only."""
    try:
        owner = paths.runtime.stat().st_uid
    except OSError:
        return  # nobody serves here, which is told by what follows
    if owner != os.geteuid():
        msg = (
            f"instance {paths.instance} belongs to user {owner}, and this program runs as user {os.geteuid()}: frames "
            "reach programs of its own user only, so run as that one"
        )
        raise SessionNotReady(msg)


def _need_endpoints(paths: Paths, session: str, pipeline: str, *, within_s: float) -> None:
    """Refuse a session that nobody has declared: a lease would make a new one of that name.

    Raises:
        SessionNotFound: if it is not there `within_s` seconds, in which a controller may read its manifest.
    """
    deadline = time.monotonic() + within_s
    path = paths.endpoints / f"{session}.json"
    watch = Watch(paths.endpoints)
    try:
        while not path.exists():
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                raise SessionNotFound(_unknown(paths, session, pipeline, alive=within_s > 0))
            watch.wait(left_s)
    finally:
        watch.close_soon()


def _unknown(paths: Paths, session: str, pipeline: str, *, alive: bool) -> str:
    read = [files.parse_endpoints(files.read_text(path) or "") for path in sorted(paths.endpoints.glob("*.json"))]
    asked = {path.stem for path in paths.sessions.glob(f"{lease.stem(pipeline)}-*.json")}
    there = [each.session for each in read if each and each.pipeline == pipeline and each.session not in asked]
    if not alive and not there:
        return (
            f"no session {session} stands in instance {paths.instance} and no controller runs there: start "
            "`reconcile -f DIR`, or set it up with `reconcile --once -f DIR`"
        )
    return (
        f"no session {session} of pipeline {pipeline} stands in instance {paths.instance} (there are: "
        f"{', '.join(there) or 'none'}): a manifest of `kind: Session` declares one; without a name a new one is opened"
    )


def _await(paths: Paths, session: str, pipeline: str, *, ends: Opening, timeout_s: float) -> Endpoints:
    deadline = time.monotonic() + timeout_s
    path = paths.endpoints / f"{session}.json"
    watch = Watch(paths.endpoints)
    ends.prepare(Path(names.PRIVATE_SHM_ROOT) if _is_private() else paths.shm_root)
    try:
        while True:
            endpoints = files.parse_endpoints(files.read_text(path) or "")
            if endpoints is not None and endpoints.pipeline != pipeline:
                msg = f"session {session} is one of pipeline {endpoints.pipeline}, not of {pipeline}: name another"
                raise SessionNotReady(msg)
            if endpoints is not None and endpoints.ready:
                return endpoints
            if endpoints is not None and endpoints.reason == NOT_FOUND:
                msg = (
                    endpoints.message
                    or f"instance {paths.instance} has no pipeline {pipeline}: `reconcile get pipelines`"
                )
                raise PipelineNotFound(msg)
            if endpoints is not None:
                ends.begin(endpoints)
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                raise SessionNotReady(_complaint(paths, session, endpoints, timeout_s))
            watch.wait(left_s)
    finally:
        watch.close_soon()


def _complaint(paths: Paths, session: str, endpoints: Optional[Endpoints], timeout_s: float) -> str:
    if endpoints is None:
        why = "no answer from the controller: is it stuck? See its log"
        if not lock.held(paths.controller):
            why = "no controller runs: start `reconcile -f DIR`"
    else:
        why = (
            ": ".join(part for part in (endpoints.reason, endpoints.message) if part) or "its nodes are still starting"
        )
    return f"session {session} is not ready after {timeout_s:g} s: {why}"
