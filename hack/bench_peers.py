"""What others do: an echo over pyzmq PAIR sockets, and one between two nodes of dora-rs.

Runs in a virtual environment of its own that has pyzmq and dora-rs. It connects to the benchmark and is told how many
round trips of which size to make, so that all variants can take turns.

    bench_peers.py zmq|dora-ping|dora-pong ADDRESS
"""

from __future__ import annotations

import os
import sys
import time
from multiprocessing.connection import Client
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable


def obey(address: str, trip: Callable[[np.ndarray], None]) -> None:
    """Make round trips as told, and send back how many seconds each took, until the benchmark hangs up."""
    with Client(address, "AF_UNIX") as benchmark:
        benchmark.send("ready")
        while (order := benchmark.recv()) is not None:
            size, rounds = order
            content = np.zeros(size, np.uint8)
            times = []
            for _ in range(rounds):
                begun = time.perf_counter()
                trip(content)
                times.append(time.perf_counter() - begun)
            benchmark.send(times)


def zmq_pair(address: str) -> None:
    """Echo over a unix socket; `copy=True` is pyzmq's default."""
    import zmq  # noqa: PLC0415 - only this role has it

    where = f"ipc://{address}.zmq"
    child = os.fork()
    socket = zmq.Context().socket(zmq.PAIR)
    if child == 0:
        socket.bind(where)
        while data := socket.recv():
            socket.send(data)
        os._exit(0)
    socket.connect(where)

    def trip(content: np.ndarray) -> None:
        socket.send(content)
        socket.recv()

    obey(address, trip)
    socket.send(b"")
    os.waitpid(child, 0)


def dora_ping(address: str) -> None:
    """Send to the other node and wait for what it sends back."""
    import dora  # noqa: PLC0415 - only this role has it
    import pyarrow as pa  # noqa: PLC0415 - as above

    node = dora.Node()

    def trip(content: np.ndarray) -> None:
        node.send_output("there", pa.array(content))
        while node.next()["type"] != "INPUT":
            pass

    obey(address, trip)


def dora_pong(_: str) -> None:
    """Send back what comes."""
    import dora  # noqa: PLC0415 - only this role has it

    node = dora.Node()
    while (event := node.next()) is not None and event["type"] != "STOP":
        if event["type"] == "INPUT":
            node.send_output("back", event["value"])


if __name__ == "__main__":
    {"zmq": zmq_pair, "dora-ping": dora_ping, "dora-pong": dora_pong}[sys.argv[1]](sys.argv[2])
