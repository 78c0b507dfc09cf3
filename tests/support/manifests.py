"""Manifests on disk for tests: a directory with node code, and files that can be written, broken and removed."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from reconciler.contract.paths import Paths
from reconciler.load import Loader

if TYPE_CHECKING:
    from pathlib import Path

    from reconciler.model.desired import Desired

NODE = "class {name}:\n    pass\n"


def pipeline(name: str = "voice", *, nodes: str = "{id: a, nodeType: 'code:A'}", spec: str = "") -> str:
    """Return the text of a small manifest."""
    return (
        "apiVersion: reconciler.dev/v1alpha1\n"
        "kind: Pipeline\n"
        f"metadata: {{name: {name}}}\n"
        "spec:\n"
        f"{spec}"
        "  nodes:\n"
        f"    - {nodes}\n"
    )


def session(name: str, pipeline_name: str) -> str:
    """Return the text of a declared session."""
    return (
        "apiVersion: reconciler.dev/v1alpha1\n"
        "kind: Session\n"
        f"metadata: {{name: {name}}}\n"
        f"spec: {{pipeline: {pipeline_name}}}\n"
    )


class Folder:
    """A directory of manifests with its node code, and the state and runtime directories of an instance."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.manifests = root / "manifests"
        self.paths = Paths("test", root / "state", root / "run")
        self.write("nodes/code.py", "class A:\n    pass\n\n\nclass B:\n    pass\n")

    def write(self, name: str, text: str | bytes) -> Path:
        """Write a file below the manifests' directory, as an editor does: beside it, and renamed."""
        path = self.manifests / name
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.swap")
        temporary.write_bytes(text.encode() if isinstance(text, str) else text)
        temporary.replace(path)
        return path

    def remove(self, name: str) -> None:
        """Remove a file."""
        (self.manifests / name).unlink()

    def loader(self, *, allow_empty: bool = False) -> Loader:
        """Return a new loader, as after a restart of the controller."""
        return Loader(self.paths, self.manifests, allow_empty=allow_empty)

    def converge(self) -> Desired:
        """Load and keep, in a new loader."""
        loader = self.loader()
        desired = loader.load()
        loader.keep()
        return desired

    def lines(self, desired: Desired) -> list[str]:
        """Return diagnostics as printed, with paths relative to the manifests' directory."""
        return [str(each).replace(f"{self.manifests}{os.sep}", "") for each in desired.diagnostics]
