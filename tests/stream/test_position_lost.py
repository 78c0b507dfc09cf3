"""A reader's position that somebody removes: what it said is said again, so that its sender is not stuck."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from reconciler.contract.files import Channel
from reconciler.stream import Text, position
from tests.stream.ends import drain, ends
from tests.stream.test_crash import connect
from tests.support.instance import PATIENCE_S, chain

if TYPE_CHECKING:
    from tests.support.instance import Instance

NODES = Path(__file__).parent / "nodes"
FRAMES = 40


@pytest.mark.parametrize("reader", ["a", ""], ids=["node", "program"])
def test_what_was_acknowledged_stays_so(instance: Instance, reader: str) -> None:
    channel = Channel("s_a_input", readers=(reader,), buffer=4, subscribers=3)
    with ends(instance, channel) as opened:
        end = opened.read(reader)
        assert end.position is not None
        if not reader:
            assert end.position.hold()
            end.position.attached = 1
        for number in range(20):
            opened.send(Text(str(number)))
            drain(end)
        position.path(opened.domain.positions, channel.name, reader).unlink()
        opened.sender.refresh()
        end.renew()
        opened.sender.refresh()
        for number in range(20):
            opened.send(Text(str(number)))
            assert len(drain(end)) == 1
        assert end.dropped == 0


def test_a_stream_goes_on_without_loss(instance: Instance) -> None:
    served, endpoints = chain("voice", "one", "two", buffer=4)
    for node, serves in zip(("one", "two"), served, strict=True):
        instance.assign(node, serves)
        instance.start_node("plain:Pass", NODES, node=node)
        instance.await_ready(node, "voice")
    instance.publish(endpoints)
    with connect(instance, session="voice") as session:
        for number in range(FRAMES):
            if number == FRAMES // 2:
                for file in (instance.paths.shm_root / "positions").iterdir():
                    file.unlink()
            session.send(Text(str(number)), timeout_s=PATIENCE_S)
            frame = session.receive(PATIENCE_S)
            assert isinstance(frame, Text)
            assert frame.text == str(number)
