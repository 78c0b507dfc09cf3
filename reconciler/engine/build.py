"""Making an image: for each stage a container, its command, a commit.

Rule: a container of kind `build` lives only as long as its stage; a stage that fails leaves neither container nor
image.

Not `docker build`: its classic form, the only one docker-py speaks, can't hand anything to a step without keeping it in
a layer, and leaves dangling images where a step fails. Reuse comes from stages that have a key: an earlier result is
found by its label. Such a result has no name, so the engine removes it with the last image made from it.
"""

from __future__ import annotations

import io
import json
import tarfile
import threading
import time
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING

from docker.errors import APIError
from docker.types import LogConfig

from reconciler.contract import labels
from reconciler.engine.errors import CONFLICT, NOT_FOUND, status_of
from reconciler.engine.streams import container_output
from reconciler.model.errors import BuildError, NameTakenError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import docker

    from reconciler.engine.recipe import Recipe, Stage

LONGEST_STAGE_S = 3600.0
WAIT_TIMEOUT_S = 60.0
KEPT_LINES = 40
NOT_EXECUTED = 127
"""Exit code of the init process where it can't execute the command. Source: tini, as the shells have it."""

STEP_MARK = "::step "
"""A line of a stage's output that begins like this says which step comes now."""


def build(client: docker.APIClient, recipe: Recipe, say: Callable[[str], None]) -> None:
    """Make and tag an image.

    Raises:
        BuildError: if a stage fails.
        docker.errors.APIError: if the engine refuses a call.
    """
    made: list[str] = []
    base = recipe.base
    try:
        for stage in recipe.stages:
            found = _reusable(client, stage)
            if found is None:
                found = _Building(client, recipe, stage, base=base, say=say).make()
                made.append(found)
            base = found
    except BaseException:
        for image in reversed(made):
            with suppress(APIError):
                client.remove_image(image)
        raise


def _reusable(client: docker.APIClient, stage: Stage) -> str | None:
    if not stage.key:
        return None
    wanted = [f"{labels.STAGE}={stage.key}", f"{labels.KIND}={labels.KIND_BUILD}"]
    found = client.images(all=True, filters={"label": wanted})
    return min((str(image["Id"]) for image in found), default=None)


