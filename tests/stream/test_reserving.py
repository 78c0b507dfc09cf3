"""Reserved frames, where a signal's handler raises while one is sent."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from reconciler.contract.files import Channel
from reconciler.stream import Backpressure, Tensor
from reconciler.stream.channel import MAX_LOANS
from tests.stream.ends import drain, ends
from tests.stream.test_keeper import Interrupt
from tests.stream.test_together import interrupt_at

if TYPE_CHECKING:
    from tests.support.instance import Instance

CHANNEL = Channel("s_a_input", readers=("a",), buffer=8, subscribers=3)


def test_sending_what_is_reserved_that_is_interrupted_anywhere_leaves_as_much_to_be_reserved(
    instance: Instance,
) -> None:
    with ends(instance, CHANNEL) as opened:
        reader = opened.read("a")
        for number in range(1_000):
            frame = opened.sender.reserve(Tensor, (5_000,))
            before = sys.gettrace()
            sys.settrace(interrupt_at(number))
            try:
                opened.send(frame)
            except Interrupt:
                sys.settrace(before)
            else:
                sys.settrace(before)
                break
            del frame
            drain(reader)
        assert 10 < number < 999
        held = [opened.sender.reserve(Tensor, (5_000,)) for _ in range(MAX_LOANS)]
        with pytest.raises(Backpressure, match="too many reserved frames are unsent"):
            opened.sender.reserve(Tensor, (5_000,))
        assert len(held) == MAX_LOANS
