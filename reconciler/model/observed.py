"""What the engine, the host and iceoryx2 actually hold, at one look.

Rule: these are facts. A look that fails raises; it never turns into an empty world.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from reconciler.contract.values import dataclass, field

if TYPE_CHECKING:
    from reconciler.contract.files import Assignments, Endpoints, Status
    from reconciler.model.manifest import Limits

ContainerState = Literal["created", "running", "paused", "restarting", "removing", "exited", "dead"]


@dataclass(frozen=True, slots=True)
class Site:
    """Facts of this controller's place that do not change while it runs. Paths are absolute."""

    instance: str
    uid: int
    gid: int
    python: str
    nodes_dir: str
    sources_dir: str
    logs_dir: str
    shm_root: str
    shm_prefix: str
    runtime_version: str
    version: str
    memory_bytes: int = 0
    """What memory limits may add up to; 0 is no bound."""

    @property
    def sessions_dir(self) -> str:
        """Where programs put their leases, beside the node instances."""
        return f"{self.nodes_dir.rpartition('/')[0]}/sessions"

    @property
    def endpoints_dir(self) -> str:
        """Where sessions' endpoints are written, beside the node instances."""
        return f"{self.nodes_dir.rpartition('/')[0]}/endpoints"


@dataclass(frozen=True, slots=True)
class Container:
    """A container that carries our instance label. `exit_code` is None unless it has ended.

    `limits` are those the kernel holds it to now, `networks` the names and ids of the networks it is connected to; None
    means that it is not known, of which nothing follows. `ports` are those of the host that it has now, like `80/tcp`.
    `sandbox` is the id of the container whose shared memory it joined, `memory` the number of what it has (0: unknown).
    """

    id: str
    name: str
    state: ContainerState
    image_id: str
    kind: str = "node"
    node_hash: str = ""
    env_hash: str = ""
    exit_code: int | None = None
    limits: Limits | None = None
    networks: tuple[str, ...] | None = None
    ports: frozenset[str] = frozenset()
    sandbox: str = ""
    memory: int = 0


@dataclass(frozen=True, slots=True)
class Image:
    """An image of the engine: an environment image of ours (`env_hash` set), or a possible base image.

    A `stage` has no name and was left by a build, for the next one. `size_bytes` counts what is below it, too.
    """

    id: str
    tags: tuple[str, ...] = ()
    env_hash: str = ""
    base_id: str = ""
    instance: str = ""
    stage: bool = False
    size_bytes: int = 0

    @property
    def key(self) -> str:
        """By what an image of ours is remembered: it stays the same when an environment is built again."""
        return self.env_hash or self.id


@dataclass(frozen=True, slots=True)
class Process:
    """A host process that runs a node instance. `started` tells it from a later one with the same PID."""

    name: str
    pid: int
    started: str


@dataclass(frozen=True, slots=True)
class ProcessEnd:
    """How a host process ended by itself or by somebody's hand; 128 and the number of the signal that ended it."""

    name: str
    pid: int
    exit_code: int


@dataclass(frozen=True, slots=True)
class NodeFiles:
    """The files of one node instance. `alive` means that its runtime holds the lock, so `status` is its own word."""

    name: str
    assignments: Assignments | None = None
    status: Status | None = None
    alive: bool = False


@dataclass(frozen=True, slots=True)
class ShmNode:
    """An iceoryx2 node under the instance's root directory."""

    id: str
    name: str
    dead: bool = False


@dataclass(frozen=True, slots=True)
class ShmService:
    """An iceoryx2 service under the instance's root directory. `nodes` counts those that have it open."""

    id: str
    name: str
    nodes: int = 0


@dataclass(frozen=True, slots=True)
class Observed:
    """Observed state. Tuples are sorted by name, so that equal worlds are equal values.

    `stale_leases` are the sessions whose lease lies there and is held by nobody: their program was killed.
    `sources` are the digests of the snapshots in good order, `broken_sources` the names of what else lies beside them:
    damaged ones, and copies that were cut off or go on.
    `process_ends` are the last ends that are known; the host tells them to the parent alone, which writes them down.
    """

    site: Site
    containers: tuple[Container, ...] = ()
    images: tuple[Image, ...] = ()
    processes: tuple[Process, ...] = ()
    process_ends: tuple[ProcessEnd, ...] = ()
    node_files: tuple[NodeFiles, ...] = ()
    endpoints: tuple[Endpoints, ...] = ()
    stale_leases: tuple[str, ...] = ()
    sources: frozenset[str] = field(default_factory=frozenset)
    broken_sources: tuple[str, ...] = ()
    shm_nodes: tuple[ShmNode, ...] = ()
    shm_services: tuple[ShmService, ...] = ()
