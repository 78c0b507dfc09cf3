"""The composition root: one instance's doors, loader and files, put together for the loop and the commands.

Rule: nothing here decides. An instance without manifests (None) knows those it last converged to.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Self

from reconciler.actuate.files import make_key, prepare, translated
from reconciler.actuate.runtime_files import runtime_version
from reconciler.contract import VERSION, names
from reconciler.contract.env import MEMORY_MB
from reconciler.contract.files import replace_text
from reconciler.contract.values import asdict, dataclass, replace
from reconciler.controller import published
from reconciler.controller.build_logs import BuildLogs
from reconciler.controller.image_records import ImageRecords
from reconciler.controller.loop import World
from reconciler.engine import connect
from reconciler.load import Loader
from reconciler.model.action import BuildImage
from reconciler.model.desired import ImageCache
from reconciler.model.memory import Memory
from reconciler.model.observed import Site
from reconciler.observe.snapshot import glance, observe
from reconciler.process import HostProcesses
from reconciler.shm import Shm

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator, Mapping
    from pathlib import Path

    from reconciler.contract.paths import Paths
    from reconciler.controller.event import Event
    from reconciler.controller.journal import Journal
    from reconciler.controller.loop import Pass
    from reconciler.engine.port import EnginePort
    from reconciler.model.action import Action
    from reconciler.model.desired import Desired
    from reconciler.model.memory import End
    from reconciler.model.observed import Observed, ShmNode, ShmService
    from reconciler.model.status import ObjectStatus
    from reconciler.observe.snapshot import ShmLook


def site_of(paths: Paths) -> Site:
    """Return the facts of this controller's place."""
    return Site(
        instance=paths.instance,
        uid=os.geteuid(),
        gid=os.getegid(),
        python=sys.executable,
        nodes_dir=str(paths.nodes),
        sources_dir=str(paths.sources),
        logs_dir=str(paths.logs),
        shm_root=str(paths.shm_root),
        shm_prefix=names.shm_prefix(paths.instance),
        runtime_version=runtime_version(),
        version=VERSION,
        memory_bytes=memory_bytes(os.environ),
    )


def memory_bytes(environ: Mapping[str, str]) -> int:
    """Return what memory limits may add up to: as it is said, or what the machine has.

    Raises:
        ValueError: if what is said is no number.
    """
    said = environ.get(MEMORY_MB, "")
    if said and not said.isdigit():
        msg = f"{MEMORY_MB} is {said!r}, and must be a whole number of MiB"
        raise ValueError(msg)
    return int(said) << 20 if said else os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class _Seen:
    """Shared memory as it was seen already."""

    found: tuple[tuple[ShmNode, ...], tuple[ShmService, ...]]

    def look(self) -> tuple[tuple[ShmNode, ...], tuple[ShmService, ...]]:
        """Return it."""
        return self.found


