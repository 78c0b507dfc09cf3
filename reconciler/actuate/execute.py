"""One call for each action.

Rule: this decides nothing. Each arm is one outside call, safe to repeat; it returns when the call is done or raises one
of our errors.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Protocol, assert_never

from reconciler import sources
from reconciler.actuate import files
from reconciler.contract.values import dataclass
from reconciler.model import action

if TYPE_CHECKING:
    from collections.abc import Callable

    from reconciler.engine import EnginePort
    from reconciler.model.action import Action
    from reconciler.model.observed import Site
    from reconciler.process import ProcessPort


class ShmSweep(Protocol):
    """What acting needs of the door to iceoryx2."""

    def remove_dead_nodes(self, ids: tuple[str, ...]) -> None:
        """Reclaim what dead nodes left."""

    def remove_service(self, service: str) -> None:
        """Remove a service that nobody has open, by id."""


@dataclass(frozen=True, slots=True)
class Doors:
    """The outside: the doors, and where the instance keeps its files. `say` gets an image's tag and a build line."""

    engine: EnginePort
    processes: ProcessPort
    shm: ShmSweep
    site: Site
    say: Callable[[str, str], None] = lambda _tag, _line: None


def execute(doors: Doors, wanted: Action) -> None:
    """Do one action.

    Raises:
        ReconcilerError: if it failed; what was asked for may have happened all the same.
    """
    match wanted:
        case action.PullImage() | action.BuildImage() | action.RemoveImage():
            _image(doors, wanted)
        case (
            action.CreateContainer()
            | action.StartContainer()
            | action.UnpauseContainer()
            | action.UpdateLimits()
            | action.ConnectNetwork()
            | action.StopContainer()
            | action.RestartContainer()
            | action.RemoveContainer()
        ):
            _container(doors.engine, wanted)
        case action.StartProcess(spec=process):
            doors.processes.start(process)
        case action.StopProcess(pid=pid, started=started, timeout_s=timeout_s):
            doors.processes.stop(pid, started, timeout_s=timeout_s)
        case action.RemoveDeadNodes(ids=ids):
            doors.shm.remove_dead_nodes(ids)
        case action.RemoveService(id=service):
            doors.shm.remove_service(service)
        case (
            action.WriteSource()
            | action.RemoveSource()
            | action.WriteAssignments()
            | action.WriteEndpoints()
            | action.RemoveNodeFiles()
            | action.RemoveEndpoints()
            | action.RemoveLease()
        ):
            _file(doors.site, wanted)
        case _:
            assert_never(wanted)


def _image(doors: Doors, wanted: action.PullImage | action.BuildImage | action.RemoveImage) -> None:
    from reconciler.actuate.image import recipe  # noqa: PLC0415 - few passes build, and all would pay for it

    match wanted:
        case action.PullImage(reference=reference):
            doors.engine.pull(reference)
        case action.BuildImage(image=image):
            doors.engine.build(recipe(image, doors.site), lambda line: doors.say(image.tag, line))
        case action.RemoveImage(id=found):
            doors.engine.remove_image(found)
        case _:
            assert_never(wanted)


def _container(
    engine: EnginePort,
    wanted: action.CreateContainer
    | action.StartContainer
    | action.UnpauseContainer
    | action.UpdateLimits
    | action.ConnectNetwork
    | action.StopContainer
    | action.RestartContainer
    | action.RemoveContainer,
) -> None:
    match wanted:
        case action.CreateContainer(spec=spec):
            engine.create(spec)
        case action.StartContainer(id=container):
            engine.start(container)
        case action.UnpauseContainer(id=container):
            engine.unpause(container)
        case action.UpdateLimits(id=container, limits=limits):
            engine.update(container, limits)
        case action.ConnectNetwork(id=container, network=network):
            engine.join(container, network)
        case action.StopContainer(id=container, timeout_s=timeout_s):
            engine.stop(container, timeout_s=timeout_s)
        case action.RestartContainer(id=container, timeout_s=timeout_s):
            engine.restart(container, timeout_s=timeout_s)
        case action.RemoveContainer(id=container):
            engine.remove(container)
        case _:
            assert_never(wanted)


def _file(
    site: Site,
    wanted: action.WriteSource
    | action.RemoveSource
    | action.WriteAssignments
    | action.WriteEndpoints
    | action.RemoveNodeFiles
    | action.RemoveEndpoints
    | action.RemoveLease,
) -> None:
    match wanted:
        case action.WriteSource(digest=digest, path=path):
            sources.snapshot(Path(path), digest, sources=Path(site.sources_dir))
        case action.RemoveSource(name=name):
            sources.remove(name, sources=Path(site.sources_dir))
        case action.WriteAssignments(document=assignments):
            files.write_assignments(site, assignments)
        case action.WriteEndpoints(document=endpoints):
            files.write_endpoints(site, endpoints)
        case action.RemoveNodeFiles(name=name):
            files.remove_node_files(site, name)
        case action.RemoveEndpoints(session=session):
            files.remove_endpoints(site, session)
        case action.RemoveLease(session=session):
            files.remove_lease(site, session)
        case _:
            assert_never(wanted)
