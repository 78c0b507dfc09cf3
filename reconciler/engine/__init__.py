"""The one door to the Docker Engine.

Rule: nobody else speaks to the engine. Errors are translated here, by status code, into the one family of errors. What
a repeated call finds already done is success: 304 on start and stop, 404 on remove, 409 on a create that happened
before. Importing this package costs nothing; `connect` pays for docker-py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.engine.calls import Calls
from reconciler.engine.port import EnginePort, LogLine
from reconciler.engine.recipe import Recipe, Stage

if TYPE_CHECKING:
    from reconciler.engine.client import Engine

__all__ = ["Calls", "EnginePort", "LogLine", "Recipe", "Stage", "connect"]


def connect(*, timeout_s: float = 30.0) -> Engine:
    """Return a door to the engine that `DOCKER_HOST` names, or the local one, its API version negotiated.

    `timeout_s` bounds each call, stops longer by their own time limit, streams and builds excepted.

    Raises:
        EngineUnavailableError: if it does not answer.
    """
    from reconciler.engine.client import Engine  # noqa: PLC0415 - a command that needs no engine must not pay for it

    return Engine.connect(timeout_s=timeout_s)
