"""One instance's part of shared memory."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.contract import lock
from reconciler.contract.names import MONITOR
from reconciler.model.errors import ShmError
from reconciler.model.observed import ShmNode, ShmService
from reconciler.shm.rest import PARTS, AtRest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

    import iceoryx2 as iox
    from iceoryx2.config import Config

SHM = Path("/dev/shm")  # noqa: S108 - the place where iceoryx2 keeps its segments
CLEANUP_TIMEOUT_S = 2
POSITIONS = "positions"
"""Where readers keep how far they are, below the root directory."""

SEATS = "seats"
"""Where nodes hold the sessions they serve, below the root directory."""

HALF_MADE_S = 10.0
"""From what age on the directory of a node that has nothing else is a killed program's: making one takes a moment."""

SWEEPER = "reconciler-sweeper"

Look = tuple[tuple[ShmNode, ...], tuple[ShmService, ...]]


class Shm:
    """The iceoryx2 nodes and services under a root directory. Every call is safe to repeat."""

    def __init__(self, root: str, prefix: str) -> None:
        self._root = Path(root)
        self._prefix = prefix
        self._rest = AtRest(root, prefix)

    def look(self) -> Look:
        """Return nodes and services.

        Raises:
            ShmError: if iceoryx2 can't list them.
        """
        found = self.glimpse()
        return self._ask() if found is None else found

    def glimpse(self) -> Look | None:
        """Return nodes and services as far as files tell for sure, None where somebody starts, ends or was killed."""
        if not self._has_entries("nodes") and not self._has_entries("services"):
            return (), ()
        return self._rest.look()

    def _ask(self) -> Look:
        iox = _iceoryx2()
        with _translated(iox, f"can't look at shared memory below {self._root}"):
            config = self._config(iox)
            nodes = tuple(_node(iox, state) for state in iox.Node.list(iox.ServiceType.Ipc, config))
            services = tuple(_service(details) for details in iox.Service.list(config, iox.ServiceType.Ipc))
        half = (ShmNode(path.name, "", dead=True) for path in self._half_made())
        return (*nodes, *half), services

    def remove_dead_nodes(self, ids: tuple[str, ...]) -> None:
        """Reclaim what dead nodes left; one that somebody else has cleaned up meanwhile is success.

        Raises:
            ShmError: if iceoryx2 can't.
        """
        iox = _iceoryx2()
        with _translated(iox, f"can't clean up after {len(ids)} killed programs below {self._root}"):
            for state in iox.Node.list(iox.ServiceType.Ipc, self._config(iox)):
                if isinstance(state, iox.NodeState.Dead) and str(state[0].id.value) in ids:
                    state[0].blocking_remove_stale_resources(iox.Duration.from_secs(CLEANUP_TIMEOUT_S))
                    if not state[0].details:
                        self._remove_end(str(state[0].id.value))
        for path in self._half_made():
            if path.name in ids:
                _remove(path)
        self.tidy()

    def remove_service(self, service: str) -> None:
        """Remove a service that nobody has open, by id.

        Raises:
            ShmError: if iceoryx2 can't.
        """
        iox = _iceoryx2()
        pattern, name = service.split(":", 1)
        with _translated(iox, f"can't remove service {name} below {self._root}"):
            builder = iox.NodeBuilder.new().name(iox.NodeName.new(SWEEPER)).config(self._config(iox))
            builder = builder.signal_handling_mode(iox.SignalHandlingMode.Disabled)
            node = builder.create(iox.ServiceType.Ipc)
            node.force_remove_service(iox.ServiceName.new(name), getattr(iox.MessagingPattern, pattern))
        self.tidy()

    def tidy(self) -> None:
        """Remove positions in channels that are no more, and seats nobody has. Who is not killed does so itself."""
        for seat in self._kept(SEATS):
            lock.remove_unheld(seat)
        kept = self._kept(POSITIONS)
        if kept:
            there = {service.name for service in self.look()[1]}
            for path in kept:
                if path.name.rsplit("@", 1)[0] not in there:
                    path.unlink(missing_ok=True)

    def files(self) -> tuple[int, int]:
        """Return how many files lie in `/dev/shm` and the bytes they hold, iceoryx2's own lock left out."""
        sizes = [path.stat().st_blocks * 512 for path in self._segments() if not path.name.endswith(".global_mgmt")]
        return len(sizes), sum(sizes)

    def forget(self) -> None:
        """Remove the 16 bytes that iceoryx2 keeps for every prefix, once nothing else is left.

        A program that was killed while it made its node may just have left a directory, which nobody watches over.
        """
        watched = any(path.name.endswith(MONITOR) for path in self._kept("nodes"))
        if not watched and self.files() == (0, 0):
            for path in self._segments():
                path.unlink(missing_ok=True)

    def _kept(self, part: str) -> list[Path]:
        try:
            return sorted((self._root / part).iterdir())
        except FileNotFoundError:
            return []

    def _half_made(self) -> list[Path]:
        """Return directories of nodes that were killed while they were made, of which iceoryx2 knows nothing."""
        made = {path.name: path for path in self._kept("nodes")}
        return [path for name, path in made.items() if _is_half_made(path, f"{self._prefix}{name}{MONITOR}" in made)]

    def _remove_end(self, node: str) -> None:
        """Remove what is left of a node that was killed within the last steps of its end, which iceoryx2 leaves."""
        for part in PARTS:
            (self._root / "nodes" / f"{self._prefix}{node}{part}").unlink(missing_ok=True)
        _remove(self._root / "nodes" / node)

    def _segments(self) -> Iterator[Path]:
        return SHM.glob(f"{self._prefix}*")

    def _has_entries(self, part: str) -> bool:
        try:
            return any((self._root / part).iterdir())
        except OSError:
            return False

    def _config(self, iox: ModuleType) -> Config:
        config: Config = iox.config.default()
        config.global_cfg.prefix = iox.FileName.new(self._prefix)
        config.global_cfg.root_path = iox.Path.new(str(self._root))
        return config


