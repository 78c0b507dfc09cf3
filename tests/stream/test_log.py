"""The log of a host process stays below its bound, with no controller to see to it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.controller.logs import read_file
from reconciler.node.bounded import LONGEST_BYTES
from tests.support.instance import PATIENCE_S
from tests.support.place import eventually

if TYPE_CHECKING:
    from tests.support.instance import Instance

NODES = Path(__file__).parent / "nodes"
LINES = b"some words of a node that has much to say\n" * 300_000


def test_a_process_bounds_its_log_when_it_starts_and_while_it_runs(instance: Instance) -> None:
    path = instance.directory / "log"

    def is_bounded() -> bool:
        return path.stat().st_blocks * 512 <= LONGEST_BYTES

    with path.open("ab", buffering=0) as log:
        log.write(LINES)
        assert not is_bounded()
        instance.start_node("plain:Pass", NODES, node="one", stdout=log)
        eventually(is_bounded, within_s=PATIENCE_S)
        log.write(LINES)  # more than the bound again; the node may see to it at once
        eventually(is_bounded, within_s=PATIENCE_S)
        log.write(b"last\n")
    assert path.stat().st_size > LONGEST_BYTES, "whoever writes and reads goes on where it was"
    lines = read_file(path, "one")[0]
    assert lines[-1].text == "last"
    assert {line.text for line in lines[:-1]} == {LINES.split(b"\n")[0].decode()}
