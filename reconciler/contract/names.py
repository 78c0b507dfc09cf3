"""Names, derived and never drawn: containers, images, channels, files.

Rule: the same wish gives the same name on every machine and in every version of this program.
"""

from __future__ import annotations

import re

ENV_REPOSITORY = "reconciler/env"

NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
"""Pipelines, sessions, instances: an RFC 1123 label, as in Kubernetes."""

NODE_ID = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_]{0,61}[A-Za-z0-9])?")
"""Node ids and port names may also hold capitals and underscores."""

SHM_ROOT_LIMIT = 65
"""Longest iceoryx2 root directory that leaves room for a unix socket's path, in characters."""

MONITOR = ".node_monitor"
"""How the file ends that a program which uses shared memory holds locked while it lives."""

CONTAINER_NODE_DIR = "/run/reconciler/node"
CONTAINER_SOURCE_DIR = "/opt/reconciler/source"
PRIVATE_SHM_ROOT = "/dev/shm/iox2"  # noqa: S108 - shared memory itself
"""iceoryx2 root directory within a pipeline's own shared memory, so that one bound holds for all of it."""

CONTAINER_ENV_DIR = "/run/reconciler/env"
CONTAINER_SECRETS_DIR = "/run/secrets"

RESERVED_ENV = "RECONCILE_"
"""Variables that begin so are the node runtime's."""


def short(digest: str) -> str:
    """Return the first 12 hexadecimal digits, the form that appears in names."""
    return digest[:12]


def instance_name(instance: str, node_hash: str) -> str:
    """Name a node instance: its container, its iceoryx2 node and its directory."""
    return f"rc-{instance}-{short(node_hash)}"


def env_image(env_hash: str) -> str:
    """Name the environment image of a hash."""
    return f"{ENV_REPOSITORY}:{short(env_hash)}"


def build_container(instance: str, env_hash: str) -> str:
    """Name the container in which an environment image is being built."""
    return f"rc-{instance}-build-{short(env_hash)}"


def cache_volume(instance: str) -> str:
    """Name the volume that keeps what an instance's builds have downloaded and compiled."""
    return f"rc-{instance}-cache"


def input_channel(session: str, node: str, port: str = "") -> str:
    """Name the channel on which a session's own program feeds a node."""
    return _channel(session, node, "input", port)


def output_channel(session: str, node: str, port: str = "") -> str:
    """Name the channel on which a node emits."""
    return _channel(session, node, "output", port)


def channel_session(channel: str) -> str:
    """Return the session a channel belongs to (session names hold no underscore)."""
    return channel.split("_", 1)[0]


def channel_port(channel: str) -> str:
    """Return the port a channel's name ends with: of an output the emitting one (ids hold no dot)."""
    return channel.partition(".")[2]


def shm_prefix(instance: str) -> str:
    """Prefix of an instance's files in `/dev/shm`.

    iceoryx2 names its files after a hash of the service name alone, so two instances that serve equal session
    and node names would meet there without it.
    """
    import hashlib  # noqa: PLC0415 - its library is a twentieth of a command that finds nothing to do

    return f"iox2_{hashlib.sha256(instance.encode()).hexdigest()[:8]}_"


def _channel(session: str, node: str, direction: str, port: str) -> str:
    name = f"{session}_{node}_{direction}"
    return f"{name}.{port}" if port else name