def _remove(directory: Path) -> None:
    import shutil  # noqa: PLC0415 - a pass at rest must not pay for it

    shutil.rmtree(directory, ignore_errors=True)


def _is_half_made(node: Path, watched: bool) -> bool:  # noqa: FBT001 - whether it can be told that it lives
    try:
        return not watched and node.name.isdigit() and time.time() - node.stat().st_mtime > HALF_MADE_S
    except OSError:
        return False


def _iceoryx2() -> ModuleType:
    import iceoryx2  # noqa: PLC0415 - see the package's rule

    iceoryx2.set_log_level(iceoryx2.LogLevel.Fatal)
    return iceoryx2


def _node(iox: ModuleType, state: iox.NodeState) -> ShmNode:
    view = state[0]
    if isinstance(state, iox.NodeState.Undefined | iox.NodeState.Inaccessible):
        return ShmNode(str(view.value), "")
    name = view.details.name.as_str() if view.details else ""
    return ShmNode(str(view.id.value), name, dead=isinstance(state, iox.NodeState.Dead))


def _service(details: iox.ServiceDetails) -> ShmService:
    name = details.name().to_string()
    pattern = str(details.messaging_pattern()).rsplit(".", 1)[-1]
    return ShmService(f"{pattern}:{name}", name, len(details.nodes()))


@contextlib.contextmanager
def _translated(iox: ModuleType, what: str) -> Iterator[None]:
    try:
        yield
    except (iox.NodeListFailure, iox.NodeCleanupFailure, iox.NodeCreationFailure) as error:
        msg = f"{what}: {error}"
        raise ShmError(msg) from error
    except (iox.ServiceDetailsError, iox.ServiceRemoveError) as error:
        msg = f"{what}: {error}"
        raise ShmError(msg) from error
