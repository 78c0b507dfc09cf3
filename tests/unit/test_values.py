"""Values mean what the standard library's dataclasses mean: each check is made of both."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from types import SimpleNamespace
from typing import Any

import pytest

from reconciler.contract import values

KINDS: list[Any] = [dataclasses, values]


def point(library: Any) -> Any:
    @library.dataclass(frozen=True, slots=True, order=True)
    class Point:
        """A value."""

        x: int
        y: int = 2
        marks: tuple[Any, ...] = library.field(default_factory=tuple)

        def sum(self) -> int:
            return self.x + self.y

    return Point


def basket(library: Any) -> Any:
    @library.dataclass(slots=True)
    class Basket:
        """What changes."""

        things: list[Any] = library.field(default_factory=list)

    return Basket


@values.dataclass(frozen=True, slots=True)
class Kept:
    """One that a pickle can name."""

    name: str


@pytest.mark.parametrize("library", KINDS)
def test_a_value_is_its_fields(library: Any) -> None:
    kind = point(library)
    assert kind(1) == kind(1, 2) == kind(x=1, marks=()) != kind(1, 3)
    assert hash(kind(1)) == hash(kind(1, 2))
    assert kind(1) != (1, 2, ())
    assert kind(1) != point(library)(1)
    assert repr(kind(1)).endswith("Point(x=1, y=2, marks=())")
    assert sorted([kind(2, 1), kind(1, 9), kind(1, 2)]) == [kind(1, 2), kind(1, 9), kind(2, 1)]
    assert kind.__match_args__ == ("x", "y", "marks")
    assert kind(1).sum() == 3
    assert not hasattr(kind(1), "__dict__")
    assert kind.__doc__ == "A value."


@pytest.mark.parametrize("library", KINDS)
def test_what_is_frozen_stays(library: Any) -> None:
    made = point(library)(1)
    with pytest.raises(dataclasses.FrozenInstanceError):
        made.x = 3
    with pytest.raises(dataclasses.FrozenInstanceError):
        del made.x
    assert made == point_like(made)


def point_like(made: Any) -> Any:
    return type(made)(made.x, made.y, made.marks)


@pytest.mark.parametrize("library", KINDS)
@pytest.mark.parametrize(("args", "given"), [((), {}), ((1, 2, (), 4), {}), ((1,), {"x": 1}), ((1,), {"z": 1})])
def test_wrong_fields_are_refused(library: Any, args: tuple[int, ...], given: dict[str, int]) -> None:
    kind = point(library)
    for _ in range(2):  # the first value of a class is made another way
        with pytest.raises(TypeError):
            kind(*args, **given)


@pytest.mark.parametrize("library", KINDS)
def test_what_changes_is_compared_and_has_no_hash(library: Any) -> None:
    kind = basket(library)
    one, other = kind(), kind()
    assert one == other
    one.things.append(1)
    assert one != other
    other.things = [1]
    assert one == other
    with pytest.raises(TypeError):
        hash(one)


@pytest.mark.parametrize(("library", "asked"), [(dataclasses, dataclasses), (values, dataclasses), (values, values)])
def test_either_library_replaces_and_takes_apart(library: Any, asked: Any) -> None:
    kind = point(library)
    made = kind(1, marks=(kind(5), {"a": kind(6)}))
    assert asked.replace(made, y=7) == kind(1, 7, made.marks)
    with pytest.raises(TypeError):
        asked.replace(made, z=1)
    inner = {"x": 5, "y": 2, "marks": ()}
    assert asked.asdict(made) == {"x": 1, "y": 2, "marks": (inner, {"a": {**inner, "x": 6}})}


def test_the_standard_library_knows_the_fields() -> None:
    ours, theirs = (dataclasses.fields(point(library)) for library in (values, dataclasses))
    assert [(f.name, f.type, f.default, f.default_factory) for f in ours] == [
        (f.name, f.type, f.default, f.default_factory) for f in theirs
    ]


def test_fields_by_name() -> None:
    kind = point(values)
    assert values.names_of(kind) == values.names_of(kind(1)) == ("x", "y", "marks")
    assert values.named(Kept("a")) == {"name": "a"}
    assert values.default_of(kind, "marks") == ()
    assert values.default_of(kind, "x") not in (None, 1, "")
    assert values.is_value(kind(1))
    assert not values.is_value(SimpleNamespace())


def test_values_are_copied_and_kept() -> None:
    made = Kept("a")
    assert pickle.loads(pickle.dumps(made)) == copy.deepcopy(made) == copy.copy(made) == made


def test_only_slots_are_offered() -> None:
    with pytest.raises(TypeError, match="slots"):
        values.dataclass(slots=False)(SimpleNamespace)
