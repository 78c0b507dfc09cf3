"""Exit codes of a node's runtime, which the controller tells people by name."""

from __future__ import annotations

DONE = 0
BROKEN = 1
"""Its code can't be loaded; also what Python itself ends with."""

TAKEN = 2
"""Another process serves this instance."""

STALLED = 75
"""It ended itself, because the node hung on a frame."""

MEANING = {STALLED: "it stalled"}


def told(exit_code: int) -> str:
    """Return an exit code for people."""
    meaning = MEANING.get(exit_code)
    return f"exit code {exit_code} ({meaning})" if meaning else f"exit code {exit_code}"
