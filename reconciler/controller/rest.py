"""Whether a pass found rest of the plain kind, of which a mark may be left (docs/adr/0027).

Rule: plain is what depends on nothing that `observe/unchanged.py` does not read, and on no moment in time.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from reconciler.controller.loop import Pass
    from reconciler.model.manifest import Node


def is_plain(made: Pass, manifests: Path) -> bool:
    """Whether all is well, nothing is waited for, and all that counts lies where it is looked for."""
    desired, observed = made.desired, made.observed
    if not made.is_rest or made.plan.requeue_s is not None or made.plan.refused:
        return False
    if not desired.complete or desired.diagnostics or desired.kept or observed.processes or observed.stale_leases:
        return False
    if any(session.kind == "lease" for session in desired.sessions):
        return False
    if any(container.kind != "node" or container.state != "running" for container in observed.containers):
        return False
    root = os.path.realpath(manifests)
    return all(_is_plain(node, root) for pipeline in desired.pipelines for node in pipeline.nodes)


def _is_plain(node: Node, root: str) -> bool:
    """Whether a node is a container that takes nothing from outside the directory of manifests."""
    docker = node.docker
    if docker is None or docker.env_from or docker.secrets or docker.volumes or docker.pull_policy == "Always":
        return False
    return os.path.realpath(node.source.path).startswith(f"{root}/")
