"""Which instance and which manifests the options mean."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from reconciler.contract import paths
from reconciler.contract.env import MANIFESTS

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterable
    from pathlib import Path

    from reconciler.model.desired import Diagnostic


def paths_of(options: Namespace) -> paths.Paths:
    """Return the instance's directories."""
    return paths.resolve(
        instance=options.instance,
        state_dir=options.state_dir,
        runtime_dir=options.runtime_dir,
        allowed=options.allow_host_path,
    )


def manifests_of(options: Namespace) -> Path:
    """Return the directory of manifests.

    Raises:
        ValueError: if none is given.
    """
    if options.manifests is None:
        msg = f"which manifests? Give -f DIR, or set {MANIFESTS}"
        raise ValueError(msg)
    chosen: Path = options.manifests
    return chosen


def tell(diagnostics: Iterable[Diagnostic]) -> None:
    """Say on stderr what is wrong with the manifests, which is why something may not be there."""
    for diagnostic in diagnostics:
        print(diagnostic, file=sys.stderr)
