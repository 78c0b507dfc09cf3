"""Everything that may be done to the world: a closed union, one outside call each, safe to repeat.

Rule: an action says what to do, whole; `reconciler.actuate` decides nothing. Actions named `Stop*`, `Restart*` and
`Remove*` take something away and are made in `reconciler.plan.prune` alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.contract.values import dataclass

if TYPE_CHECKING:
    from reconciler.contract.files import Assignments, Endpoints
    from reconciler.model.instance import ContainerSpec, EnvImage, ProcessSpec
    from reconciler.model.manifest import Limits


@dataclass(frozen=True, slots=True)
class PullImage:
    """Get a base image from its registry."""

    reference: str


@dataclass(frozen=True, slots=True)
class BuildImage:
    """Build and tag an environment image."""

    image: EnvImage


@dataclass(frozen=True, slots=True)
class WriteSource:
    """Snapshot a directory of node source under its digest."""

    digest: str
    path: str


@dataclass(frozen=True, slots=True)
class RemoveSource:
    """Remove a snapshot of node source, or what was left of one: a directory's name beside the snapshots."""

    name: str


@dataclass(frozen=True, slots=True)
class WriteAssignments:
    """Put an instance's assignments in place, with its directory."""

    document: Assignments


@dataclass(frozen=True, slots=True)
class WriteEndpoints:
    """Tell the clients of a session where its ends are."""

    document: Endpoints


@dataclass(frozen=True, slots=True)
class CreateContainer:
    """Create a container; starting it is another action."""

    spec: ContainerSpec


@dataclass(frozen=True, slots=True)
class StartContainer:
    """Start a container that is created or has ended."""

    name: str
    id: str


@dataclass(frozen=True, slots=True)
class UnpauseContainer:
    """Let a paused container go on."""

    name: str
    id: str


@dataclass(frozen=True, slots=True)
class UpdateLimits:
    """Put a running container's limits in place, without a restart."""

    name: str
    id: str
    limits: Limits


@dataclass(frozen=True, slots=True)
class ConnectNetwork:
    """Connect a running container to a network."""

    name: str
    id: str
    network: str


@dataclass(frozen=True, slots=True)
class StopContainer:
    """Ask a container to end, and kill it after `timeout_s`."""

    name: str
    id: str
    timeout_s: int = 5


@dataclass(frozen=True, slots=True)
class RestartContainer:
    """Stop a container as `StopContainer` does, and start it again."""

    name: str
    id: str
    timeout_s: int = 5


@dataclass(frozen=True, slots=True)
class RemoveContainer:
    """Remove a container that does not run."""

    name: str
    id: str


@dataclass(frozen=True, slots=True)
class StartProcess:
    """Start a host process that outlives the controller."""

    spec: ProcessSpec


@dataclass(frozen=True, slots=True)
class StopProcess:
    """Ask a host process to end, and kill it after `timeout_s`."""

    name: str
    pid: int
    started: str
    timeout_s: int = 5


@dataclass(frozen=True, slots=True)
class RemoveNodeFiles:
    """Remove the directory of a node instance that is no more."""

    name: str


@dataclass(frozen=True, slots=True)
class RemoveEndpoints:
    """Remove the endpoints of a session that is no more."""

    session: str


@dataclass(frozen=True, slots=True)
class RemoveLease:
    """Remove a lease that nobody holds."""

    session: str


@dataclass(frozen=True, slots=True)
class RemoveDeadNodes:
    """Reclaim what dead iceoryx2 nodes left in shared memory."""

    ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RemoveService:
    """Remove an iceoryx2 service that nobody has open."""

    name: str
    id: str


@dataclass(frozen=True, slots=True)
class RemoveImage:
    """Remove an environment image that nothing uses, by id and unforced."""

    tag: str
    id: str


Action = (
    PullImage
    | BuildImage
    | WriteSource
    | RemoveSource
    | WriteAssignments
    | WriteEndpoints
    | CreateContainer
    | StartContainer
    | UnpauseContainer
    | UpdateLimits
    | ConnectNetwork
    | StopContainer
    | RestartContainer
    | RemoveContainer
    | StartProcess
    | StopProcess
    | RemoveNodeFiles
    | RemoveEndpoints
    | RemoveLease
    | RemoveDeadNodes
    | RemoveService
    | RemoveImage
)


def object_of(action: Action) -> str:  # noqa: C901, PLR0911, PLR0912 - one arm for each action
    """Name the object an action works on, as `kind/name`. A pass holds at most one action for each."""
    match action:
        case PullImage(reference=name):
            return f"image/{name}"
        case BuildImage(image=image):
            return f"image/{image.tag}"
        case WriteSource(digest=digest):
            return f"source/{digest[:12]}"
        case RemoveSource(name=name):
            return f"source/{name[:12]}"
        case WriteAssignments(document=document):
            return f"assignments/{document.name}"
        case WriteEndpoints(document=document):
            return f"endpoints/{document.session}"
        case CreateContainer(spec=spec):
            return f"container/{spec.name}"
        case StartContainer(name=name) | UnpauseContainer(name=name) | StopContainer(name=name):
            return f"container/{name}"
        case UpdateLimits(name=name) | ConnectNetwork(name=name):
            return f"container/{name}"
        case RestartContainer(name=name) | RemoveContainer(name=name):
            return f"container/{name}"
        case StartProcess(spec=process):
            return f"process/{process.name}"
        case StopProcess(name=name):
            return f"process/{name}"
        case RemoveNodeFiles(name=name):
            return f"files/{name}"
        case RemoveEndpoints(session=name):
            return f"endpoints/{name}"
        case RemoveLease(session=name):
            return f"lease/{name}"
        case RemoveDeadNodes():
            return "shm/dead-nodes"
        case RemoveService(name=name):
            return f"service/{name}"
        case RemoveImage(tag=name):
            return f"image/{name}"


@dataclass(frozen=True, slots=True)
class Step:
    """An action and why it is done."""

    action: Action
    cause: str

    @property
    def object(self) -> str:
        """What the action works on, as `kind/name`."""
        return object_of(self.action)
