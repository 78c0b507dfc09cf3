"""Where an instance keeps things on the host.

<state>/<instance>/      survives reboots: lock, key, last good manifests, source snapshots, logs, builds, journal
<runtime>/<instance>/    tmpfs, gone after a reboot:
    status.json          conditions, written by the controller
    controller.lock      held by flock while a controller converges continuously
    sessions/<s>.json    lease, written and locked by the client library
    endpoints/<s>.json   where a session's ends are, written by the controller
    nodes/<name>/        assignments.json, status.json, alive (locked by the node runtime), .doorbell
    iox2/                the instance's own iceoryx2 root directory
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Iterable, Mapping, Optional, Tuple

from reconciler.contract import env, names
from reconciler.contract.values import dataclass

DEFAULT_INSTANCE = "default"


@dataclass(frozen=True, slots=True)
class Paths:
    """Directories of one instance."""

    instance: str
    state: Path
    runtime: Path
    allowed: Tuple[str, ...] = ()
    """Places of the host that manifests may name although they are the host's own."""

    @property
    def lock(self) -> Path:
        """File locked by the one writer of this instance."""
        return self.state / "lock"

    @property
    def secret_key(self) -> Path:
        """Key of the digests by which a changed secret is noticed."""
        return self.state / "secret.key"

    @property
    def manifests(self) -> Path:
        """Last good version of every manifest."""
        return self.state / "manifests"

    @property
    def drafts(self) -> Path:
        """What the texts of manifests said, by their digests: a cache."""
        return self.state / "drafts"

    @property
    def sources(self) -> Path:
        """Snapshots of node source, one directory for each digest."""
        return self.state / "sources"

    @property
    def logs(self) -> Path:
        """Output of host processes, one file for each node instance."""
        return self.state / "logs"

    @property
    def builds(self) -> Path:
        """Output of image builds, one file for each environment image."""
        return self.state / "builds"

    @property
    def journal(self) -> Path:
        """What was done and why."""
        return self.state / "journal.sqlite"

    @property
    def status(self) -> Path:
        """Conditions as the controller last saw them."""
        return self.runtime / "status.json"

    @property
    def rest(self) -> Path:
        """All that was looked at by the last `--once` that found nothing to do, as it was."""
        return self.runtime / "rest"

    @property
    def controller(self) -> Path:
        """File locked while a controller converges continuously; clients ask it whether anyone would serve them."""
        return self.runtime / "controller.lock"

    @property
    def sessions(self) -> Path:
        """Leases."""
        return self.runtime / "sessions"

    @property
    def endpoints(self) -> Path:
        """Ends of sessions."""
        return self.runtime / "endpoints"

    @property
    def nodes(self) -> Path:
        """Directories of node instances."""
        return self.runtime / "nodes"

    @property
    def shm_root(self) -> Path:
        """Root directory of the instance's iceoryx2 services."""
        return self.runtime / "iox2"

    def node(self, name: str) -> Path:
        """Directory of one node instance."""
        return self.nodes / name


def resolve(
    *,
    instance: Optional[str] = None,
    state_dir: Optional[str] = None,
    runtime_dir: Optional[str] = None,
    allowed: Iterable[str] = (),
    environ: Mapping[str, str] = os.environ,
) -> Paths:
    """Return an instance's directories: arguments win over environment variables, those over defaults.

    Raises:
        ValueError: if the instance name is no RFC 1123 label, or the runtime directory is too long for iceoryx2.
    """
    chosen = instance or environ.get(env.INSTANCE) or DEFAULT_INSTANCE
    if not names.NAME.fullmatch(chosen):
        msg = f"instance name {chosen!r} must be lower-case letters, digits and inner hyphens, 63 at most"
        raise ValueError(msg)
    state = Path(state_dir or environ.get(env.STATE_DIR) or _default_state(environ)) / chosen
    runtime = Path(runtime_dir or environ.get(env.RUNTIME_DIR) or _default_runtime(environ)) / chosen
    also = tuple(place for place in environ.get(env.ALLOW_HOST_PATHS, "").split(":") if place)
    paths = Paths(chosen, state.absolute(), runtime.absolute(), (*allowed, *also))
    if len(str(paths.shm_root)) > names.SHM_ROOT_LIMIT:
        msg = (
            f"{paths.shm_root} is {len(str(paths.shm_root))} characters long, iceoryx2 takes {names.SHM_ROOT_LIMIT}: "
            f"choose a shorter --runtime-dir (or {env.RUNTIME_DIR}) or --instance"
        )
        raise ValueError(msg)
    return paths


def _default_state(environ: Mapping[str, str]) -> str:
    if os.geteuid() == 0:
        return "/var/lib/reconciler"
    home = environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return f"{home}/reconciler"


def _default_runtime(environ: Mapping[str, str]) -> str:
    if os.geteuid() == 0:
        return "/run/reconciler"
    return f"{environ.get('XDG_RUNTIME_DIR') or f'/tmp/reconciler-{os.geteuid()}'}/reconciler"  # noqa: S108 - the uid is in it
