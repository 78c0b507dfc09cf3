"""What a node's host process is made of, and its identity."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.contract import env, names
from reconciler.model.instance import ProcessSpec
from reconciler.plan.canonical import digest

if TYPE_CHECKING:
    from reconciler.model.manifest import Node
    from reconciler.model.observed import Site


def process_hash(node: Node) -> str:
    """Return the identity of a host process: its code. It runs in the controller's own environment."""
    return digest("process", {"type": node.node_type, "source": node.source.digest})


def process_spec(node: Node, *, site: Site, hashed: str) -> ProcessSpec:
    """Return the process a node asks for. Its arguments name it, which is how it is found in the process table."""
    name = names.instance_name(site.instance, hashed)
    return ProcessSpec(
        name=name,
        argv=(site.python, "-m", "reconciler.node", "--instance", site.instance, "--name", name),
        environment=(
            (env.INSTANCE, site.instance),
            (env.NODE_DIR, f"{site.nodes_dir}/{name}"),
            (env.NODE_NAME, name),
            (env.NODE_TYPE, node.node_type),
            (env.SHM_PREFIX, site.shm_prefix),
            (env.SHM_ROOT, site.shm_root),
            (env.SOURCE_DIR, f"{site.sources_dir}/{node.source.digest}"),
            (env.STAMP_LINES, "1"),
            ("PYTHONUNBUFFERED", "1"),
        ),
        log_path=f"{site.logs_dir}/{name}.log",
        record_path=f"{site.nodes_dir}/{name}/exit",
    )
