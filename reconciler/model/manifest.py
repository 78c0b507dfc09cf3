"""What a manifest means after defaults and checks: the spec.

Rule: values here are valid by construction; `reconciler.load` makes them and is the only place that rejects.
"""

from __future__ import annotations

from typing import Literal

from reconciler.contract.values import dataclass, field

Activation = Literal["Always", "OnDemand"]
Delivery = Literal["reliable", "latest"]
OnError = Literal["Restart", "Skip", "Fail"]
RestartPolicy = Literal["Always", "OnFailure", "Never"]
Isolation = Literal["Host", "Private"]
PullPolicy = Literal["Always", "IfNotPresent", "Never"]

Pairs = tuple[tuple[str, str], ...]
"""A mapping as sorted pairs, so that values stay hashable and their order says nothing."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where in the manifests something was written; line and column count from 1."""

    path: str
    line: int = 1
    column: int = 1

    def __str__(self) -> str:
        return f"{self.path}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class Limits:
    """Hard limits of a container; None means no limit."""

    memory_bytes: int | None = None
    nano_cpus: int | None = None
    pids: int | None = None


@dataclass(frozen=True, slots=True, order=True)
class Volume:
    """A directory of the host inside the container; both paths are absolute."""

    host_path: str
    container_path: str
    read_only: bool = False


@dataclass(frozen=True, slots=True)
class SecretFile:
    """A file of the host whose content is nobody's business. `digest` is keyed, so that it tells only of a change."""

    path: str
    name: str = ""
    digest: str = ""


ALL_GPUS = -1


@dataclass(frozen=True, slots=True)
class Docker:
    """The environment a node asks for. Package tuples keep the order written, since pip and apt see it.

    `gpus` counts any, `ALL_GPUS` is all there are, `gpu_ids` are chosen ones. `secrets` become files of their names,
    `env_from` variables, of which a later file's win. `resolved` are the exact versions that a lock beside the manifest
    has for it, `()` where there is no lock.
    """

    python_version: str
    system_dependencies: tuple[str, ...] = ()
    python_packages: tuple[str, ...] = ()
    limits: Limits = field(default_factory=Limits)
    base_image: str | None = None
    env: Pairs = ()
    volumes: tuple[Volume, ...] = ()
    network: str = "bridge"
    ports: tuple[str, ...] = ()
    gpus: int = 0
    isolated: bool = False
    gpu_ids: tuple[str, ...] = ()
    open_files: int | None = None
    env_from: tuple[SecretFile, ...] = ()
    secrets: tuple[SecretFile, ...] = ()
    resolved: tuple[str, ...] = ()
    pull_policy: PullPolicy = "IfNotPresent"


@dataclass(frozen=True, slots=True)
class Source:
    """Node source: a directory on the host and the digest of its content (`""` where there is none, as in `/app`)."""

    path: str
    digest: str


@dataclass(frozen=True, slots=True)
class Restart:
    """When a node that ended is started again, and the longest wait before it."""

    policy: RestartPolicy = "Always"
    max_backoff_s: float = 300.0


@dataclass(frozen=True, slots=True)
class Node:
    """One node of a pipeline. `params` is canonical JSON; `docker` None means a host process.

    `on_error` and `stall_timeout_s` (None: never) travel in the assignment, as parameters do.
    """

    id: str
    node_type: str
    source: Source
    params: str = "{}"
    docker: Docker | None = None
    restart: Restart = field(default_factory=Restart)
    on_error: OnError = "Restart"
    stall_timeout_s: float | None = 60.0


@dataclass(frozen=True, slots=True)
class Connection:
    """One edge of the graph; ports are `""` where none is named."""

    source: str
    target: str
    from_output: str = ""
    to_input: str = ""
    delivery: Delivery = "reliable"
    buffer: int = 32


@dataclass(frozen=True, slots=True)
class SharedMemory:
    """Where a pipeline's frames live; `size_bytes` bounds a private `/dev/shm`."""

    isolation: Isolation = "Host"
    size_bytes: int = 2 << 30


@dataclass(frozen=True, slots=True)
class Pipeline:
    """A pipeline as it shall be. `generation` is a digest of the spec, so equal specs are equal generations."""

    name: str
    generation: str
    nodes: tuple[Node, ...]
    connections: tuple[Connection, ...] = ()
    labels: Pairs = ()
    annotations: Pairs = ()
    activation: Activation = "Always"
    idle_timeout_s: float = 30.0
    suspend: bool = False
    shared_memory: SharedMemory = field(default_factory=SharedMemory)
    origin: Origin = field(default_factory=lambda: Origin("<memory>"))

    def entries(self) -> tuple[Node, ...]:
        """Nodes that receive what a session sends: those nothing leads to."""
        fed = {connection.target for connection in self.connections}
        return tuple(node for node in self.nodes if node.id not in fed)

    def exits(self) -> tuple[Node, ...]:
        """Nodes whose output reaches the session: those that lead nowhere."""
        read = {connection.source for connection in self.connections}
        return tuple(node for node in self.nodes if node.id not in read)
