"""The one entry: `Loader.load()` returns desired state, whatever lies in the manifests' directory.

Rule: nothing is removed because something could not be seen. A directory that is missing, unreadable, or empty at the
first look leaves the last good set going; one that becomes empty under our eyes, being the same directory, means it.
Loading writes nothing; `keep` does.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.contract.values import replace
from reconciler.load import kept, leases
from reconciler.load.drafts import Drafts
from reconciler.load.files import Found, Look, look
from reconciler.load.host import Host
from reconciler.load.merge import Merged, merge, world
from reconciler.load.reading import Reader
from reconciler.load.resolve import Resolver, source_dirs
from reconciler.load.store import Known, Store
from reconciler.model.desired import Desired, Diagnostic
from reconciler.model.manifest import Origin

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.contract.paths import Paths
    from reconciler.load.reading import Said
    from reconciler.load.store import Entry

EMPTY = "there are no manifests (*.yaml, *.yml) here"
HINT = "nothing is removed; to remove what is not wanted any more, start with --allow-empty"


class Loader:
    """Loads the manifests at one place, a directory or a file, and the leases of one instance.

    `allowed` are places of the host's own that manifests may name, besides those that `paths` allows.

    Without `paths` there are neither leases nor last good versions. Without `manifests` the last good versions are all
    there is. Without `locked`, locks beside manifests are passed over.
    """

    def __init__(
        self,
        paths: Paths | None,
        manifests: Path | None,
        *,
        allow_empty: bool = False,
        allowed: tuple[str, ...] = (),
        locked: bool = True,
    ) -> None:
        self._manifests = manifests
        # Not resolved: a link that is swapped stays the same place.
        self._root = None if manifests is None else os.path.abspath(manifests)
        self._allow_empty = allow_empty
        self._leases = paths.sessions if paths else None
        self._store = Store(paths.manifests) if paths else None
        self._drafts = Drafts(paths.drafts if paths else None)
        self._reader = Reader(self._drafts)
        host = Host(paths, allowed=allowed, engine=os.environ.get("DOCKER_HOST", ""))
        self._resolver = Resolver(host, locked=locked)
        self._stored: Known | None = None
        self._known: dict[str, Entry] = {}
        self._seen = (0, 0)
        self._last: tuple[Merged, bool] | None = None  # what counted at the last look, and whether that was all
        self.stale_leases: tuple[Path, ...] = ()
        """Files of leases that nobody holds any more, as of the last look."""

    def load(self) -> Desired:
        """Return desired state as of now. Never raises for what it finds."""
        damaged = self._remember()
        held = leases.look(self._leases) if self._leases else leases.Leases()
        self.stale_leases = held.stale
        merged, complete, extra = self._files()
        broken = self._damaged(damaged, merged)
        merged = replace(merged, diagnostics=(*merged.diagnostics, *extra, *broken))
        self._last = (merged, complete and not broken)
        desired = _wish(*self._last, held)
        # What lies under another place was converged to earlier; it is forgotten once this place is seen whole.
        others = {} if desired.complete else {key: e for key, e in self._known.items() if not self._is_here(key)}
        self._known = {**others, **merged.entries}
        return desired

    def load_leases(self) -> Desired:
        """Return desired state with the leases as of now and the manifests as they were loaded last."""
        if self._last is None:
            return self.load()
        held = leases.look(self._leases) if self._leases else leases.Leases()
        return _wish(*self._last, held)

    def keep(self) -> None:
        """Write down the versions that counted in the last look.

        Raises:
            StateError: if the state directory can't be written.
        """
        if self._store is None or self._stored is None:
            return
        self._store.save(self._stored.entries, self._known)
        self._drafts.keep(self._known.values())
        self._stored = self._store.read() if self._stored.damaged else Known(dict(self._known))

    def held_leases(self) -> frozenset[str]:
        """Return the names of the leases that are held at this moment; cheap enough to ask several times a second."""
        return leases.held(self._leases) if self._leases else frozenset()

    def _remember(self) -> tuple[Path, ...]:
        """Read the last good versions at the first look; return what of them is damaged."""
        if self._stored is None:
            self._stored = self._store.read() if self._store else Known({})
            self._known = dict(self._stored.entries)
        return self._stored.damaged

    def _damaged(self, damaged: tuple[Path, ...], merged: Merged) -> list[Diagnostic]:
        """Report last good versions that can't be read, but those that a good file replaces."""
        if self._store is None:
            return []
        replaced = {self._store.place(key) for key in merged.entries}
        said = "this last good version of a manifest is damaged, so nothing is removed; delete it if it is not needed"
        return [Diagnostic(Origin(str(path)), said) for path in damaged if path not in replaced]

    def _is_here(self, key: str) -> bool:
        return self._root is None or _below(key, self._root)

    def _files(self) -> tuple[Merged, bool, list[Diagnostic]]:
        """Return what counts of the manifests, whether all of them could be seen, and what is wrong with the place."""
        if self._manifests is None:
            return Merged(dict(self._known)), True, []
        found = look(self._manifests)
        here = {key: entry for key, entry in self._known.items() if self._is_here(key)}
        why = self._distrust(found) or self._replaced(found, here)
        if why:
            return merge((), here, here), False, [Diagnostic(Origin(found.shown), why)]
        read = self._manifests_among(found.files, here)
        lost = {key: e for key, e in here.items() if any(_below(key, place) for place, _, _ in found.lost)}
        root = os.path.realpath(found.root if Path(found.root).is_dir() else os.path.dirname(found.root))
        merged = merge(self._resolver.resolve(read, here, root=root), kept.of_files(here), kept.of_files(lost))
        merged = replace(merged, entries=kept.with_kept(merged.entries, here))
        wrong = [Diagnostic(Origin(shown), reason) for _, shown, reason in found.lost]
        return merged, not found.lost, wrong

    def _distrust(self, found: Look) -> str:
        """Say why what was found is not taken for the user's wish; nothing if it is."""
        if found.state == "unreadable":
            return found.why
        if found.files or found.lost:
            self._seen = found.identity
            return ""
        if found.identity == self._seen != (0, 0):
            return ""  # it became empty under our eyes
        if found.state == "missing":
            return f"{found.why}; nothing is removed" if self._store else found.why
        if self._allow_empty:
            return ""
        return f"{EMPTY}, so {HINT}" if self._store else EMPTY

    def _replaced(self, found: Look, here: Mapping[str, Entry]) -> str:
        """Say that a file lies where the directory of what is known was; nothing if not, or if it is meant."""
        if self._allow_empty or [file.key for file in found.files] != [found.root]:
            return ""
        was_directory = any(key != found.root for key in kept.of_files(here))
        return f"was a directory with manifests and is a file now, so {HINT}" if was_directory else ""

    def _manifests_among(self, files: tuple[Found, ...], here: Mapping[str, Entry]) -> list[Said]:
        """Read files, and leave out YAML that belongs to node source: it lies there, and is and was no manifest."""
        read = self._reader.read(files, here)
        code = {directory for said in read for directory in source_dirs(said)}
        return [
            said
            for said in read
            if not said.draft.problems
            or said.found.key in here
            or not any(_below(said.found.real, directory) for directory in code)
        ]


def _wish(merged: Merged, complete: bool, held: leases.Leases) -> Desired:  # noqa: FBT001 - kept side by side
    said = replace(merged, diagnostics=(*merged.diagnostics, *held.diagnostics))
    return world(said, leases=held.sessions, complete=complete and held.complete)


def check(path: Path, *, allowed: tuple[str, ...] = ()) -> Desired:
    """Return what the manifests at a path say, and everything wrong with them, without any earlier version.

    `allowed` are places of the host's own that they may name.
    """
    return Loader(None, path, allowed=allowed).load()


def _below(path: str, directory: str) -> bool:
    return path == directory or path.startswith(f"{directory.rstrip('/')}/")
