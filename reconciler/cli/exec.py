"""`reconcile exec PIPELINE -- COMMAND...`: run a program of the host in the shared memory of a pipeline's own."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from reconciler.cli.place import paths_of
from reconciler.contract import env, names
from reconciler.controller.view import look
from reconciler.model.errors import ProcessError
from reconciler.observe.limits import first_process
from reconciler.plan.sandbox import sandbox_hash
from reconciler.process.enter import enter_shared_memory

if TYPE_CHECKING:
    from argparse import Namespace

    from reconciler.controller.view import Seen


def run(options: Namespace) -> int:
    """Become the command. It has the same user, files and network, and another `/dev/shm`.

    Raises:
        ValueError: if there is no such pipeline, it has no memory of its own, it does not run, or there is no such
            command.
        ProcessError: if this user, or this kernel, can't enter it.
    """
    paths = paths_of(options)
    _need_root(options.pipeline)
    pid = first_process(_container(look(paths, options.manifests), options.pipeline))
    if not pid:
        msg = f"the shared memory of pipeline {options.pipeline} can't be found: did it end just now? Try again"
        raise ValueError(msg)
    command = options.command[1:] if options.command[:1] == ["--"] else options.command
    enter_shared_memory(pid)
    os.environ.update(
        {
            env.SHM_ROOT: names.PRIVATE_SHM_ROOT,
            env.INSTANCE: paths.instance,
            env.STATE_DIR: str(paths.state.parent),
            env.RUNTIME_DIR: str(paths.runtime.parent),
        }
    )
    try:
        os.execvp(command[0], command)  # noqa: S606 - to run what is asked for is what this command is for
    except OSError as error:
        msg = f"can't run {command[0]}: {error.strerror}"
        raise ValueError(msg) from error


def _need_root(pipeline: str) -> None:
    if os.geteuid() == 0:
        return
    msg = (
        f"only root may enter memory of a pipeline's own, and this is user {os.geteuid()}: run the controller and "
        f"its programs as root, or give {pipeline} the host's shared memory (sharedMemory.isolation: Host)"
    )
    raise ProcessError(msg)


def _container(seen: Seen, name: str) -> str:
    """Return the id of the container that holds a pipeline's memory."""
    pipeline = next((found for found in seen.desired.pipelines if found.name == name), None)
    if pipeline is None:
        known = ", ".join(sorted(found.name for found in seen.desired.pipelines)) or "none"
        msg = f"no pipeline {name!r} in the manifests (there are: {known})"
        raise ValueError(msg)
    if pipeline.shared_memory.isolation != "Private":
        msg = f"pipeline {name} has the host's shared memory: run the command without `reconcile exec`"
        raise ValueError(msg)
    site = seen.observed.site
    wanted = names.instance_name(site.instance, sandbox_hash(pipeline, user=f"{site.uid}:{site.gid}"))
    found = next((c for c in seen.observed.containers if c.name == wanted and c.state == "running"), None)
    if found is None:
        msg = f"pipeline {name} does not run yet: see `reconcile describe pipeline {name}`"
        raise ValueError(msg)
    return found.id
