"""Every Docker label this project writes or reads.

Rule: ownership is a label. What lacks our instance label is never touched, whatever its name.
"""

from __future__ import annotations

INSTANCE = "dev.reconciler.instance"
"""Which controller instance owns the object. Without it an object is a stranger's."""

KIND = "dev.reconciler.kind"
"""`node`, `env`, `sandbox` or `build`."""

NODE_HASH = "dev.reconciler.node-hash"
"""Identity of a node container: everything that can't be changed while it runs."""

ENV_HASH = "dev.reconciler.env-hash"
"""Identity of an environment image."""

BASE = "dev.reconciler.base"
"""Image id an environment image was built from, so that it is still recognised when its base is untagged."""

SANDBOX = "dev.reconciler.sandbox"
"""On a node with shared memory of its pipeline's own: id of the container that holds the memory it joined."""

PIPELINE = "dev.reconciler.pipeline"
"""First pipeline that asked for the container; for people, never for decisions."""

NODE = "dev.reconciler.node"
"""First node id that asked for the container; for people, never for decisions."""

VERSION = "dev.reconciler.version"
"""Version of the controller that made the object."""

STAGE = "dev.reconciler.stage"
"""On an unnamed image of kind `build`: digest of all that went into it, by which a later build finds and reuses it."""

KIND_NODE = "node"
KIND_ENV = "env"
KIND_SANDBOX = "sandbox"
KIND_BUILD = "build"
