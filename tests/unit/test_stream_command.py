"""`reconcile stream` with a session that answers by hand: what it prints, and with which exit code it ends."""

from __future__ import annotations

import os
import queue
import signal
import sys
import wave
from typing import IO, TYPE_CHECKING, Any, Self

import numpy as np
import pytest

from reconciler.cli import stream
from reconciler.cli.__main__ import main
from reconciler.stream.errors import Backpressure, NodeFailed, PipelineNotFound, SessionNotReady, TimedOut
from reconciler.stream.frame import Audio, Error, Text

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from reconciler.stream.frame import Frame


class Echo:
    """A session that sends back what it gets, or what `answer` makes of it."""

    def __init__(self, answer: Callable[[Frame], Frame | None] = lambda frame: frame) -> None:
        self.answer = answer
        self.back: queue.Queue[Frame | None] = queue.Queue()
        self.sent: list[Frame] = []
        self.closed = False
        self.timeouts = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.closed = True

    def send(self, frame: Frame, *, timeout_s: float) -> None:
        del timeout_s
        self.sent.append(frame)
        self.back.put(self.answer(frame))

    def end(self, *, timeout_s: float) -> None:
        del timeout_s
        self.back.put(None)

    def receive(self, timeout_s: float) -> Frame | None:
        try:
            return self.back.get(timeout=timeout_s)
        except queue.Empty:
            self.timeouts += 1
            msg = f"nothing came within {timeout_s} s"
            raise TimedOut(msg) from None


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], Any]:
    """Let the command open this session."""

    def put(session: Any) -> Any:
        monkeypatch.setattr(stream, "_open", lambda _: session)
        return session

    return put


def lines(tmp_path: Path, *texts: str) -> str:
    path = tmp_path / "in.txt"
    path.write_text("".join(f"{text}\n" for text in texts))
    return str(path)


def sound(tmp_path: Path, seconds: float = 0.1) -> str:
    path = tmp_path / "in.wav"
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 8_000, 0, "NONE", ""))
        file.writeframes(np.arange(int(8_000 * seconds), dtype="<i2").tobytes())
    return str(path)


def test_what_is_sent_comes_back_and_all_is_well(
    tmp_path: Path, serve: Callable[[Any], Any], capsys: pytest.CaptureFixture[str]
) -> None:
    session = serve(Echo())
    assert main(["stream", "voice", "--input", lines(tmp_path, "a", "b")]) == 0
    said = capsys.readouterr()
    assert [line[-5:] for line in said.out.splitlines()] == [' "a"}', ' "b"}']
    assert said.err == ""
    assert session.closed


def test_a_wav_comes_back_as_it_was(tmp_path: Path, serve: Callable[[Any], Any]) -> None:
    serve(Echo())
    source, target = sound(tmp_path), tmp_path / "out.wav"
    assert main(["stream", "voice", "--input", source, "--output", str(target)]) == 0
    assert target.read_bytes() == (tmp_path / "in.wav").read_bytes()


