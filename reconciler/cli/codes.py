"""Exit codes, as scripts depend on them."""

from __future__ import annotations

DONE = 0
"""Done, ready, no difference."""

UNFINISHED = 1
"""Not converged in time, a node failed, or (`diff`) there are differences."""

INVALID = 2
"""An invalid manifest, or wrong usage."""

NO_ENGINE = 3
"""The engine does not answer."""

LOCKED = 4
"""Another controller holds this instance."""
