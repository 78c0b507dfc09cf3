"""Streams through real containers: whole, direct, in order, in their own session, in constant memory.

One controller watches all pipelines of this module. What takes long runs for some seconds here, and for minutes in
`tests/chaos/test_soak.py`.
"""

from __future__ import annotations

import contextlib
import itertools
import statistics
import threading
import time
from typing import TYPE_CHECKING

import numpy as np
import pytest

from reconciler.node.runtime import ARRAYS_AFTER_S
from reconciler.stream import Backpressure, Session, Tensor
from tests.support import flow
from tests.support.flow import Plant, audio, docker_node, host_node, key, paced
from tests.support.marathon import crowd, disturbed, ravage, stream

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reconciler.stream import Audio

MIB = 1 << 20
FLOW_BYTES = 10 << 30
DTYPES = (
    "bool",
    "int8",
    "uint8",
    "int16",
    "uint16",
    "int32",
    "uint32",
    "int64",
    "uint64",
    "float16",
    "float32",
    "float64",
)


@pytest.fixture(scope="module")
def plant() -> Iterator[Plant]:
    made = Plant()
    try:
        made.put("mixed", docker_node("first", "Relay"), host_node("second", "Relay"), docker_node("third", "Relay"))
        made.put("chain", *(docker_node(f"relay{n}", "Relay", python=f"3.{9 + n}") for n in range(3)))
        made.put("gains", *(docker_node(f"gain{number}", "Gain", gain=1 + number / 8) for number in range(3)))
        made.put("pass", docker_node("pass", "Pass"))
        made.watch()
        yield made
    finally:
        made.close()


def through(session: Session, frame: Tensor) -> Tensor:
    """Send a tensor and return what comes back."""
    session.send(frame)
    back = session.receive(flow.PATIENCE_S)
    assert isinstance(back, Tensor), back
    return back


def test_arrays_pass_containers_and_host_processes_bit_for_bit(plant: Plant) -> None:
    """FR-001: one graph, two kinds of nodes, any array."""
    random = np.random.default_rng(1)
    with plant.open("mixed") as session:
        for dtype in DTYPES:
            for shape in ((0,), (1,), (3, 5, 7), (512, 513)):
                content = random.bytes(int(np.prod(shape)) * np.dtype(dtype).itemsize)
                array = np.frombuffer(content if dtype != "bool" else bytes(b & 1 for b in content), dtype).reshape(
                    shape
                )
                back = through(session, Tensor(array, timestamp_ns=7, metadata={"dtype": dtype}))
                assert key(back) == key(Tensor(array, timestamp_ns=7))
                assert back.metadata["dtype"] == dtype
    hosts = plant.containers("mixed")
    way = back.metadata["way"]
    assert way[0] == hosts["first"]["Id"][:12]
    assert way[2] == hosts["third"]["Id"][:12]
    assert way[1] not in {way[0], way[2]}


def test_between_containers_nobody_else_is_on_the_way(plant: Plant) -> None:
    """FR-003: the program and the controller have no channel open between two containers."""
    containers = {name: each["Names"][0].lstrip("/") for name, each in plant.containers("chain").items()}
    with plant.open("chain") as session:
        back = through(session, Tensor(np.arange(9)))
        opened = {name: who for name, who in plant.who_has_open().items() if name.startswith(f"{session.name}_")}
    assert back.metadata["way"] == [plant.containers("chain")[f"relay{number}"]["Id"][:12] for number in range(3)]
    ends = [f"{session.name}_relay0_input", f"{session.name}_relay2_output"]
    assert sorted(opened) == sorted([*ends, f"{session.name}_relay0_output", f"{session.name}_relay1_output"])
    assert opened[f"{session.name}_relay0_output"] == {containers["relay0"], containers["relay1"]}
    assert opened[f"{session.name}_relay1_output"] == {containers["relay1"], containers["relay2"]}
    assert [name for name, who in sorted(opened.items()) if who - set(containers.values())] == sorted(ends)