def test_who_sits_at_a_terminal_is_told_how_it_ends(
    serve: Callable[[Any], Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    session = serve(Echo())
    keyboard, terminal = os.openpty()
    os.write(keyboard, b"hello\n\x04")
    with os.fdopen(terminal) as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        assert main(["stream", "voice"]) == 0
    os.close(keyboard)
    assert session.sent == [Text("hello")]
    assert capsys.readouterr().err == "reconcile: every line typed here is sent; Ctrl-D ends the stream\n"


def test_a_recording_of_nothing_is_said(
    tmp_path: Path, serve: Callable[[Any], Any], capsys: pytest.CaptureFixture[str]
) -> None:
    serve(Echo())
    target = tmp_path / "out.wav"
    target.write_text("an earlier one, which would be taken for this")
    assert main(["stream", "voice", "--input", lines(tmp_path, "a"), "--output", str(target)]) == 0
    said = capsys.readouterr()
    assert said.out.count("\n") == 1
    assert said.err == f"reconcile: no sound came back, so {target} is empty\n"
    assert target.stat().st_size == 0


def test_an_error_among_what_comes_back_is_said_and_is_exit_code_1(
    tmp_path: Path, serve: Callable[[Any], Any], capsys: pytest.CaptureFixture[str]
) -> None:
    serve(Echo(lambda _: Error("words", "ValueError", "bad", frame_seq=7)))
    to_file = ["--output", str(tmp_path / "out.jsonl")]
    assert main(["stream", "voice", "--input", lines(tmp_path, "a", "b", "c"), *to_file]) == 1
    assert capsys.readouterr() == (
        "",
        "reconcile: node words: ValueError on frame 7: bad (and 2 errors after it)\n",
    )
    assert len((tmp_path / "out.jsonl").read_text().splitlines()) == 3


def test_input_that_breaks_off_loses_nothing_before_it(
    tmp_path: Path, serve: Callable[[Any], Any], capsys: pytest.CaptureFixture[str]
) -> None:
    serve(Echo())
    assert main(["stream", "voice", "--input", lines(tmp_path, '{"a": 1}', '{"a":', '{"a": 3}')]) == 2
    said = capsys.readouterr()
    assert said.out.count("\n") == 1
    assert "in.txt:2: no line of JSON" in said.err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--input", "/nowhere/at/all"], "/nowhere/at/all: No such file"),
        (["--input", "/dev/null", "--output", "/nowhere/at/all"], "/nowhere/at/all: No such file"),
        (["--input", "/dev/null", "--timeout", "nan"], "'nan' is no number above 0"),
        (["--input", "/dev/null", "--timeout", "inf"], "'inf' is no number above 0"),
        (["--input", "/dev/null", "--frame-ms", "long"], "'long' is no number above 0"),
    ],
)
def test_what_cannot_work_is_said_before_a_session_is_asked_for(
    arguments: list[str], says: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(stream, "_open", lambda _: pytest.fail("opened"))
    with pytest.raises(SystemExit) as left:
        sys.exit(main(["stream", "voice", *arguments]))
    assert left.value.code == 2
    assert says in capsys.readouterr().err


@pytest.mark.parametrize("answer", [(PipelineNotFound("no voice"), 2), (SessionNotReady("not ready"), 1)])
def test_a_session_that_does_not_open_leaves_an_earlier_output(
    tmp_path: Path, answer: tuple[Exception, int], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    error, code = answer

    def refuse(_: object) -> None:
        raise error

    monkeypatch.setattr(stream, "_open", refuse)
    earlier = tmp_path / "out.jsonl"
    earlier.write_text("precious\n")
    assert main(["stream", "voice", "--input", lines(tmp_path, "a"), "--output", str(earlier)]) == code
    assert capsys.readouterr().err == f"reconcile: {error}\n"
    assert earlier.read_text() == "precious\n"


def test_an_input_that_is_silent_for_long_ends_nothing(
    tmp_path: Path, serve: Callable[[Any], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The limit is for the pipeline, not for who speaks."""
    session = serve(Echo())

    def slow(file: IO[bytes], *_: object, **__: object) -> Any:
        file.close()
        yield Text("a")
        while session.timeouts < 3:
            yield from ()
        yield Text("b")

    monkeypatch.setattr(stream, "frames", slow)
    assert main(["stream", "voice", "--input", lines(tmp_path), "--timeout", "0.001"]) == 0
    assert len(session.sent) == 2


def test_a_pipeline_that_is_silent_is_told(
    tmp_path: Path, serve: Callable[[Any], Any], capsys: pytest.CaptureFixture[str]
) -> None:
    session = serve(Echo())
    session.end = lambda **_: None
    assert main(["stream", "voice", "--input", lines(tmp_path, "a"), "--timeout", "0.01"]) == 1
    assert capsys.readouterr().err == "reconcile: nothing came within 0.01 s\n"


def test_why_nothing_could_be_sent_is_why_nothing_came(
    tmp_path: Path, serve: Callable[[Any], Any], capsys: pytest.CaptureFixture[str]
) -> None:
    session = serve(Echo())

    def refuse(*_: object, **__: object) -> None:
        msg = "node words is 32 frames behind"
        raise Backpressure(msg)

    session.send = session.end = refuse
    assert main(["stream", "voice", "--input", lines(tmp_path, "a"), "--timeout", "0.01"]) == 1
    assert capsys.readouterr().err == "reconcile: node words is 32 frames behind\n"


def test_a_stream_that_failed_does_not_wait_for_its_input(
    tmp_path: Path, serve: Callable[[Any], Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    session = serve(Echo())
    session.back.put(Error("words", "ValueError", "bad", fatal=True))
    session.back.put(None)

    def stuck(file: IO[bytes], *_: object, **__: object) -> Any:
        file.close()
        while not session.closed:
            yield from ()
        msg = "the stream has failed"
        raise NodeFailed(msg)

    monkeypatch.setattr(stream, "frames", stuck)
    assert main(["stream", "voice", "--input", lines(tmp_path, "a")]) == 1
    assert capsys.readouterr().err == "reconcile: node words: ValueError on frame 0: bad\n"


def test_a_full_disk_ends_the_stream_and_is_named_once(
    tmp_path: Path, serve: Callable[[Any], Any], capsys: pytest.CaptureFixture[str]
) -> None:
    serve(Echo())
    assert main(["stream", "voice", "--input", lines(tmp_path, "a"), "--output", "/dev/full"]) == 1
    assert capsys.readouterr().err == "reconcile: /dev/full: No space left on device\n"


def test_sound_is_paced_from_its_first_frame_and_lateness_does_not_add_up(
    tmp_path: Path, serve: Callable[[Any], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A clock by hand: every sleep takes 7 ms too long, and the second frame's sending half a second."""
    now = [50.0]
    sent_s: list[float] = []

    def sleep(seconds: float) -> None:
        assert seconds >= 0
        now[0] += seconds and seconds + 0.007

    def answer(frame: Frame) -> Frame:
        sent_s.append(round(now[0] - 50.0, 3))
        now[0] += 0.5 if len(sent_s) == 2 else 0.0
        return frame

    serve(Echo(answer))
    monkeypatch.setattr(stream.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(stream.time, "sleep", sleep)
    arguments = ["--realtime", "--frame-ms", "100", "--output", str(tmp_path / "out.jsonl")]
    assert main(["stream", "voice", "--input", sound(tmp_path, 1.0), *arguments]) == 0
    assert sent_s == [0.107, 0.207, 0.707, 0.707, 0.707, 0.707, 0.707, 0.807, 0.907, 1.007]


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130)], ids=["TERM", "HUP", "INT"]
)
def test_a_signal_ends_it_and_the_recording_is_whole(
    tmp_path: Path, serve: Callable[[Any], Any], number: int, code: int
) -> None:
    session = serve(Echo())
    target = tmp_path / "out.wav"
    take = session.receive

    def receive(timeout_s: float) -> Frame | None:
        if session.back.empty() and len(session.sent) == 5:
            signal.raise_signal(number)
        frame: Frame | None = take(timeout_s)
        return frame

    session.receive, session.end = receive, lambda **_: None
    with pytest.raises(SystemExit) as left:
        sys.exit(main(["stream", "voice", "--input", sound(tmp_path), "--output", str(target)]))
    assert left.value.code == code
    assert session.closed
    assert target.read_bytes() == (tmp_path / "in.wav").read_bytes()
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_a_hang_up_that_is_ignored_stays_so(tmp_path: Path, serve: Callable[[Any], Any]) -> None:
    """As under `nohup`."""
    seen: list[object] = []
    serve(Echo(lambda frame: (seen.append(signal.getsignal(signal.SIGHUP)), frame)[1]))
    usual = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert main(["stream", "voice", "--input", lines(tmp_path, "a")]) == 0
        assert seen == [signal.SIG_IGN]
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, usual)


def test_sound_of_two_nodes_does_not_become_one_recording(
    tmp_path: Path, serve: Callable[[Any], Any], capsys: pytest.CaptureFixture[str]
) -> None:
    nodes = iter("ab")
    serve(Echo(lambda _: Audio(np.ones(8, np.float32), rate=8_000, node=next(nodes, "b"))))
    target = tmp_path / "out.wav"
    assert main(["stream", "voice", "--input", lines(tmp_path, "x", "y"), "--output", str(target)]) == 2
    assert "1 channel at 8000 Hz from a and 1 channel at 8000 Hz from b" in capsys.readouterr().err
    with wave.open(str(target)) as file:
        assert file.getnframes() == 8
