"""How image builds are getting on: on a terminal one line that changes, elsewhere a line for each step.

Rule: the line that changes is taken away before anything else is written, and never written where nobody looks.
"""

from __future__ import annotations

import time

from reconciler.contract.values import dataclass

STEP_MARK = "::step "
CLEAR = "\r\x1b[K"
LEAST_GAP_S = 0.1
"""How often at most the changing line is written."""


@dataclass(slots=True)
class _Build:
    began_s: float
    step: str = "begins"
    last: str = ""


class Progress:
    """The builds under way. Its user holds a lock around every call."""

    def __init__(self, *, terminal: bool) -> None:
        self.terminal = terminal
        self._builds: dict[str, _Build] = {}
        self._written_s = float("-inf")

    def take(self, tag: str, line: str) -> str:
        """Take in a line of a build, and return what is to be written of it on a line of its own."""
        build = self._builds.setdefault(tag, _Build(time.monotonic()))
        if not line.startswith(STEP_MARK):
            build.last = line.strip() or build.last
            return ""
        build.step, build.last = line.removeprefix(STEP_MARK).strip(), ""
        elapsed_s = time.monotonic() - build.began_s
        return "" if self.terminal else f"{tag} | {elapsed_s:.0f} s | {build.step}"

    def end(self, tag: str) -> None:
        """Forget a build."""
        self._builds.pop(tag, None)

    def line(self) -> str:
        """Return the changing line as it is to be written now; `""` where there is none, or it has just been."""
        now_s = time.monotonic()
        if not self.terminal or not self._builds or now_s - self._written_s < LEAST_GAP_S:
            return ""
        self._written_s = now_s
        import shutil  # noqa: PLC0415 - brings every kind of archive with it, and few starts build

        tag, build = next(reversed(self._builds.items()))
        more = f" (+{len(self._builds) - 1})" if len(self._builds) > 1 else ""
        text = f"{tag}{more}  {now_s - build.began_s:.0f} s  {build.step}  {build.last}"
        printable = "".join(letter if letter.isprintable() else " " for letter in text)
        return CLEAR + printable[: shutil.get_terminal_size().columns - 1]

    def clear(self) -> str:
        """Return what takes the changing line away."""
        if not self.terminal or self._written_s == float("-inf"):
            return ""
        self._written_s = float("-inf")
        return CLEAR