def test_a_chain_of_three_containers_answers_in_a_fraction_of_a_frame(plant: Plant) -> None:
    """SC-001, SC-002: three Python versions, and together far below the 5 ms that each may cost."""
    took_s = []
    with plant.open("chain") as session:
        for frame in audio(4):
            begun = time.perf_counter()
            session.send(frame)
            session.receive(flow.PATIENCE_S)
            took_s.append(time.perf_counter() - begun)
    assert statistics.median(took_s) < 0.005


def test_killed_containers_cost_no_frame_and_double_none(plant: Plant) -> None:
    """EC-11, EC-03, SC-004: at full speed, what arrives equals an undisturbed run; each kill is told within 2 s."""
    victims = ["gain1", "gain0", "gain2", "gain1"]
    count = ravage(plant, "gains", victims, every_s=1.0)
    assert count > 1_000


def test_a_container_killed_at_the_speed_of_speech_costs_nothing(plant: Plant) -> None:
    """EC-11: now the queues are empty when it happens."""
    victims, over = iter(("gain1", "gain2")), threading.Event()

    def kill() -> None:
        victim = next(victims, None)
        if victim is None:
            over.set()
        else:
            plant.kill("gains", victim)

    def until_all_are_killed() -> Iterator[Audio]:  # however long a kill takes, and a while longer
        for frame in paced(audio(36_000)):
            yield frame
            if over.is_set():
                return

    with plant.open("gains") as session:
        arrived = [key(frame) for frame in stream(session, disturbed(until_all_are_killed(), kill, every_s=1.5))]
    with plant.open("gains") as session:
        quiet = itertools.islice(audio(36_000), len(arrived))
        assert arrived == [key(frame) for frame in stream(session, quiet)]


def test_five_sessions_at_once_keep_every_frame_to_themselves(plant: Plant) -> None:
    """SC-007."""
    counts = crowd([plant.open("chain") for _ in range(5)], seconds=60.0)
    assert min(counts) > 1_000


def test_gigabytes_flow_through_a_container_in_constant_memory(plant: Plant) -> None:
    """SC-003."""
    container = plant.containers("pass")["pass"]
    with plant.open("pass") as session:
        frame = Tensor(np.random.default_rng(1).integers(0, 255, 4 * MIB, np.uint8))
        _fill(session, frame)
        before, _ = plant.usage(container)
        sent = _flow(session, frame, FLOW_BYTES)
        after, _ = plant.usage(container)
    assert sent == FLOW_BYTES
    assert after - before < 8 * MIB


def _fill(session: Session, frame: Tensor) -> None:
    """Let as much be on the way as there can be: memory that was used once stays."""
    count = 0
    with contextlib.suppress(Backpressure):
        while True:
            session.send(frame, timeout_s=1.0)
            count += 1
    for _ in range(count):
        session.receive(flow.PATIENCE_S)


def _flow(session: Session, frame: Tensor, amount: int) -> int:
    """Send and receive in two threads until an amount has come back; return it."""
    count = amount // frame.array.nbytes
    sender = threading.Thread(target=lambda: [session.send(frame) for _ in range(count)])
    sender.start()
    back = sum(received.array.nbytes for received in (session.receive(flow.PATIENCE_S) for _ in range(count)))  # type: ignore[union-attr]
    sender.join()
    return back


def test_an_idle_container_takes_next_to_nothing(plant: Plant) -> None:
    """The least of three windows: other work on the machine makes one dearer, and in one numpy may be imported."""
    container = plant.containers("mixed")["first"]
    memory, before_s = plant.usage(container)
    shares = []
    for _ in range(3):
        begun = time.monotonic()
        time.sleep(ARRAYS_AFTER_S)
        memory, after_s = plant.usage(container)
        shares.append((after_s - before_s) / (time.monotonic() - begun))
        before_s = after_s
    assert min(shares) < 0.005, shares
    assert memory < 60 * MIB
