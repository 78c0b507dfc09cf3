"""`reconcile schema [KIND]`: print the JSON Schema of manifests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.cli import codes

if TYPE_CHECKING:
    from argparse import Namespace


def run(options: Namespace) -> int:
    """Print a schema."""
    from reconciler.load.schema import text  # noqa: PLC0415 - builds the models

    print(text(options.kind), end="")
    return codes.DONE
