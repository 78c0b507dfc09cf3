"""Frozen values to JSON and back, by their type hints.

Rule: a reader fills what an older writer did not know with its defaults, and passes over what a newer one added; what
fits neither way is a `DamagedError`, never a value of the wrong type.
"""

from __future__ import annotations

import functools
import sys
import types
from collections.abc import Callable
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

from reconciler.contract.values import is_value, names_of

Value = TypeVar("Value")
Decoder = Callable[[Any], Any]


class DamagedError(ValueError):
    """JSON that is not what was written."""


def encode(value: Any) -> Any:
    """Return a value as plain JSON values."""
    if is_value(value):
        return {name: encode(getattr(value, name)) for name in names_of(value)}
    if isinstance(value, tuple):
        return [encode(each) for each in value]
    return value


def decode(kind: type[Value], raw: Any) -> Value:
    """Return the value of a dataclass from plain JSON values.

    Raises:
        DamagedError: if they are not those of such a value.
    """
    wanted: Any = kind
    made: Value = _decoder(wanted)(raw)
    return made


@functools.cache
def _decoder(hint: Any) -> Decoder:
    """Return what reads values of a type; made once for each type, since thousands are read at a start."""
    origin = get_origin(hint)
    if is_value(hint):
        return _dataclass(hint)
    if origin is tuple:
        return _tuple(get_args(hint))
    if origin in (Union, types.UnionType):
        return _optional(next(each for each in get_args(hint) if each is not types.NoneType))
    if origin is Literal:
        return _plain(lambda raw: raw in get_args(hint))
    if hint is float:
        return _plain(lambda raw: isinstance(raw, int | float) and not isinstance(raw, bool))
    if hint is int:
        return _plain(lambda raw: isinstance(raw, int) and not isinstance(raw, bool))
    return _plain(lambda raw: isinstance(raw, hint))


def _dataclass(kind: Any) -> Decoder:
    fields = {name: _decoder(hint) for name, hint in hints(kind).items()}

    def read(raw: Any) -> Any:
        if not isinstance(raw, dict):
            raise _damaged(raw)
        try:
            return kind(**{name: field(raw[name]) for name, field in fields.items() if name in raw})
        except TypeError as error:
            raise DamagedError(str(error)) from None

    return read


def _tuple(hints: tuple[Any, ...]) -> Decoder:
    any_length = hints[-1] is Ellipsis
    parts = [_decoder(hint) for hint in hints if hint is not Ellipsis]

    def read(raw: Any) -> Any:
        if not isinstance(raw, list) or not (any_length or len(raw) == len(parts)):
            raise _damaged(raw)
        each = parts * len(raw) if any_length else parts
        return tuple([part(value) for part, value in zip(each, raw, strict=True)])

    return read


def _optional(hint: Any) -> Decoder:
    part = _decoder(hint)
    return lambda raw: None if raw is None else part(raw)


def _plain(fits: Callable[[Any], bool]) -> Decoder:
    def read(raw: Any) -> Any:
        if not fits(raw):
            raise _damaged(raw)
        return raw

    return read


def _damaged(raw: Any) -> DamagedError:
    return DamagedError(f"unexpected {type(raw).__name__}")


def hints(kind: Any) -> dict[str, Any]:
    """Return the types of a dataclass's fields.

    `typing.get_type_hints` compiles each by itself: 3 ms of every start, for what takes one to compile together.
    """
    annotations = kind.__shape__.annotations
    together = f"({', '.join(annotations.values())},)"
    found = eval(together, vars(sys.modules[kind.__module__]))  # noqa: S307 - text of our own modules
    return dict(zip(annotations, found, strict=True))
