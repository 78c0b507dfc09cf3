"""From docker-py's and the transport's exceptions to ours: by type and status code, never by message text."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

import requests
import urllib3
from docker.errors import DockerException

from reconciler.model.errors import EngineError, EngineUnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator

NOT_FOUND = 404
CONFLICT = 409

DEFAULT_SOCKET = "unix:///var/run/docker.sock"

_TRANSPORT = (requests.RequestException, urllib3.exceptions.HTTPError, DockerException, OSError)


def socket_name() -> str:
    """Return where the engine is looked for, for people."""
    return os.environ.get("DOCKER_HOST") or DEFAULT_SOCKET


@contextmanager
def translated(what: str) -> Iterator[None]:
    """Raise ours in place of docker-py's; `what` says what was tried, as in "create container x"."""
    try:
        yield
    except requests.HTTPError as error:
        raise refused(what, error) from error
    except _TRANSPORT as error:
        raise unavailable(error) from error


def refused(what: str, error: requests.HTTPError, *, reason: str = "") -> EngineError:
    """Return the error for a call that the engine answered with a status."""
    status = status_of(error)
    said = str(getattr(error, "explanation", "") or error).strip()
    return EngineError(f"the engine can't {what}: {said} (status {status})", status=status, reason=reason)


def status_of(error: requests.HTTPError) -> int:
    """Return the status code of an answer, 0 where there is none."""
    return 0 if error.response is None else error.response.status_code


def unavailable(error: Exception) -> EngineUnavailableError:
    """Return the one line for an engine that does not answer."""
    found = _root(error)
    socket = socket_name()
    if isinstance(found, PermissionError):
        return EngineUnavailableError(
            f"no permission to use the Docker Engine at {socket}: run as root or as a member of its group (docker)"
        )
    if isinstance(found, TimeoutError | requests.Timeout):
        return EngineUnavailableError(
            f"the Docker Engine at {socket} does not answer in time: look at the daemon's log, restart it if it hangs"
        )
    why = found.strerror if isinstance(found, OSError) and found.strerror else str(found)
    return EngineUnavailableError(
        f"no Docker Engine at {socket} ({' '.join(why.split())}): start the daemon, or set DOCKER_HOST"
    )


def _root(error: BaseException) -> BaseException:
    """Return the operating system's error below the layers of wrapping, or what is nearest to it."""
    seen: set[int] = set()
    waiting: list[BaseException] = [error]
    best = error
    while waiting:
        current = waiting.pop()
        if id(current) in seen:
            continue
        seen.add(id(current))
        if isinstance(current, requests.Timeout | TimeoutError):
            return current
        if isinstance(current, OSError) and current.strerror:
            best = current
        nested = (*current.args, current.__cause__, current.__context__)
        waiting += [found for found in nested if isinstance(found, BaseException)]
    return best
