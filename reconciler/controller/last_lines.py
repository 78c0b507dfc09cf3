"""The last lines of an instance that ended, for the condition that tells why.

Rule: they explain and decide nothing, so what can't be read is nothing said.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.controller.logs import read_file
from reconciler.model.errors import ReconcilerError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from reconciler.engine.port import EnginePort
    from reconciler.model.memory import End

LINES = 3
LONGEST = 200
"""Characters of a line that are kept."""


def last_lines(engine: EnginePort, log_file: Callable[[str], Path], end: End) -> tuple[str, ...]:
    """Return the last lines of an instance that ended badly; one that ended well has nothing to explain."""
    if not end.exit_code:
        return ()
    try:
        if end.container:
            lines = [line.text for line in engine.logs(end.container, tail=LINES)]
        else:
            lines = [line.text for line in read_file(log_file(end.name), end.name, tail=LINES)[0]]
    except (ReconcilerError, OSError):
        return ()
    return tuple(line.strip()[:LONGEST] for line in lines)
