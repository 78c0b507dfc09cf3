"""Only `plan/prune.py` decides to take something away: nowhere else is a removing action made."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.tree import modules, tree

if TYPE_CHECKING:
    from collections.abc import Iterator

ACTIONS = Path("reconciler/model/action.py")
PRUNE = Path("reconciler/plan/prune.py")


def removing() -> set[str]:
    classes = [node.name for node in ast.walk(tree(ACTIONS)) if isinstance(node, ast.ClassDef)]
    return {name for name in classes if name.startswith(("Remove", "Restart", "Stop"))}


def made_in(module: ast.Module) -> Iterator[str]:
    """Yield the removing actions that a module makes. A `case` that takes one apart makes none."""
    for node in ast.walk(module):
        if isinstance(node, ast.Call):
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            if name in removing():
                yield name


def test_removing_actions_are_made_in_prune_alone() -> None:
    made = {path: list(made_in(tree(path))) for path in modules("reconciler") if path != PRUNE}
    assert {path: names for path, names in made.items() if names} == {}


def test_prune_makes_every_removing_action() -> None:
    # One that nobody makes would be dead; one that prune does not make would be made in secret, or not at all.
    assert set(made_in(tree(PRUNE))) == removing()


def test_a_removing_action_is_seen() -> None:
    module = ast.parse("match a:\n case StopContainer(): b = action.RemoveImage(tag, id)")
    assert list(made_in(module)) == ["RemoveImage"]
