"""How long to wait after something went wrong.

Rule: backoff follows errors only; waiting for something that is on its way is a requeue. Jitter is drawn from the
object's name, since the planner has no randomness, and still keeps objects that failed together apart.
"""

from __future__ import annotations

import hashlib

FIRST_S = 0.2
LONGEST_S = 300.0
JITTER = 0.2
"""Share by which a wait is shortened at most."""


def delay_s(name: str, count: int, *, first_s: float = FIRST_S, longest_s: float = LONGEST_S) -> float:
    """Return the wait before attempt `count` + 1, `count` being how many have failed (from 1)."""
    exponent = min(max(count, 1) - 1, 30)
    full = min(first_s * float(2**exponent), longest_s)
    return full * (1 - JITTER * _fraction(f"{name}#{count}"))


def _fraction(text: str) -> float:
    """Return a number in [0, 1), the same for the same text."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4]) / 2**32
