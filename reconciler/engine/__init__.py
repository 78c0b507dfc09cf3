"""The one door to the Docker Engine.

Rule: nobody else speaks to the engine. Errors are translated here, by status code, into the one family of errors. What
a repeated call finds already done is success: 304 on start and stop, 404 on remove, 409 on a create that happened
before. Importing this package costs nothing, and little is a look at a local engine or one of its containers made,
started, stopped and removed; the first call of another kind pays for docker-py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from reconciler.engine.calls import Calls
from reconciler.engine.port import EnginePort, LogLine

if TYPE_CHECKING:
    from reconciler.engine.client import Engine

CONNECT_TIMEOUT_S = 10.0

__all__ = ["Calls", "EnginePort", "LogLine", "connect"]


def connect(*, timeout_s: float = 30.0) -> Engine:
    """Return a door to the engine that `DOCKER_HOST` names, or the local one, its API version negotiated.

    `timeout_s` bounds each call, stops longer by their own time limit, streams and builds excepted.

    Raises:
        EngineUnavailableError: if it does not answer.
    """
    from reconciler.engine.wire import Wire, socket_name, socket_path  # noqa: PLC0415 - not every command needs it

    path = socket_path(socket_name())
    if not path:
        from reconciler.engine.client import Engine  # noqa: PLC0415 - costs as much as a whole pass

        return Engine.connect(timeout_s=timeout_s)
    from reconciler.engine.door import Door  # noqa: PLC0415 - see above

    wire = Wire(path, timeout_s=min(timeout_s, CONNECT_TIMEOUT_S))
    wire.negotiate()
    wire.timeout_s = timeout_s
    return cast("Engine", Door(wire, timeout_s=timeout_s))  # it has all of an engine's methods by passing them on
