"""The door to node source on disk: its digest, and snapshots of it named by that digest.

Rule: a snapshot is what its name says. It is copied beside its place, verified, and renamed into it whole; nobody
writes to it afterwards, so a container that has it mounted never sees half an edit.

What counts as source: regular files below the directory, links to files followed, links to directories not. Bytecode,
dot files and dot directories are left out, so that running or versioning the code does not change its digest.
"""

from __future__ import annotations

from reconciler.sources.snapshot import look, present, remove, snapshot
from reconciler.sources.tree import digest

__all__ = ["digest", "look", "present", "remove", "snapshot"]
