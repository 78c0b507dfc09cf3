"""What was worked out of the very same values is not worked out again in the next pass.

Most of a pass at rest would be digests of what has not changed. A manifest that was not edited is the same object in
every pass, so looking that up costs less than comparing it.

Rule: only pure functions of values that never change are remembered, so nothing can be seen of it but time.
"""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

P = ParamSpec("P")
T = TypeVar("T")

MOST = 8_192
"""Answers of one function that are kept; beyond, all are forgotten."""

_BY_VALUE = frozenset({str, int})


def remembered(function: Callable[P, T]) -> Callable[P, T]:
    """Return a function that answers as before where it is asked for the same: equal texts and numbers, else objects.

    Arguments are given by place. What was asked for is kept beside the answer, so no other object can get its identity.
    """
    known: dict[tuple[object, ...], tuple[tuple[object, ...], T]] = {}

    @wraps(function)
    def asked(*args: P.args, **kwargs: P.kwargs) -> T:
        if kwargs:
            return function(*args, **kwargs)
        key = tuple([(arg if arg.__class__ in _BY_VALUE else id(arg)) for arg in args])
        found = known.get(key)
        if found is None:
            if len(known) >= MOST:
                known.clear()
            found = known[key] = (args, function(*args, **kwargs))
        return found[1]

    return asked
