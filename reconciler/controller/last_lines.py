"""The last lines of a container that ended, for the condition that tells why.

Rule: they explain and decide nothing, so what can't be read is nothing said.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.model.errors import ReconcilerError

if TYPE_CHECKING:
    from reconciler.engine.port import EnginePort
    from reconciler.model.memory import End

LINES = 3
LONGEST = 200
"""Characters of a line that are kept."""


def last_lines(engine: EnginePort, end: End) -> tuple[str, ...]:
    """Return the last lines of a container that ended badly; one that ended well has nothing to explain."""
    if not end.exit_code:
        return ()
    try:
        return tuple(line.text.strip()[:LONGEST] for line in engine.logs(end.container, tail=LINES))
    except ReconcilerError:
        return ()
