"""`reconcile validate PATH...`: check manifests. It needs no engine and writes nothing."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from reconciler.cli import codes
from reconciler.cli.place import paths_of
from reconciler.load import check

if TYPE_CHECKING:
    from argparse import Namespace


def run(options: Namespace) -> int:
    """Print what is wrong, a line each."""
    allowed = paths_of(options).allowed
    wrong = 0
    good = 0
    for path in options.path:
        found = check(path, allowed=allowed)
        good += len(found.pipelines)
        for diagnostic in found.diagnostics:
            wrong += 1
            print(diagnostic, file=sys.stderr)
    if wrong:
        return codes.INVALID
    print(f"{good} pipeline{'' if good == 1 else 's'} valid")
    return codes.DONE
