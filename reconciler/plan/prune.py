"""The only place that decides to take something away.

Deleting needs: our label or our directory (all that `Observed` holds has it), no owner, a complete look (a failed one
raises and never gets here), a complete desired state, and a bounded share of the world in one pass, unless a person has
said that all is to go.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.contract import names
from reconciler.model import action
from reconciler.model.action import Step
from reconciler.plan import drift, sandbox
from reconciler.plan.rollout import is_supplied

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

    from reconciler.model.desired import ImageCache
    from reconciler.model.manifest import Pipeline
    from reconciler.model.observed import Container, Image
    from reconciler.plan.facts import Facts
    from reconciler.plan.sharing import NodeInstance

SILENT_S = 30.0
"""How long an instance may run without a sign of life of its runtime, which is due before the node's code is loaded."""

LEAST_PER_PASS = 16
SHARE_PER_PASS = 4
"""A pass takes away `LEAST_PER_PASS` objects or a quarter (1 / `SHARE_PER_PASS`) of the world, whichever is more."""


def prune(facts: Facts, *, keep: set[str], sessions: set[str], complete: bool, at_once: bool = False) -> list[Step]:
    """Return the steps that take away what nobody wants.

    `keep` names the instances that are wanted or still serve, `sessions` those that live. What is dead already is
    cleaned up even when the desired state is incomplete: nobody can want it back. `at_once`: in one pass.
    """
    steps = list(_dead(facts, keep))
    if complete:
        orphans = [*_instances(facts, keep), *_leftovers(facts, keep, sessions)]
        total = len(facts.containers) + len(facts.processes) + len(facts.observed.endpoints)
        steps += orphans if at_once else orphans[: max(LEAST_PER_PASS, total // SHARE_PER_PASS)]
    return steps


def restart_silent(
    wanted: Mapping[str, NodeInstance], facts: Facts, silent_since_s: Mapping[str, float], *, now_s: float
) -> Iterator[Step]:
    """Yield the steps that end wanted instances which run and give no sign of life, so that they start afresh.

    One cause is that somebody removed the directory they have open. One that must not be started again stays.
    """
    for name, since_s in sorted(silent_since_s.items()):
        instance = wanted.get(name)
        files = facts.files.get(name)
        silent = facts.runs(name) and not (files and files.alive) and now_s - since_s >= SILENT_S
        if instance is None or not silent or instance.restart.policy == "Never":
            continue
        container, process = facts.containers.get(name), facts.processes.get(name)
        if process is not None:
            yield Step(action.StopProcess(name, process.pid, process.started), drift.SILENT)
        elif container is not None and is_supplied(instance, facts, made=True):
            yield Step(action.RestartContainer(name, container.id), drift.SILENT)


def renew_strayed(wanted: Mapping[str, NodeInstance], facts: Facts) -> Iterator[Step]:
    """Yield the steps that end wanted nodes whose shared memory is gone: restarted, or removed to be made anew."""
    for name, instance in sorted(wanted.items()):
        container = facts.containers.get(name)
        if container is None or not instance.sandbox:
            continue
        if sandbox.has_other(container, instance.sandbox, facts):
            yield from _end(container, cause=drift.STRAYED)
        elif sandbox.has_earlier(container, instance.sandbox, facts):
            yield Step(action.RestartContainer(name, container.id), drift.STRAYED)


def prune_sandboxes(facts: Facts, *, wanted: Collection[str]) -> Iterator[Step]:
    """Yield the steps that take away shared memory that nobody wants and no container has."""
    joined = {container.sandbox for container in facts.containers.values()}
    for container in facts.sandboxes.values():
        if container.state == "dead" or (container.name not in wanted and container.id not in joined):
            yield from _end(container, cause=drift.UNWANTED)


def prune_images(
    facts: Facts, *, wished: Callable[[], set[str]], cache: ImageCache, used_s: Mapping[str, float], now_s: float
) -> list[Step]:
    """Return the steps that remove images of ours that nobody needs and that the cache has no room for.

    Nobody needs what no container uses and what is not of the environment hashes that manifests ask for (`wished`,
    called only where there is too much). What somebody has given a name of his own stays, too. What builds left for
    the next one goes by age alone.
    """
    ours = [image for image in facts.observed.images if _is_ours(image, facts)]
    old = {image.key for image in ours if now_s - used_s.get(image.key, now_s) >= cache.min_age_s}
    stages = [image for image in ours if image.stage and image.key in old]
    images = sorted((image for image in ours if image.env_hash), key=lambda image: used_s.get(image.key, now_s))
    sizes = {image.id: _own_bytes(image, facts) for image in images}
    count, total = len(images), sum(sizes.values())
    steps = [Step(action.RemoveImage(stage.id, stage.id), drift.STAGE_LEFT) for stage in stages]
    if count <= cache.max_count and (cache.max_bytes is None or total <= cache.max_bytes):
        return steps[:LEAST_PER_PASS]
    used, keep = {container.image_id for container in facts.observed.containers}, wished()
    for image in images:
        if count <= cache.max_count and (cache.max_bytes is None or total <= cache.max_bytes):
            break
        if image.key in old and image.id not in used and image.env_hash not in keep and _has_no_other_name(image):
            steps.append(Step(action.RemoveImage(image.tags[0] if image.tags else image.id, image.id), drift.NO_ROOM))
            count, total = count - 1, total - sizes[image.id]
    return steps[:LEAST_PER_PASS]


def ages_in_s(facts: Facts, *, cache: ImageCache, used_s: Mapping[str, float], now_s: float) -> float | None:
    """Return in how many seconds the next image of ours that no container uses is old; None where none will be."""
    used = {container.image_id for container in facts.observed.containers}
    idle = {image.key for image in facts.observed.images if image.id not in used and _is_ours(image, facts)}
    left_s = [cache.min_age_s - (now_s - used_s.get(key, now_s)) for key in idle]
    return min((each for each in left_s if each > 0), default=None)


def _own_bytes(image: Image, facts: Facts) -> int:
    """Return what an image holds above its base image."""
    base = facts.images_by_id.get(image.base_id)
    return max(image.size_bytes - (base.size_bytes if base else 0), 0)


def _has_no_other_name(image: Image) -> bool:
    return set(image.tags) <= {names.env_image(image.env_hash)}


def _is_ours(image: Image, facts: Facts) -> bool:
    return bool(image.env_hash or image.stage) and image.instance == facts.site.instance


def _instances(facts: Facts, keep: set[str]) -> Iterator[Step]:
    for container in facts.containers.values():
        if container.name not in keep:
            own = names.instance_name(facts.site.instance, container.node_hash)
            yield from _end(container, cause=f"{drift.RENAMED}, it was {own}" if own in keep else drift.UNWANTED)
    for process in facts.processes.values():
        if process.name not in keep:
            yield Step(action.StopProcess(process.name, process.pid, process.started), drift.UNWANTED)


def _end(container: Container, *, cause: str) -> Iterator[Step]:
    if container.state in {"running", "paused", "restarting"}:
        yield Step(action.StopContainer(container.name, container.id), cause)
    elif container.state != "removing":
        yield Step(action.RemoveContainer(container.name, container.id), cause)


def _leftovers(facts: Facts, keep: set[str], sessions: set[str]) -> Iterator[Step]:
    for files in facts.observed.node_files:
        if files.name not in keep and not facts.exists(files.name):
            yield Step(action.RemoveNodeFiles(files.name), "its node instance is gone")
    for endpoints in facts.observed.endpoints:
        if endpoints.session not in sessions:
            yield Step(action.RemoveEndpoints(endpoints.session), "its session is gone")
    for service in facts.observed.shm_services:
        if service.nodes == 0 and names.channel_session(service.name) not in sessions:
            yield Step(action.RemoveService(service.name, service.id), "left behind, and its session is gone")


def prune_sources(
    facts: Facts, *, wanted: Mapping[str, NodeInstance], pipelines: Iterable[Pipeline], copying: bool
) -> list[Step]:
    """Return the steps that remove snapshots which no pipeline names, be it idle, suspended or a last good version.

    What an instance from before an edit has mounted is not known, so all snapshots wait until it is gone; and copies
    that were cut off wait until none goes on.
    """
    if not facts.containers.keys() | facts.processes.keys() <= wanted.keys():
        return []
    named = {node.source.digest for pipeline in pipelines for node in pipeline.nodes}
    old = [Step(action.RemoveSource(found), drift.UNWANTED) for found in sorted(facts.observed.sources - named)]
    broken = [] if copying else [found for found in facts.observed.broken_sources if found not in named]
    old += [Step(action.RemoveSource(found), "it is not whole, and nobody wants it") for found in broken]
    return old[: max(LEAST_PER_PASS, len(old) // SHARE_PER_PASS)]


def prune_builds(facts: Facts, *, building: bool, wished: set[str] | None) -> list[Step]:
    """Return the steps that end builds: those that were cut off, as nobody builds, and those nobody wants any more.

    `wished` are the environment hashes that are wanted; None means that it is not known whether that is all.
    """
    named = None if wished is None else {names.build_container(facts.site.instance, hashed) for hashed in wished}
    left = [container for container in facts.observed.containers if container.kind == "build"]
    if not building:
        return [step for found in left for step in _end(found, cause="its build was cut off")]
    unwanted = [found for found in left if named is not None and found.name not in named]
    return [step for found in unwanted for step in _end(found, cause="nobody wants what it builds any more")]


def _dead(facts: Facts, keep: set[str]) -> Iterator[Step]:
    """What can't come back: containers the engine calls dead; leases and iceoryx2 nodes whose program was killed."""
    for container in facts.containers.values():
        if container.state == "dead" and container.name in keep:
            yield Step(action.RemoveContainer(container.name, container.id), "the engine could not remove it earlier")
    for session in facts.observed.stale_leases:
        yield Step(action.RemoveLease(session), "its program has ended without closing it")
    dead = tuple(sorted(node.id for node in facts.observed.shm_nodes if node.dead))
    if dead:
        yield Step(action.RemoveDeadNodes(dead), f"{len(dead)} of their programs were killed")
