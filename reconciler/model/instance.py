"""What a node instance is made of: the wish from which a container or a host process is started."""

from __future__ import annotations

from reconciler.contract.values import dataclass, field
from reconciler.model.manifest import Limits, Pairs, Volume


@dataclass(frozen=True, slots=True)
class EnvImage:
    """An environment image: everything its build needs and nothing else.

    `resolved` are the exact versions of a lock, dependencies included; where there are some, they are installed.
    """

    tag: str
    env_hash: str
    base_reference: str
    base_id: str
    python_version: str
    system_dependencies: tuple[str, ...]
    python_packages: tuple[str, ...]
    runtime_version: str
    resolved: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ContainerSpec:
    """A container as it is created. `mounts` are host paths bound into it, besides the user's volumes.

    `ipc` is `shareable` for a sandbox, whose memory holds `shm_bytes`, and `container:<its id>` for nodes that join it.
    """

    name: str
    image: str
    labels: Pairs
    environment: Pairs
    mounts: tuple[Volume, ...]
    network: str
    user: str
    limits: Limits = field(default_factory=Limits)
    ports: tuple[str, ...] = ()
    gpus: int = 0
    gpu_ids: tuple[str, ...] = ()
    open_files: int | None = None
    command: tuple[str, ...] = ("python", "-m", "reconciler.node")
    ipc: str = ""
    shm_bytes: int = 0


@dataclass(frozen=True, slots=True)
class ProcessSpec:
    """A node that runs as a plain host process. `argv` names the instance, which is how it is found again.

    `record_path` is where its exit code is written down, `log_path` where its output goes.
    """

    name: str
    argv: tuple[str, ...]
    environment: Pairs
    log_path: str
    record_path: str
