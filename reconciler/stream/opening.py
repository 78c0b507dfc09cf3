"""From a pipeline's name to a session's ends: lease, wait, endpoints.

Rule: nothing is held when opening fails.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Optional, Tuple

from reconciler.contract import env, files, lock, names
from reconciler.contract.watch import Watch
from reconciler.stream import lease
from reconciler.stream.errors import PipelineNotFound, SessionNotReady

if TYPE_CHECKING:
    from reconciler.contract.files import Endpoints
    from reconciler.contract.paths import Paths

SHARED_MEMORY = "/dev/shm"  # noqa: S108 - shared memory itself
NOT_FOUND = "PipelineNotFound"
"""The reason in endpoints that says that no such pipeline is wanted."""


def open_session(
    paths: Paths, pipeline: str, *, session: Optional[str], timeout_s: float
) -> Tuple[lease.Held, Endpoints]:
    """Take a lease and wait until the session is ready.

    A named session, or the pipeline's own where no controller runs, is attached to; otherwise a new one is asked for.

    Raises:
        PipelineNotFound: if the controller says so.
        SessionNotReady: if it is not ready in time, or another program has it.
    """
    _need_same_user(paths)
    alive = lock.held(paths.controller)
    if session is None and alive:
        held = lease.ask(paths.sessions, pipeline)
    else:
        _need_endpoints(paths, session or pipeline, alive=alive)
        held = lease.attach(paths.sessions, session or pipeline, pipeline)
    try:
        return held, _await(paths, held.session, pipeline, timeout_s)
    except BaseException:
        held.release()
        raise


def shared_memory(paths: Paths, endpoints: Endpoints) -> Path:
    """Return the root directory of a session's channels, in the shared memory that this program has.

    Raises:
        SessionNotReady: if the session is in another one.
    """
    name = endpoints.pipeline
    private = os.environ.get(env.SHM_ROOT) == names.PRIVATE_SHM_ROOT
    if not endpoints.memory:
        if private:
            msg = f"pipeline {name} has the host's shared memory, and this program another one: run it outside"
            raise SessionNotReady(msg)
        return paths.shm_root
    if Path(SHARED_MEMORY).stat().st_dev != endpoints.memory:
        msg = f"pipeline {name} has shared memory of its own: run this program by `reconcile exec {name} -- COMMAND`"
        raise SessionNotReady(msg)
    return Path(names.PRIVATE_SHM_ROOT)


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


def _need_endpoints(paths: Paths, session: str, *, alive: bool) -> None:
    if alive or (paths.endpoints / f"{session}.json").exists():
        return
    msg = (
        f"no session {session} stands in instance {paths.instance} and no controller runs there: start "
        "`reconcile -f DIR`, or set it up with `reconcile --once -f DIR`"
    )
    raise SessionNotReady(msg)


def _await(paths: Paths, session: str, pipeline: str, timeout_s: float) -> Endpoints:
    deadline = time.monotonic() + timeout_s
    path = paths.endpoints / f"{session}.json"
    watch = Watch(paths.endpoints)
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
