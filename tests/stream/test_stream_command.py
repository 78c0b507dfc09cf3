"""`reconcile stream` as a program of its own: signals, a reader that leaves, an input that stays open."""

from __future__ import annotations

import signal
import sys
import wave
from typing import TYPE_CHECKING

import numpy as np

from tests.stream.test_interrupted import stand
from tests.support.instance import PATIENCE_S
from tests.support.place import eventually

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

    from tests.support.instance import Instance

RATE = 8_000


def start(instance: Instance, *arguments: str) -> subprocess.Popen[str]:
    return instance.start_program(
        [sys.executable, "-m", "reconciler.cli", "stream", "voice", *arguments], environ(instance)
    )


def environ(instance: Instance) -> dict[str, str]:
    return {**instance.environ, "RECONCILE_STATE_DIR": str(instance.directory / "state")}


def test_a_signal_leaves_a_whole_recording_and_frees_the_session(instance: Instance, tmp_path: Path) -> None:
    stand(instance)
    source, target = tmp_path / "in.wav", tmp_path / "out.wav"
    samples = np.arange(60 * RATE).astype("<i2").tobytes()
    with wave.open(str(source), "wb") as sound:
        sound.setparams((1, 2, RATE, 0, "NONE", ""))
        sound.writeframes(samples)
    for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
        target.unlink(missing_ok=True)
        program = start(instance, "--realtime", "--input", str(source), "--output", str(target))
        eventually(lambda: target.exists() and target.stat().st_size > 1_000, within_s=PATIENCE_S)
        program.send_signal(number)
        assert program.wait(PATIENCE_S) == code, instance.log(program)
        with wave.open(str(target)) as sound:
            assert 0 < sound.getnframes() < 30 * RATE
            assert samples.startswith(sound.readframes(sound.getnframes()))
        assert instance.log(program) == ""
        assert list(instance.paths.sessions.iterdir()) == []


def test_a_reader_that_leaves_ends_it(instance: Instance) -> None:
    """As `| head -1` does. The input stays open all the while."""
    stand(instance)
    program = start(instance)
    assert program.stdin
    assert program.stdout
    program.stdin.write("one\n")
    program.stdin.flush()
    assert '"text": "one"' in program.stdout.readline(), instance.log(program)
    program.stdout.close()
    program.stdin.write("two\n")
    program.stdin.flush()
    assert program.wait(PATIENCE_S) == 1
    assert instance.log(program) == ""
    assert list(instance.paths.sessions.iterdir()) == []
