"""From docker-py's and the transport's exceptions to ours: by type and status code, never by message text."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import requests
import urllib3
from docker.errors import DockerException

from reconciler.engine.wire import unavailable
from reconciler.model.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Iterator

_TRANSPORT = (requests.RequestException, urllib3.exceptions.HTTPError, DockerException, OSError)


@contextmanager
def translated(what: str) -> Iterator[None]:
    """Raise ours in place of docker-py's; `what` says what was tried, as in "create container x"."""
    try:
        yield
    except requests.HTTPError as error:
        raise refused(what, error) from error
    except _TRANSPORT as error:
        raise unavailable(_root(error)) from error


def refused(what: str, error: requests.HTTPError, *, reason: str = "") -> EngineError:
    """Return the error for a call that the engine answered with a status."""
    status = status_of(error)
    said = str(getattr(error, "explanation", "") or error).strip()
    return EngineError(f"the engine can't {what}: {said} (status {status})", status=status, reason=reason)


def status_of(error: requests.HTTPError) -> int:
    """Return the status code of an answer, 0 where there is none."""
    return 0 if error.response is None else error.response.status_code


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
            return TimeoutError()
        if isinstance(current, OSError) and current.strerror:
            best = current
        nested = (*current.args, current.__cause__, current.__context__)
        waiting += [found for found in nested if isinstance(found, BaseException)]
    return best
