"""Shared memory that is too small is an error in the sender, never SIGBUS. Needs a mount namespace of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.support.instance import REPOSITORY, Instance, fresh_instance

if TYPE_CHECKING:
    from collections.abc import Iterator

PROGRAM = """
import sys
from pathlib import Path
import numpy as np
from reconciler.contract.files import Channel
from reconciler.stream import SharedMemoryFull, Tensor, Text
from reconciler.stream.channel import Domain
from reconciler.stream.publisher import Publisher
from reconciler.stream.subscriber import Subscriber

domain = Domain(Path(sys.argv[1]), sys.argv[2], "small")
channel = Channel("s_a_input", readers=("a",), buffer=32, subscribers=3)
sender, reader = Publisher(domain, channel), Subscriber(domain, channel, "a")
sent = 0
try:
    for _ in range(32):
        sender.send(Tensor(np.ones(1 << 17)), epoch=1, seq=sent)
        sent += 1
except SharedMemoryFull as error:
    print(sent, error)
try:
    sender.reserve(Tensor, (1 << 24,))
except SharedMemoryFull as error:
    print("reserve", error)
sender.send(Text("small ones still go"), epoch=1, seq=sent)
while (received := reader.take()) is not None:
    reader.done(received.header)
    last = received.frame
print(reader.received, last.text)
sender.close(); reader.close(); domain.close()
"""


UNSHARE = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--mount", "--map-root-user"]


@pytest.fixture
def instance() -> Iterator[Instance]:
    with fresh_instance() as fresh:
        yield fresh


def can_mount() -> bool:
    return subprocess.run([*UNSHARE, "true"], check=False).returncode == 0


@pytest.mark.skipif(not can_mount(), reason="a small /dev/shm of one's own needs a mount namespace")
def test_what_does_not_fit_is_refused_and_the_stream_goes_on(instance: Instance) -> None:
    small = 'mount -t tmpfs -o size=16m tmpfs /dev/shm && exec "$@"'
    argv = [*UNSHARE, "sh", "-c", small, "-", sys.executable, "-c", PROGRAM]
    done = subprocess.run(
        [*argv, str(instance.paths.shm_root), instance.prefix],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done
    first, second, third = done.stdout.splitlines()
    assert "needs" in first
    assert "send smaller frames" in first
    sent = int(first.split()[0])
    assert 10 <= sent <= 14
    assert second.startswith("reserve s_a_input: a payload of 67,108,864 bytes")
    assert third == f"{sent + 1} small ones still go"
