"""`reconcile -f DIR` and `reconcile --once -f DIR`.

Rule: what a command needs that finds all as it was is imported first, all else after that (docs/adr/0027).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.cli import codes
from reconciler.cli.place import manifests_of, paths_of
from reconciler.controller import lock

if TYPE_CHECKING:
    from argparse import Namespace


def run(options: Namespace) -> int:
    """Converge, once or until told to end.

    Raises:
        EngineUnavailableError: if the engine does not answer at the start.
        InstanceLockedError: if another controller holds the instance.
    """
    paths, manifests = paths_of(options), manifests_of(options)
    with lock.one_writer(paths.lock):
        mark = None
        if options.once:
            from reconciler.cli.mark import Mark  # noqa: PLC0415 - who watches makes none

            mark = Mark(options, paths, manifests)
            if mark.holds():
                return codes.DONE
        from reconciler.cli import converge  # noqa: PLC0415 - see the module's rule

        return converge.run(options, paths, manifests, mark)
