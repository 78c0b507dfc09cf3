"""What both planes agree on: names, labels, environment variables and file formats. Standard library only."""

from __future__ import annotations

VERSION = "0.1.0.dev0"

RUNTIME_VERSION = "0.1.0.dev0"
"""Version of the node runtime (`contract`, `stream`, `node`) that goes into every environment image.

It is part of the environment hash, so it changes only when images must be rebuilt; a `.dev` version gets a
digest of the runtime's files added, since it names no fixed content.
"""
