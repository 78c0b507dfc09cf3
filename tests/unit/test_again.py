"""What is remembered between passes: of the same values the same answer, of others their own."""

from __future__ import annotations

from reconciler.contract.values import dataclass, replace
from reconciler.plan import again
from reconciler.plan.again import remembered


@dataclass(frozen=True, slots=True)
class Value:
    """Something that a plan is made of."""

    number: int


def test_the_same_values_are_asked_for_once_and_others_have_their_own_answer() -> None:
    asked: list[tuple[int, str]] = []

    @remembered
    def answer(value: Value, text: str) -> tuple[int, str]:
        asked.append((value.number, text))
        return asked[-1]

    first, text = Value(1), "AB"  # lower-case texts are made anew each time
    for _ in range(3):
        assert answer(first, text.lower()) == (1, "ab")
    assert asked == [(1, "ab")]
    assert answer(first, "c") == (1, "c")
    assert answer(replace(first, number=2), "ab") == (2, "ab")


def test_what_comes_to_lie_where_something_was_is_not_taken_for_it() -> None:
    numbers = [remembered_number(Value(number)) for number in range(1_000)]
    assert numbers == list(range(1_000))


def test_no_more_is_kept_than_a_bound() -> None:
    values = [Value(number) for number in range(again.MOST + 10)]
    assert [remembered_number(value) for value in values] == list(range(again.MOST + 10))
    assert [remembered_number(value) for value in values] == list(range(again.MOST + 10))


@remembered
def remembered_number(value: Value) -> int:
    return value.number
