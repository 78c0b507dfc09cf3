"""Builders of desired and observed state for planner tests."""

from __future__ import annotations

import itertools

from reconciler.model.desired import Desired, Session
from reconciler.model.manifest import Connection, Docker, Limits, Node, Pipeline, Restart, Source
from reconciler.model.memory import Memory
from reconciler.model.observed import Image, Observed, Site
from reconciler.plan.foresee import after, settle
from reconciler.plan.plan import plan

SITE = Site(
    instance="test",
    uid=0,
    gid=0,
    python="/venv/bin/python",
    nodes_dir="/run/rc/test/nodes",
    sources_dir="/state/test/sources",
    logs_dir="/state/test/logs",
    shm_root="/run/rc/test/iox2",
    shm_prefix="iox2_test_",
    runtime_version="1",
    version="1",
)

BASES = (
    Image("sha256:base39", ("python:3.9-slim",)),
    Image("sha256:base310", ("python:3.10-slim",)),
    Image("sha256:base311", ("python:3.11-slim",)),
)

BARE = Observed(SITE, images=BASES)
"""An engine with base images and nothing of ours."""


def source(letter: str) -> Source:
    return Source(f"/manifests/{letter}", letter * 64)


def docker_node(name: str, *, code: str = "a", python: str = "3.11", **docker: object) -> Node:
    return Node(name, "nodes:Echo", source(code), docker=Docker(python, **docker))  # type: ignore[arg-type]


def host_node(name: str, *, code: str = "a") -> Node:
    return Node(name, "nodes:Echo", source(code))


def chain(name: str, *nodes: Node, generation: str = "g1", **spec: object) -> Pipeline:
    """A pipeline whose nodes are connected one after the other."""
    pairs = itertools.pairwise(nodes)
    connections = tuple(Connection(first.id, second.id) for first, second in pairs)
    return Pipeline(name, generation, nodes, connections, **spec)  # type: ignore[arg-type]


def desire(*pipelines: Pipeline, complete: bool = True, leases: tuple[tuple[str, str], ...] = ()) -> Desired:
    """What a directory of these manifests wants, with the standing sessions of those that have one."""
    standing = [
        Session(pipeline.name, pipeline.name, "standing")
        for pipeline in pipelines
        if pipeline.activation == "Always" and not pipeline.suspend
    ]
    opened = [Session(name, pipeline, "lease") for name, pipeline in leases]
    return Desired(pipelines, (*standing, *opened), complete=complete)


def voice(**first: object) -> Pipeline:
    """Three containers with three Python versions, and a host process."""
    return chain(
        "voice",
        docker_node("level", python="3.9", limits=Limits(256 << 20, 500_000_000, 64), **first),
        docker_node("speech", python="3.10"),
        docker_node("words", python="3.11"),
        host_node("tidy"),
    )


def rest(desired: Desired, observed: Observed = BARE) -> Observed:
    """Return the world in which everything desired was done and has settled."""
    for _ in range(50):
        steps = plan(desired, observed, Memory()).steps
        if not steps:
            return observed
        for step in steps:
            observed = after(observed, step.action)
        observed = settle(observed)
    msg = "no rest"
    raise AssertionError(msg)


__all__ = ["BARE", "BASES", "SITE", "Restart", "chain", "desire", "docker_node", "host_node", "rest", "source", "voice"]