class Instance:
    """One instance with its doors open. Close it, or use it as a context manager."""

    def __init__(
        self,
        paths: Paths,
        manifests: Path | None,
        *,
        allow_empty: bool = False,
        locked: bool = True,
        cache: ImageCache | None = None,
    ) -> None:
        self.paths = paths
        self._cache = cache or ImageCache()
        self.site = site_of(paths)
        self._engine = connect()
        self._processes = HostProcesses()
        self._shm = Shm(self.site.shm_root, self.site.shm_prefix)
        self._loader = Loader(paths, manifests, allow_empty=allow_empty, locked=locked)
        self._manifests = manifests
        self._journal: Journal | None = None
        self._opening = threading.Lock()
        self._observed: Observed | None = None
        self._running: dict[str, tuple[str, ...]] = {}
        self._published = published.read(paths.status)
        self._leases_seen: frozenset[str] = frozenset()
        self.images = ImageRecords(paths.journal)
        self._build_logs = BuildLogs(paths.builds)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._journal is not None:
            self._journal.close()
        self._engine.close()

    @property
    def engine(self) -> EnginePort:
        """The engine."""
        return self._engine

    @property
    def published(self) -> tuple[ObjectStatus, ...]:
        """The conditions published last, by this controller or the one before."""
        return self._published

    def load(self) -> Desired:
        """Return what manifests and sessions want now."""
        return replace(self._loader.load(), images=self._cache)

    def _load_leases(self) -> Desired:
        """Return what sessions want now, and what manifests wanted at the last look."""
        desired = replace(self._loader.load_leases(), images=self._cache)
        self._leases_seen = _leased(desired)
        return desired

    def look(self) -> Observed:
        """Return what there is now."""
        return self._observe(self._shm)

    def glimpse(self) -> tuple[Observed, bool]:
        """Return what there is now, and whether that is all: shared memory in motion is left out.

        To be sure of it costs the import of iceoryx2, and a look at each service.
        """
        found = self._shm.glimpse()
        return self._observe(_Seen(found or ((), ()))), found is not None

    def _observe(self, shm: ShmLook) -> Observed:
        self._observed = observe(self._engine, self._processes, shm, self.site, before=self._observed)
        return self._observed

    def world(
        self,
        *,
        load: Callable[[], Desired] | None = None,
        build_output: Callable[[str, str], None] = lambda _tag, _line: None,
    ) -> World:
        """Return the outside as the loop sees it, with the directories made that everything is put into.

        Whoever asks for it is the instance's one writer.
        """
        prepare(self.site)
        make_key(self.paths.secret_key)
        self.paths.sessions.mkdir(mode=0o700, exist_ok=True)
        self._build_logs.take_over()

        def say(tag: str, line: str) -> None:
            self._build_logs.line(tag, line)
            build_output(tag, line)

        return World(
            load or self._load_and_keep,
            self.look,
            partial(self._act, say),
            self._last_lines,
            self._limit_that_ended,
            self._engine.end_builds,
            self.glimpse,
            self._load_leases,
            glance,
        )

    def say(self, also: Callable[[Event], None]) -> Callable[[Event], None]:
        """Return a function that takes an event into the journal and passes it on."""

        def both(event: Event) -> None:
            self._open_journal().write(event)
            also(event)

        return both

    def _open_journal(self) -> Journal:
        """Return the journal, opened with the first event: a pass at rest has none and must not pay for it."""
        from reconciler.controller.journal import Journal  # noqa: PLC0415 - brings SQLite with it

        with self._opening:
            self._journal = self._journal or Journal(self.paths.journal)
            return self._journal

    def memory(self, clock: Callable[[], float] = time.monotonic) -> Memory:
        """Return what is known of earlier controllers: when images were last used."""
        return Memory(image_used_s=self.images.used_s(clock))

    def publish(self, made: Pass) -> None:
        """Put the conditions where `get` finds them, when they have changed, and note who uses which image.

        Raises:
            FilesError: if they can't be written.
        """
        self.images.see(made)
        self._leases_seen = _leased(made.desired)
        if made.statuses != self._published:
            with translated("write the conditions"):
                replace_text(self.paths.status, json.dumps([asdict(status) for status in made.statuses]))
            self._published = made.statuses
        self._running = {
            status.instance: ("container" if status.container else "process", *status.owners)
            for status in made.statuses
            if status.kind == "Node" and status.is_true("Running")
        }

    def running(self) -> dict[str, tuple[str, ...]]:
        """Return the instances that ran at the last pass: `container` or `process`, then the owners, by name."""
        return self._running

    def log_file(self, name: str) -> Path:
        """Return the file a host process writes to."""
        return self.paths.logs / f"{name}.log"

    def events(self) -> Iterator[str]:
        """Return what the engine says happens to what is ours."""
        return self._engine.events(self.paths.instance)

    def watched(self) -> list[Path]:
        """Return the places of manifests, in which a change is a reason for a pass."""
        if self._manifests is None:
            return []
        # Node source may lie beside the manifests or anywhere; a link is watched from where it lies, so that a swap
        # of it is seen.
        return [self._manifests, self._manifests.parent if self._manifests.is_symlink() else self._manifests]

    def is_manifest(self, path: str) -> bool:
        """Whether a changed file may be a manifest or its code, and is none of ours that lie in the same place."""
        return not path.startswith((f"{self.paths.runtime}/", f"{self.paths.state}/"))

    def probe(self) -> Hashable:
        """Return what only shows when asked for: which leases are held, which host processes live.

        Of leases it is what the last pass did not see so: one that came and went meanwhile is told, too.
        """
        held = self._loader.held_leases()
        return (None if held == self._leases_seen else held, self._processes.lasting())

    def forget(self) -> None:
        """Remove the instance's own directories and its cache of downloads, after all that it owned is gone."""
        import shutil  # noqa: PLC0415 - only the last command of an instance needs it

        self._shm.forget()
        self._engine.forget_cache(names.cache_volume(self.site.instance))
        shutil.rmtree(self.paths.runtime, ignore_errors=True)
        for path in (self.paths.manifests, self.paths.sources, self.paths.logs, self.paths.builds):
            shutil.rmtree(path, ignore_errors=True)

    def _last_lines(self, end: End) -> tuple[str, ...]:
        from reconciler.controller.last_lines import last_lines  # noqa: PLC0415 - where nothing ended, nobody asks

        return last_lines(self._engine, self.log_file, end)

    def _limit_that_ended(self, end: End) -> str:
        from reconciler.controller.last_limit import limit_that_ended  # noqa: PLC0415 - see above

        return limit_that_ended(self._engine, self.paths.nodes, end)

    def _act(self, say: Callable[[str, str], None], wanted: Action) -> None:
        """Do one action; of a build, keep the output and the time it took."""
        from reconciler.actuate.execute import Doors, execute  # noqa: PLC0415 - at rest there is nothing to do

        doors = Doors(self._engine, self._processes, self._shm, self.site, say)
        match wanted:
            case BuildImage(image=image):
                began_s = time.monotonic()
                self._build_logs.begin(image.tag)
                try:
                    execute(doors, wanted)
                finally:
                    self._build_logs.end(image.tag)
                self.images.built(image.env_hash, took_s=time.monotonic() - began_s)
            case _:
                execute(doors, wanted)

    def _load_and_keep(self) -> Desired:
        """Load, and remember the good manifests, so that a bad edit or a restart finds them."""
        desired = self.load()
        self._loader.keep()
        return desired


def _leased(desired: Desired) -> frozenset[str]:
    return frozenset(session.name for session in desired.sessions if session.kind == "lease")
