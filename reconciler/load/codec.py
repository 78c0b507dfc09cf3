"""Frozen values to JSON and back, by their type hints.

Rule: a reader fills what an older writer did not know with its defaults, and passes over what a newer one added; what
fits neither way is a `DamagedError`, never a value of the wrong type.
"""

from __future__ import annotations

import dataclasses
import functools
import types
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

Value = TypeVar("Value")


class DamagedError(ValueError):
    """JSON that is not what was written."""


def encode(value: Any) -> Any:
    """Return a value as plain JSON values."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {name: encode(getattr(value, name)) for name in _hints(type(value))}
    if isinstance(value, tuple):
        return [encode(each) for each in value]
    return value


def decode(kind: type[Value], raw: Any) -> Value:
    """Return the value of a dataclass from plain JSON values.

    Raises:
        DamagedError: if they are not those of such a value.
    """
    made: Value = _decode(kind, raw)
    return made


def _decode(hint: Any, raw: Any) -> Any:
    origin = get_origin(hint)
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return _dataclass(hint, raw)
    if origin is tuple:
        return _tuple(get_args(hint), raw)
    if origin in (Union, types.UnionType):
        return _union(get_args(hint), raw)
    if origin is Literal:
        return _expect(raw, ok=raw in get_args(hint))
    if hint is float:
        return float(_expect(raw, ok=isinstance(raw, int | float) and not isinstance(raw, bool)))
    if hint is int:
        return _expect(raw, ok=isinstance(raw, int) and not isinstance(raw, bool))
    return _expect(raw, ok=isinstance(raw, hint))


def _dataclass(kind: Any, raw: Any) -> Any:
    _expect(raw, ok=isinstance(raw, dict))
    given = {name: _decode(hint, raw[name]) for name, hint in _hints(kind).items() if name in raw}
    try:
        return kind(**given)
    except TypeError as error:
        raise DamagedError(str(error)) from None


def _tuple(hints: tuple[Any, ...], raw: Any) -> tuple[Any, ...]:
    _expect(raw, ok=isinstance(raw, list))
    if hints[-1] is Ellipsis:
        return tuple(_decode(hints[0], each) for each in raw)
    _expect(raw, ok=len(raw) == len(hints))
    return tuple(_decode(hint, each) for hint, each in zip(hints, raw, strict=True))


def _union(hints: tuple[Any, ...], raw: Any) -> Any:
    """Unions are `X | None` here; nothing else is written."""
    if raw is None and types.NoneType in hints:
        return None
    return _decode(next(hint for hint in hints if hint is not types.NoneType), raw)


def _expect(raw: Any, *, ok: bool) -> Any:
    if not ok:
        msg = f"unexpected {type(raw).__name__}"
        raise DamagedError(msg)
    return raw


@functools.cache
def _hints(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind)
