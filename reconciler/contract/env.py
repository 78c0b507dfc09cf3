"""Environment variables: those a user sets, and those a node instance is started with."""

from __future__ import annotations

MANIFESTS = "RECONCILE_MANIFESTS"
INSTANCE = "RECONCILE_INSTANCE"
STATE_DIR = "RECONCILE_STATE_DIR"
RUNTIME_DIR = "RECONCILE_RUNTIME_DIR"

ALLOW_HOST_PATHS = "RECONCILE_ALLOW_HOST_PATHS"
"""Places of the host, with colons between, that manifests may name although they are the host's own."""

MAX_IMAGES = "RECONCILE_MAX_IMAGES"
"""How many environment images are kept at most, besides those in need."""

MAX_IMAGE_BYTES = "RECONCILE_MAX_IMAGE_BYTES"
"""How much environment images may hold above their base images, like 20Gi."""

MIN_IMAGE_AGE = "RECONCILE_MIN_IMAGE_AGE_SECONDS"
"""How long ago an environment image must have been used to be removed."""

MEMORY_MB = "RECONCILE_MEMORY_MB"
"""MiB that memory limits of an instance may add up to; the machine's memory where it is not set, unbounded where 0."""

NODE_NAME = "RECONCILE_NODE_NAME"
"""Name of the node instance (`rc-<instance>-<hash12>`): its container's name and its iceoryx2 node name."""

NODE_DIR = "RECONCILE_NODE_DIR"
"""Directory of this instance's assignments and status, as seen from inside."""

NODE_TYPE = "RECONCILE_NODE_TYPE"
"""`module:Class` or a bare class name, looked for below `SOURCE_DIR`."""

SOURCE_DIR = "RECONCILE_SOURCE_DIR"
"""Directory of the node's source snapshot, as seen from inside."""

ENV_FILES = "RECONCILE_ENV_FILES"
"""Files of `NAME=VALUE` lines, with colons between, that the runtime takes its node's variables from."""

STAMP_LINES = "RECONCILE_STAMP_LINES"
"""Set where nobody else keeps the time of a line of output: the runtime then puts it before each."""

SHM_ROOT = "RECONCILE_SHM_ROOT"
"""iceoryx2 root directory; the same path outside and inside."""

SHM_PREFIX = "RECONCILE_SHM_PREFIX"
"""Prefix of this instance's files in `/dev/shm`."""