class _Building:
    """One stage in the making, on top of image `base`."""

    def __init__(
        self, client: docker.APIClient, recipe: Recipe, stage: Stage, *, base: str, say: Callable[[str], None]
    ) -> None:
        self._client = client
        self._recipe = recipe
        self._stage = stage
        self._base = base
        self._say = say

    def make(self) -> str:
        """Run the stage and return the image made of it."""
        container = self._create()
        try:
            files = archive((*self._stage.tools, *self._stage.files))
            self._client.put_archive(container, "/", files)
            self._run(container)
            return self._commit(container)
        finally:
            self._discard(container)

    def _create(self) -> str:
        """Create the stage's container. One that a build of ours left when it was cut off is in the way: it goes.

        That is safe since the name holds the instance, an instance has one writer, and that builds an image once.
        """
        try:
            return self._create_once()
        except APIError as error:
            if status_of(error) != CONFLICT:
                raise
        recipe = self._recipe
        marks = self._client.inspect_container(recipe.name)["Config"].get("Labels") or {}
        if (marks.get(labels.INSTANCE), marks.get(labels.KIND)) != (recipe.instance, labels.KIND_BUILD):
            msg = (
                f"the name {recipe.name} belongs to a container that is not ours and is left alone: rename or remove it"
            )
            raise NameTakenError(msg)
        self._discard(recipe.name)
        return self._create_once()

    def _create_once(self) -> str:
        recipe = self._recipe
        logs = LogConfig(type="json-file", config={"max-size": "50m", "max-file": "1"})
        host = self._client.create_host_config(init=True, log_config=logs)
        try:
            created = self._client.create_container(
                self._base,
                name=recipe.name,
                entrypoint=[""],  # the engine's way to say "none", which the commit then keeps
                command=list(self._stage.command),
                user="0:0",
                working_dir="/",
                labels={labels.INSTANCE: recipe.instance, labels.KIND: labels.KIND_BUILD},
                host_config=host,
                use_config_proxy=False,
            )
        except APIError as error:
            if status_of(error) != NOT_FOUND:
                raise
            msg = f"{recipe.tag}: its base image {self._base[:19]} is gone; the next pass looks for it again"
            raise BuildError(msg) from error
        return str(created["Id"])

    def _run(self, container: str) -> None:
        cant = f"{self._recipe.tag}: {self._stage.title}: the base image can't run {self._stage.command[0]}"
        try:
            self._client.start(container)
        except APIError as error:
            raise BuildError(f"{cant}: {error.explanation}") from error
        kill = threading.Timer(LONGEST_STAGE_S, self._kill, (container,))
        kill.start()
        began_s = time.monotonic()
        try:
            step, kept = self._follow(container)
            code = int(self._client.wait(container, timeout=WAIT_TIMEOUT_S)["StatusCode"])
        finally:
            kill.cancel()
        if code == NOT_EXECUTED and step == self._stage.title:
            raise BuildError(f"{cant}: {_telling(kept)}", log="\n".join(kept))
        if code:
            said = f"not done after {LONGEST_STAGE_S:.0f} s" if time.monotonic() - began_s > LONGEST_STAGE_S else ""
            msg = f"{self._recipe.tag}: {step} failed (exit code {code}): {said or _telling(kept)}"
            raise BuildError(msg, log="\n".join(kept))

    def _follow(self, container: str) -> tuple[str, list[str]]:
        """Pass the output on until the stage ends; return its last step and that step's last lines."""
        step, kept = self._stage.title, deque[str](maxlen=KEPT_LINES)
        for line in container_output(self._client, container):
            if line.text.startswith(STEP_MARK):
                step = line.text.removeprefix(STEP_MARK).strip()
                kept.clear()
            else:
                kept.append(line.text)
            self._say(line.text)
        return step, list(kept)

    def _commit(self, container: str) -> str:
        recipe, last = self._recipe, self._stage is self._recipe.stages[-1]
        marks = recipe.labels if last else ((labels.KIND, labels.KIND_BUILD), (labels.STAGE, self._stage.key))
        changes = [*recipe.changes, *(f"LABEL {json.dumps(key)}={json.dumps(value)}" for key, value in marks)]
        repository = recipe.tag if last else None
        made = self._client.commit(container, repository, message=self._stage.title, changes=changes)
        return str(made["Id"])

    def _discard(self, container: str) -> None:
        try:
            self._client.remove_container(container, v=True, force=True)
        except APIError as error:
            if status_of(error) not in {NOT_FOUND, CONFLICT}:
                raise

    def _kill(self, container: str) -> None:
        with suppress(APIError):
            self._client.kill(container)


def archive(files: Iterable[tuple[str, bytes]]) -> bytes:
    """Return files as a tar: owner root, fixed times, and their directories from the second level on."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as tar:
        seen: set[str] = set()
        for path, data in files:
            relative = path.lstrip("/")
            for parent in _parents(relative, seen):
                entry = tarfile.TarInfo(parent)
                entry.type, entry.mode = tarfile.DIRTYPE, 0o755
                tar.addfile(entry)
            entry = tarfile.TarInfo(relative)
            entry.size, entry.mode = len(data), 0o644
            tar.addfile(entry, io.BytesIO(data))
    return content.getvalue()


def _parents(path: str, seen: set[str]) -> list[str]:
    """Return a path's directories that were not named yet, outermost first; `/opt` and its like keep what they are."""
    parts = path.split("/")[:-1]
    found = ["/".join(parts[:count]) for count in range(2, len(parts) + 1)]
    fresh = [parent for parent in found if parent not in seen]
    seen.update(fresh)
    return fresh


def _telling(kept: Iterable[str]) -> str:
    """Return the line that says most: the first that calls itself an error, or the last."""
    said = [line.strip() for line in kept if line.strip()]
    errors = [line for line in said if line.startswith(("ERROR", "E: ", "error:"))]
    return (errors or said[-1:] or ["it said nothing"])[0]
