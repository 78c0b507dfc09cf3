"""How last good versions are read: by the types of their fields, as `typing` tells them."""

from __future__ import annotations

from typing import Any, get_args, get_type_hints

from reconciler.contract.values import is_value
from reconciler.load.codec import hints
from reconciler.load.store import Entry


def _kinds(found: Any) -> set[Any]:
    """Return the dataclasses among a type and what it is made of."""
    below = list(get_type_hints(found).values()) if is_value(found) else list(get_args(found))
    own = {found} if is_value(found) else set()
    return own.union(*map(_kinds, below))


def test_fields_have_the_types_that_typing_tells() -> None:
    kinds = _kinds(Entry)
    assert len(kinds) > 10
    for kind in kinds:
        assert hints(kind) == get_type_hints(kind)
