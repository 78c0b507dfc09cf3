"""One stage of a build: a container that works and is committed.

Rule: a container of kind `build` lives only as long as its stage; a stage that fails leaves neither container nor
image.
"""

from __future__ import annotations

import json
import threading
import time
from collections import deque
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from docker.errors import APIError
from docker.types import LogConfig, Mount

from reconciler.contract import labels
from reconciler.engine.archive import archive
from reconciler.engine.errors import status_of
from reconciler.engine.recipe import CACHE_DIR, NEEDS_HELP
from reconciler.engine.streams import container_output
from reconciler.engine.wire import CONFLICT, NOT_FOUND
from reconciler.model.errors import BuildError, NameTakenError
from reconciler.model.remedy import remedy, telling

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import docker

    from reconciler.engine.recipe import Recipe, Stage

LONGEST_STAGE_S = 3600.0
WAIT_TIMEOUT_S = 60.0
KEPT_LINES = 200
SHOWN_LINES = 3
LONGEST_LINE = 200
NOT_EXECUTED = 127
"""Exit code of the init process where it can't execute the command. Source: tini, as the shells have it."""

STEP_MARK = "::step "
"""A line of a stage's output that begins like this says which step comes now."""


class NeedsHelpError(Exception):
    """A stage asked for those beside it."""


class Workplaces:
    """The containers in which stages work now. Any thread may call."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._working: set[str] = set()
        self._closed = False

    @contextmanager
    def at_work(self, container: str) -> Iterator[None]:
        """Count a container in.

        Raises:
            BuildError: if builds were told to end.
        """
        with self._lock:
            if self._closed:
                msg = "the build is cut off, since the controller ends"
                raise BuildError(msg)
            self._working.add(container)
        try:
            yield
        finally:
            with self._lock:
                self._working.discard(container)

    def close(self) -> frozenset[str]:
        """Let no stage begin any more, and return the containers that are at work."""
        with self._lock:
            self._closed = True
            return frozenset(self._working)


class Working:
    """One stage in the making, on top of image `base`."""

    def __init__(
        self,
        client: docker.APIClient,
        recipe: Recipe,
        stage: Stage,
        *,
        base: str,
        places: Workplaces,
        say: Callable[[str], None],
    ) -> None:
        self._client = client
        self._recipe = recipe
        self._stage = stage
        self._base = base
        self._places = places
        self._say = say

    def make(self, *, may_ask: bool) -> str:
        """Run the stage and return the image made of it, or the one it began from if it is not kept.

        Raises:
            NeedsHelpError: if the stage asks for those beside it, and it may.
        """
        container = self._create()
        try:
            with self._places.at_work(container), archive((*self._stage.tools, *self._stage.files)) as files:
                self._client.put_archive(container, "/", files)
                self._run(container, may_ask=may_ask)
                return self._commit(container) if self._stage.kept else self._base
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
        marks = {labels.INSTANCE: recipe.instance, labels.KIND: labels.KIND_BUILD}
        logs = LogConfig(type="json-file", config={"max-size": "50m", "max-file": "1"})
        cache = [Mount(CACHE_DIR, recipe.cache, type="volume", labels=marks)] if recipe.cache else []
        network = None if self._stage.online else "none"
        host = self._client.create_host_config(init=True, log_config=logs, mounts=cache, network_mode=network)
        try:
            created = self._client.create_container(
                self._base,
                name=recipe.name,
                entrypoint=[""],  # the engine's way to say "none", which the commit then keeps
                command=list(self._stage.command),
                user="0:0",
                working_dir="/",
                labels=marks,
                host_config=host,
                use_config_proxy=False,
            )
        except APIError as error:
            if status_of(error) != NOT_FOUND:
                raise
            msg = f"{recipe.tag}: its base image {self._base[:19]} is gone; the next pass looks for it again"
            raise BuildError(msg) from error
        return str(created["Id"])

    def _run(self, container: str, *, may_ask: bool) -> None:
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
        if code == NEEDS_HELP and may_ask:
            raise NeedsHelpError
        if code == NOT_EXECUTED and step == self._stage.title:
            raise BuildError(f"{cant}: {telling(kept)}", log="\n".join(kept))
        if code:
            late = time.monotonic() - began_s > LONGEST_STAGE_S
            raise self._failed(step, kept, code, said=f"not done after {LONGEST_STAGE_S:.0f} s" if late else "")

    def _failed(self, step: str, kept: list[str], code: int, *, said: str) -> BuildError:
        """Return what failed, the line that tells why, what to do about it where that is known, and the last lines."""
        why = said or telling(kept)
        advice = "" if said else remedy(kept)
        lines = [line.strip()[:LONGEST_LINE] for line in kept if line.strip()][-SHOWN_LINES:]
        last = f" (last lines: {' | '.join(lines)})" if lines and lines != [why] else ""
        msg = f"{self._recipe.tag}: {step} failed (exit code {code}): {why}{f'; {advice}' if advice else ''}{last}"
        return BuildError(msg, log="\n".join(kept))

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
