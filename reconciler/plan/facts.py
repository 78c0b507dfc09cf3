"""Observed state, indexed by name, with the questions that the rest of the planner asks of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.contract.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.model.observed import Container, Image, NodeFiles, Observed, Process, ProcessEnd, Site


@dataclass(frozen=True, slots=True)
class Facts:
    """Indexes over one `Observed`. Every look-up by name costs the same however large the world is."""

    observed: Observed
    site: Site
    containers: dict[str, Container]
    processes: dict[str, Process]
    process_ends: dict[str, ProcessEnd]
    files: dict[str, NodeFiles]
    images_by_tag: dict[str, Image]
    images_by_env: dict[str, Image]
    images_by_id: dict[str, Image]
    servers: dict[str, frozenset[str]]
    """Session name to the names of the existing instances that are assigned to it, or are to leave it."""
    sandboxes: dict[str, Container]
    stopped: frozenset[str]
    """Names of the containers that ended because we told them to."""

    def exists(self, name: str) -> bool:
        """Whether an instance has a container or a process."""
        return name in self.containers or name in self.processes

    def runs(self, name: str) -> bool:
        """Whether an instance's container or process runs."""
        container = self.containers.get(name)
        return name in self.processes or (container is not None and container.state == "running")

    def exit_code(self, name: str) -> int | None:
        """Return how an instance that has ended by itself did so, as the engine counts; else None."""
        if name in self.stopped:
            return None
        container, end = self.containers.get(name), self.process_ends.get(name)
        return container.exit_code if container is not None else end.exit_code if end is not None else None

    def has_ended(self, name: str) -> bool:
        """Whether an instance is known to have run, and to have ended without being told to by us."""
        if name in self.stopped:
            return False
        container = self.containers.get(name)
        return name in self.process_ends or (container is not None and container.state == "exited")

    def up(self, name: str) -> bool:
        """Whether an instance runs, and its runtime has loaded the node's code and taken in assignments.

        A runtime says that it lives before it imports the code; until it has, nothing may be moved to it.
        """
        files = self.files.get(name)
        loaded = files is not None and files.status is not None and files.status.generation != ""
        return self.runs(name) and files is not None and files.alive and loaded


def index(observed: Observed, stopped: Mapping[str, str] | None = None) -> Facts:
    """Index a look. `stopped` are the instances we have told to end, as the memory has them."""
    stopped = stopped or {}
    containers = {container.name: container for container in observed.containers if container.kind == "node"}
    processes = {process.name: process for process in observed.processes}
    servers: dict[str, set[str]] = {}
    for files in observed.node_files:
        if files.assignments is None or not (files.name in containers or files.name in processes):
            continue
        for served in (*files.assignments.sessions, *files.assignments.leaving):
            servers.setdefault(served.session, set()).add(files.name)
    return Facts(
        observed=observed,
        site=observed.site,
        containers=containers,
        processes=processes,
        process_ends={
            end.name: end
            for end in observed.process_ends
            if end.name not in processes and stopped.get(end.name) != str(end.pid)
        },
        files={files.name: files for files in observed.node_files},
        images_by_tag={tag: image for image in observed.images for tag in image.tags},
        images_by_id={image.id: image for image in observed.images},
        images_by_env={image.env_hash: image for image in observed.images if image.env_hash},
        sandboxes={c.name: c for c in observed.containers if c.kind == "sandbox"},
        servers={session: frozenset(names) for session, names in servers.items()},
        stopped=frozenset(c.name for c in containers.values() if c.state == "exited" and stopped.get(c.name) == c.id),
    )
