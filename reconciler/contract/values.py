"""Dataclasses as `dataclasses` has them, but cheap to define: every start of a program defines a hundred.

The standard library writes each method of each class as text and compiles it: half a millisecond for a class. Here
methods are the same few functions for all classes, and `__init__` alone is compiled, with the first value of its class;
in most runs most classes have none. Nor is `dataclasses` imported, which brings `inspect`.

Rule: what is offered means what it means there, and no more is offered than is used: values with slots, without
inheritance. To type checkers these are the standard library's own, whose `fields`, `replace` and `asdict` take our
values, too.
"""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING, Any, Callable, Dict, Tuple

if TYPE_CHECKING:
    from dataclasses import asdict, dataclass, field, replace

__all__ = ["asdict", "dataclass", "default_of", "field", "is_value", "named", "names_of", "replace"]

_UNSET = object()


def is_value(found: Any) -> bool:
    """Whether something is a dataclass of this module, or a value of one."""
    return hasattr(found, "__shape__")


def names_of(kind: Any) -> Tuple[str, ...]:
    """Return the names of a dataclass's or value's fields, in order."""
    shape: _Shape = kind.__shape__
    return shape.names


def named(value: Any) -> Dict[str, Any]:
    """Return the fields of a value by name."""
    return dict(zip(names_of(value), value.__shape__.get(value)))  # noqa: B905 - Python 3.9 knows no `strict`


def default_of(kind: Any, name: str) -> Any:
    """Return the default of a field, or something that equals no value."""
    default = kind.__shape__.defaults.get(name, _UNSET)
    return default.make() if isinstance(default, _Factory) else default


class _Factory:
    """A field's default that is made anew for each value."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self.make = make


class _Shape:
    """The fields of a class. `get` returns those of a value as a tuple."""

    def __init__(self, annotations: Dict[str, Any], defaults: Dict[str, Any], *, frozen: bool) -> None:
        self.annotations = annotations
        self.names = tuple(annotations)
        self.defaults = defaults
        self.frozen = frozen
        self.get = _getter(self.names)


class _Fields:
    """What the standard library's functions ask of a dataclass; made when they ask."""

    def __get__(self, _: Any, kind: Any) -> Any:
        import dataclasses  # noqa: PLC0415 - see the module's text

        shape: _Shape = kind.__shape__
        body = {
            name: dataclasses.field(default_factory=given.make) if isinstance(given, _Factory) else given
            for name, given in shape.defaults.items()
        }
        body["__annotations__"] = shape.annotations
        made: Any = dataclasses.dataclass(type(kind.__name__, (), body))
        return made.__dataclass_fields__


def _define(kind: Any = None, /, *, slots: bool, frozen: bool = False, order: bool = False) -> Any:
    if kind is None:
        return lambda found: _define(found, slots=slots, frozen=frozen, order=order)
    if not slots:
        raise TypeError(f"{kind.__name__}: only dataclasses with slots are offered here")
    annotations = vars(kind).get("__annotations__") or getattr(kind, "__annotations__", {})
    shape = _Shape(
        dict(annotations), {name: vars(kind)[name] for name in annotations if name in vars(kind)}, frozen=frozen
    )
    own = {name: value for name, value in vars(kind).items() if name not in {*annotations, "__dict__", "__weakref__"}}
    # Slots can only be given to a class that is made anew.
    made = type(kind)(kind.__name__, kind.__bases__, {**_methods(shape, order=order), **own, "__slots__": shape.names})
    made.__qualname__ = kind.__qualname__
    made.__init__ = _compiled_later(made, shape)
    return made


def _methods(shape: _Shape, *, order: bool) -> Dict[str, Any]:
    get = shape.get

    def equal(self: Any, other: Any) -> Any:
        return get(self) == get(other) if other.__class__ is self.__class__ else NotImplemented

    def less(self: Any, other: Any) -> Any:
        return get(self) < get(other) if other.__class__ is self.__class__ else NotImplemented

    def hashed(self: Any) -> int:
        return hash(get(self))

    methods = {"__shape__": shape, "__match_args__": shape.names, "__dataclass_fields__": _Fields()}
    methods |= {"__eq__": equal, "__repr__": _repr, "__reduce__": _reduce}
    if order:
        methods |= {"__lt__": less}
    if shape.frozen:
        methods |= {"__hash__": hashed, "__setattr__": _refuse, "__delattr__": _refuse}
    return methods


def _getter(names: Tuple[str, ...]) -> Callable[[Any], Tuple[Any, ...]]:
    if len(names) > 1:
        return attrgetter(*names)
    return lambda value: tuple([getattr(value, name) for name in names])


def _repr(self: Any) -> str:
    return f"{type(self).__qualname__}({', '.join(f'{name}={each!r}' for name, each in named(self).items())})"


def _reduce(self: Any) -> Any:
    return type(self), self.__shape__.get(self)


def _refuse(self: Any, name: str, _: Any = None) -> None:
    from dataclasses import FrozenInstanceError  # noqa: PLC0415 - see the module's text

    raise FrozenInstanceError(f"{type(self).__name__} is frozen: {name!r} stays as it is")


def _compiled_later(kind: Any, shape: _Shape) -> Callable[..., None]:
    def first(self: Any, *args: Any, **given: Any) -> None:
        kind.__init__ = _compiled(shape)
        self.__init__(*args, **given)

    return first


def _compiled(shape: _Shape) -> Any:
    scope: Dict[str, Any] = {"_set": object.__setattr__, "_unset": _UNSET}
    parameters, body = ["self"], ["pass"]
    for name in shape.names:
        value = name
        default = shape.defaults.get(name, _UNSET)
        if isinstance(default, _Factory):
            scope[f"_{name}"] = default.make
            value = f"_{name}() if {name} is _unset else {name}"
            parameters.append(f"{name}=_unset")
        elif default is not _UNSET:
            scope[f"_{name}"] = default
            parameters.append(f"{name}=_{name}")
        else:
            parameters.append(name)
        body.append(f"_set(self, {name!r}, {value})" if shape.frozen else f"self.{name} = {value}")
    text = f"def __init__({', '.join(parameters)}):\n " + "\n ".join(body)
    exec(text, scope)  # noqa: S102 - the text is made of field names alone, as in the standard library
    return scope["__init__"]


def _field(*, default_factory: Callable[[], Any]) -> Any:
    return _Factory(default_factory)


def _replace(value: Any, /, **changes: Any) -> Any:
    return type(value)(**{**named(value), **changes})


def _asdict(value: Any) -> Any:
    if is_value(value):
        return {name: _asdict(each) for name, each in named(value).items()}
    if isinstance(value, (list, tuple)):
        return type(value)([_asdict(each) for each in value])
    if isinstance(value, dict):
        return {name: _asdict(each) for name, each in value.items()}
    return value


if not TYPE_CHECKING:
    dataclass, field, replace, asdict = _define, _field, _replace, _asdict
