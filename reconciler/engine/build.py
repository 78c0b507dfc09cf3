"""Making an image: for each stage a container, its command, a commit.

Not `docker build`: its classic form, the only one docker-py speaks, can't hand anything to a step without keeping it in
a layer, and leaves dangling images where a step fails. Reuse comes from stages that have a key: an earlier result is
found by its label. Such a result has no name, so the engine removes it with the last image made from it.

A stage with a key that was finished stays when a later one fails: the next try begins there. What nobody builds upon is
pruned like any other image.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from docker.errors import APIError

from reconciler.contract import labels
from reconciler.engine.stage import NeedsHelpError, Working

if TYPE_CHECKING:
    from collections.abc import Callable

    import docker

    from reconciler.engine.recipe import Recipe, Stage
    from reconciler.engine.stage import Workplaces


def build(client: docker.APIClient, recipe: Recipe, places: Workplaces, say: Callable[[str], None]) -> None:
    """Make and tag an image.

    Raises:
        BuildError: if a stage fails, or the build is cut off.
        docker.errors.APIError: if the engine refuses a call.
    """
    builder = _Builder(client, recipe, places, say)
    try:
        builder.run()
    except BaseException:
        builder.drop_unfinished()
        raise


class _Builder:
    def __init__(
        self, client: docker.APIClient, recipe: Recipe, places: Workplaces, say: Callable[[str], None]
    ) -> None:
        self._client = client
        self._recipe = recipe
        self._places = places
        self._say = say
        self._unfinished: list[str] = []

    def run(self) -> None:
        """Run the stages from the last one that is there already, and name the result."""
        base, stages = self._recipe.base, self._recipe.stages
        for done, stage in reversed(list(enumerate(stages, start=1))):
            found = self._reusable(stage)
            if found is not None:
                base, stages = found, stages[done:]
                break
        for stage in stages:
            base = self._made(stage, base=base)
        for alias in self._recipe.aliases:
            repository, _, tag = alias.rpartition(":")
            self._client.tag(self._recipe.tag, repository, tag)

    def drop_unfinished(self) -> None:
        """Remove what was made and nobody could find again."""
        for image in reversed(self._unfinished):
            with suppress(APIError):
                self._client.remove_image(image)

    def _made(self, stage: Stage, *, base: str) -> str:
        """Return the image that a stage makes of another one."""
        try:
            made = self._work(stage, base=base)
        except NeedsHelpError:
            side = base
            for other in stage.beside:
                side = self._reusable(other) or self._made(other, base=side)
            made = self._work(stage, base=base, helped=True)
        if not stage.key and stage.kept:
            self._unfinished.append(made)
        return made

    def _work(self, stage: Stage, *, base: str, helped: bool = False) -> str:
        working = Working(self._client, self._recipe, stage, base=base, places=self._places, say=self._say)
        return working.make(may_ask=bool(stage.beside) and not helped)

    def _reusable(self, stage: Stage) -> str | None:
        if not stage.key:
            return None
        wanted = [f"{labels.STAGE}={stage.key}", f"{labels.KIND}={labels.KIND_BUILD}"]
        found = self._client.images(all=True, filters={"label": wanted})
        return min((str(image["Id"]) for image in found), default=None)
