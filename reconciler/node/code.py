"""Finding the class of a node in its source.

Rule: what is wrong with a node's code is told in one line, with the file it is about.
"""

from __future__ import annotations

import importlib
import re
import sys
from typing import TYPE_CHECKING, Any, Type

if TYPE_CHECKING:
    from pathlib import Path


class CodeError(Exception):
    """The node's class can't be had. A retry can't help: its source must change."""


def load(node_type: str, source: Path) -> Type[Any]:
    """Import a node's class: `module:Class`, or the name of a class in one of the source's `*.py`.

    Raises:
        CodeError: if there is none, or importing it raises.
    """
    if str(source) not in sys.path:
        sys.path.insert(0, str(source))
    module_name, _, class_name = node_type.rpartition(":")
    module_name = module_name or _search(class_name, source)
    try:
        module = importlib.import_module(module_name)
    except BaseException as error:
        msg = f"importing {module_name} from {source} raised {type(error).__name__}: {error}"
        raise CodeError(msg) from error
    kind = getattr(module, class_name, None)
    if not isinstance(kind, type):
        msg = f"{module_name} in {source} has no class {class_name}: nodeType says {node_type}"
        raise CodeError(msg)
    if not callable(getattr(kind, "process", None)):
        msg = f"{class_name} in {module_name} has no process(self, frame): write one"
        raise CodeError(msg)
    return kind


def _search(class_name: str, source: Path) -> str:
    pattern = re.compile(rf"^class\s+{re.escape(class_name)}\b", re.MULTILINE)
    files = sorted(source.glob("*.py"))
    found = [path for path in files if pattern.search(path.read_text(encoding="utf-8", errors="replace"))]
    if len(found) == 1:
        return found[0].stem
    if found:
        names = ", ".join(path.name for path in found)
        msg = f"class {class_name} is in {names}: write nodeType as module:{class_name}"
    else:
        names = ", ".join(path.name for path in files) or "no *.py"
        msg = f"class {class_name} is in no *.py directly in {source} ({names})"
    raise CodeError(msg)
