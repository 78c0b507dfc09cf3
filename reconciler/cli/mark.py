"""The mark that `--once` leaves where it found nothing to do: all that it had looked at, as it was (docs/adr/0027).

Rule: a mark says nothing by itself. It holds only where everything is looked at again and is the same to the byte, and
it is left only by a command that did nothing, when nothing changed from before its look until after it.
"""

from __future__ import annotations

import os
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import reconciler
from reconciler.contract import VERSION, names
from reconciler.contract.files import read_text
from reconciler.observe.unchanged import Unchanged

if TYPE_CHECKING:
    from argparse import Namespace

    from reconciler.contract.paths import Paths

FORM = 1
LONGEST_S = 600.0
"""How long a mark is believed: for what nobody has thought of."""

_ENVIRONMENT = ("DOCKER_HOST", "PYTHONPATH")
"""What counts of the environment besides variables of our own. No more is named: others hold credentials."""


class Mark:
    """The mark of one instance, beside its conditions, so that it ends with them and with a boot.

    It is for its owner alone: it holds what the engine tells, which is not for everybody.
    """

    def __init__(self, options: Namespace, paths: Paths, manifests: Path) -> None:
        self._path = paths.rest
        self._new = paths.rest.with_name(f"{paths.rest.name}.new")
        self._settled = paths.status.exists()
        places = (str(manifests), str(paths.state), str(paths.runtime), *reconciler.__path__)
        self._look = Unchanged(paths, places, _said(options), beside=map(str, (paths.lock, self._path, self._new)))
        self._before = ""

    def holds(self) -> bool:
        """Whether all is as it was when the mark was left."""
        if self._settled:  # else there is none, and it costs the engine two lists to find out
            self._before = self._look.told()
        return self._before != "" and self._read() == self._before

    def leave(self) -> None:
        """Leave the mark, unless something has changed since `holds` was asked, or just before that.

        Where it can't be written there is none: the command has done what it was asked for.
        """
        if self._before and self._look.told() == self._before:
            with suppress(OSError):
                self._new.unlink(missing_ok=True)  # a cut off one
                file = os.open(self._new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
                with os.fdopen(file, "w", encoding="utf-8") as written:
                    written.write(self._before)
                self._new.replace(self._path)

    def _read(self) -> str:
        try:
            age_s = time.time() - self._path.stat().st_mtime
        except OSError:
            return ""
        return (read_text(self._path) or "") if 0 <= age_s < LONGEST_S else ""  # below 0 the clock was set back


def _said(options: Namespace) -> str:
    """Return what the outcome depends on besides files and the engine."""
    environ = sorted(
        item for item in os.environ.items() if item[0].startswith(names.RESERVED_ENV) or item[0] in _ENVIRONMENT
    )
    machine = (os.geteuid(), os.getegid(), os.sysconf("SC_PHYS_PAGES"), str(Path.cwd()), sys.executable, sys.version)
    return repr((FORM, VERSION, sorted(vars(options).items()), environ, machine))
