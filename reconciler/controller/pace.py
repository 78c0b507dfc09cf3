"""How long wake-ups gather before a pass, in a convergence that is to end (`--once`, `down`).

A pass takes some 20 ms of a core, and those who start and those who are started want the same cores. Twenty containers
wake the loop some two hundred times: when each of our calls ends, and with each word of a runtime that starts.

Rule: a pass waits only while the engine has enough to do, or for a moment while more is being told. Where little is
under way, the pass that follows the end of a call is made at once.
"""

from __future__ import annotations

FEW = 4
"""Calls that keep two cores busy: as long as more are under way, what a pass would add has to wait anyway."""

MANY = 32
"""Calls of which half wait for a worker: what a pass would add waits behind them, however late it is added."""

MANY_S = 1.0
"""How long wake-ups gather meanwhile, and the longest time between passes: with a hundred containers a pass takes 80 ms
of a core and the engine's list as long again."""

POLL_S, TOLD_POLL_S, BUSY_POLL_S = 0.1, 0.25, 0.5
"""Longest time between passes: where nobody tells anything, where somebody tells most, and where much is under way."""

GATHER_S = 0.1
"""Longest time for which ends of calls gather while many are under way; it doubles with each pass in vain."""

GATHER_MOST_S = 0.4

TOLD_S = 0.3
"""Longest time for which words of runtimes gather while few calls are under way: twenty that start rarely pause."""

QUIET_S = 0.03
"""A silence after which no further word is expected, where many nodes have still to give theirs."""

QUIET_EACH_S = 0.003
"""The same for each node: where one is awaited, a pass takes less time than a long silence. But it is no shorter than
the pass took: nodes through which frames flow have news all the time."""


class Pace:
    """Remembers how a convergence goes, and says how long wake-ups gather. Times are seconds."""

    def __init__(self) -> None:
        self._in_vain = 0
        self._quiet_s = QUIET_S

    def passed(self, *, added: bool, awaited: int, took_s: float) -> None:
        """Note a pass, whether it added anything to what is under way, and how many nodes do not run yet."""
        self._in_vain = 0 if added else self._in_vain + 1
        self._quiet_s = min(max(QUIET_EACH_S * awaited, took_s), QUIET_S)

    @staticmethod
    def poll_s(under_way: int, *, told: bool) -> float:
        """Return after how long without a wake-up a pass is made. `told`: nodes are asked for news meanwhile."""
        if under_way > FEW:
            return MANY_S if under_way > MANY else BUSY_POLL_S
        return TOLD_POLL_S if under_way or told else POLL_S

    def most_s(self, under_way: int) -> float:
        """Return how long wake-ups may gather in all, with so many calls under way."""
        if under_way > MANY:
            return MANY_S
        return min(GATHER_S * 2**self._in_vain, GATHER_MOST_S) if under_way > FEW else TOLD_S

    def quiet_s(self, under_way: int) -> float:
        """Return after how long a silence it is enough."""
        return GATHER_MOST_S if under_way > FEW else self._quiet_s
