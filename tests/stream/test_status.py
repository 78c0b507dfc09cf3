"""What a node says of itself while its sessions come."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from reconciler.contract import files
from reconciler.contract.watch import Watch
from tests.support.instance import chain

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.instance import Instance

PATIENT = """
from reconciler.node import Node, runtime

runtime.START_S = 1.0  # longer than anything takes here, however busy the machine


class Quick(Node):
    def process(self, frame):
        return frame
"""


def test_a_session_that_gets_ready_at_once_is_told_of_once(instance: Instance, tmp_path: Path) -> None:
    """Each word of a node is a pass of the controller, and a program waits for the last."""
    (tmp_path / "patient.py").write_text(PATIENT)
    served, _ = chain("s", "one")
    instance.start_node("patient:Quick", tmp_path, node="one")
    instance.assign("one")
    instance.await_status("one", lambda status: status.generation != "")
    said: list[str] = []
    with closing(Watch(instance.paths.node(f"rc-{instance.paths.instance}-one"))) as watch:
        instance.assign("one", *served)
        while "ready" not in said:
            for change in watch.wait(1):
                status = instance.status("one") if change.name == "status.json" else None
                said += [session.state for session in status.sessions] if status else []
    assert said == [files.READY]
