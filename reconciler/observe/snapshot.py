"""One look at everything that an instance may own, and a glance at the part that sessions change.

Rule: one call per kind of thing, none per object of the engine. A look that fails raises; it is never an empty world.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from reconciler import sources
from reconciler.contract.values import replace
from reconciler.model.observed import Observed
from reconciler.observe import limits
from reconciler.observe.files import endpoints, node_files, stale_leases
from reconciler.observe.memory import with_memory

if TYPE_CHECKING:
    from reconciler.engine.port import EnginePort
    from reconciler.model.observed import ShmNode, ShmService, Site
    from reconciler.process import ProcessPort


class ShmLook(Protocol):
    """What a look needs of the door to iceoryx2."""

    def look(self) -> tuple[tuple[ShmNode, ...], tuple[ShmService, ...]]:
        """Return the nodes and services under the instance's root directory."""


def observe(
    engine: EnginePort, processes: ProcessPort, shm: ShmLook, site: Site, *, before: Observed | None = None
) -> Observed:
    """Look at everything once. `before` is an earlier look: of what it saw, more is asked while the engine answers.

    Raises:
        ReconcilerError: if any part can't be seen whole.
    """
    with engine.listing(site.instance) as listed:
        running = processes.list(site.instance)
        nodes, services = shm.look()
        snapshots, broken = sources.look(Path(site.sources_dir))
        held = limits.read(found.id for found in before.containers if found.state in limits.HELD) if before else {}
        containers, images = listed()
    files = node_files(Path(site.nodes_dir))  # late: of all that is seen, this changes most, and most is waited for
    return Observed(
        site=site,
        containers=with_memory(limits.with_limits(containers, held)),
        images=images,
        processes=running,
        process_ends=processes.ends(site.instance, site.nodes_dir),
        node_files=files,
        endpoints=endpoints(Path(site.endpoints_dir)),
        stale_leases=stale_leases(Path(site.sessions_dir)),
        sources=snapshots,
        broken_sources=broken,
        shm_nodes=tuple(sorted(nodes, key=lambda node: (node.name, node.id))),
        shm_services=tuple(sorted(services, key=lambda service: (service.name, service.id))),
    )


def glance(before: Observed) -> Observed:
    """Look at the files of nodes and sessions anew; all else is as it was seen before.

    Raises:
        ReconcilerError: if they can't be seen whole.
    """
    site = before.site
    return replace(
        before,
        node_files=node_files(Path(site.nodes_dir)),
        endpoints=endpoints(Path(site.endpoints_dir)),
        stale_leases=stale_leases(Path(site.sessions_dir)),
    )
