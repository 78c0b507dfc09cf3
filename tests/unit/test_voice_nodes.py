"""The nodes of `manifests/voice` that need nothing but numpy.

Those with models are tested with their own packages, in their own containers, by `tests/engine/test_voice.py`.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.node import Audio, EndOfStream, Text
from reconciler.stream.testing import run

if TYPE_CHECKING:
    from types import ModuleType

NODES = Path(__file__).parents[2] / "manifests" / "voice" / "nodes"
RATE = 16_000
FRAME_S = 0.02
TONE_HZ = 50


def load(name: str) -> ModuleType:
    """Load a module of the example without leaving its short name in `sys.modules`."""
    spec = importlib.util.spec_from_file_location(f"voice_{name}", NODES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


gate = load("gate")
level = load("level")
tidy = load("tidy")


def tone(seconds: float, *, loudness: float, offset: float = 0.0) -> list[Audio]:
    """Return a tone of a loudness (root mean square) in frames of 20 ms, which meet at its peaks."""
    times = np.arange(int(seconds * RATE)) / RATE
    samples = (np.sqrt(2) * loudness * np.cos(2 * np.pi * TONE_HZ * times) + offset).astype(np.float32)
    parts = np.split(samples, len(samples) // int(RATE * FRAME_S))
    return [
        Audio(part, RATE, timestamp_ns=index * 20_000_000, metadata={"index": index})
        for index, part in enumerate(parts)
    ]


def loudness(frame: Any) -> float:
    return float(np.sqrt(np.mean(frame.samples**2)))


@pytest.mark.parametrize("spoken", [0.02, 0.08, 0.3])
def test_level_brings_speech_to_its_target(spoken: float) -> None:
    levelled = run(level.Level, tone(20, loudness=spoken), params={"target": 0.1})

    assert loudness(levelled[-1]) == pytest.approx(0.1, rel=0.02)


def test_level_amplifies_no_further_than_allowed() -> None:
    levelled = run(level.Level, tone(60, loudness=0.01), params={"target": 0.1, "maxGain": 4})

    assert loudness(levelled[-1]) == pytest.approx(0.04, rel=0.01)


def test_level_takes_the_offset_out() -> None:
    levelled = run(level.Level, tone(1, loudness=0.08, offset=0.05))

    assert np.mean([frame.samples.mean() for frame in levelled]) == pytest.approx(0.0, abs=1e-3)


def test_level_leaves_a_pause_as_it_is() -> None:
    speech, pause = tone(20, loudness=0.04), tone(20, loudness=0.001)

    levelled = run(level.Level, [*speech, *pause], params={"target": 0.08})

    assert loudness(levelled[-1]) == pytest.approx(0.002, rel=0.02)


def test_level_makes_no_step_where_frames_meet() -> None:
    levelled = run(level.Level, [*tone(1, loudness=0.02), *tone(1, loudness=0.4)])

    joined = np.concatenate([frame.samples for frame in levelled[55:]])
    steepest = 2 * np.pi * TONE_HZ / RATE * np.abs(joined).max()
    assert np.abs(np.diff(joined)).max() <= steepest * 1.05


def test_level_follows_louder_speech_faster_than_quieter_speech() -> None:
    louder = run(level.Level, tone(0.5, loudness=0.16), params={"target": 0.08})
    quieter = run(level.Level, tone(0.5, loudness=0.04), params={"target": 0.08})

    assert loudness(louder[-1]) == pytest.approx(0.08, rel=0.05)
    assert loudness(quieter[-1]) < 0.05


def test_level_keeps_time_stamps_and_metadata_and_its_input() -> None:
    frames = tone(0.1, loudness=0.02)
    before = [frame.samples.copy() for frame in frames]

    levelled = run(level.Level, frames)

    assert [(frame.timestamp_ns, frame.metadata) for frame in levelled] == [
        (frame.timestamp_ns, frame.metadata) for frame in frames
    ]
    assert all(frame.samples.dtype == np.float32 for frame in levelled)
    assert all(np.array_equal(frame.samples, kept) for frame, kept in zip(frames, before, strict=True))


def passed(probabilities: list[float], *, lead: int = 3, linger: int = 4) -> list[tuple[int, int, bool]]:
    """Give a gate one frame for each probability; lead and linger count frames."""
    tested = gate.Gate(threshold=0.5, lead_s=lead * FRAME_S, linger_s=(linger - 0.5) * FRAME_S)
    return [
        entry
        for index, probability in enumerate(probabilities)
        for entry in tested.step(index, probability=probability, duration_s=FRAME_S)
    ]


def test_a_segment_begins_before_speech_and_ends_after_it() -> None:
    silence, speech = [0.0] * 10, [0.9] * 5

    out = passed([*silence, *speech, *silence])

    assert [index for index, _, _ in out] == list(range(8, 19))
    assert [index for index, _, last in out if last] == [18]
    assert {segment for _, segment, _ in out} == {1}


@pytest.mark.parametrize(
    "probabilities",
    [
        pytest.param([0.9, 0.1, 0.1, 0.1, 0.9], id="short pause"),
        pytest.param([0.9, 0.1, 0.1, 0.9, 0.1, 0.1, 0.9], id="pauses do not add up"),
        pytest.param([0.9, 0.4, 0.4, 0.4, 0.4, 0.4, 0.4], id="wavering"),
    ],
)
def test_this_ends_no_segment(probabilities: list[float]) -> None:
    out = passed(probabilities)

    assert [index for index, _, _ in out] == list(range(len(probabilities)))
    assert not any(last for _, _, last in out)


def test_segments_are_counted() -> None:
    pause = [0.0] * 12

    out = passed([0.9, *pause, 0.9, *pause, 0.9])

    assert sorted({segment for _, segment, _ in out}) == [1, 2, 3]


@given(st.lists(st.floats(0, 1), max_size=200), st.integers(1, 8), st.integers(1, 8))
def test_a_gate_loses_no_speech_and_doubles_and_reorders_nothing(
    probabilities: list[float], lead: int, linger: int
) -> None:
    out = passed(probabilities, lead=lead, linger=linger)

    frames = [frame for frame, _, _ in out]
    assert frames == sorted(set(frames))
    assert {index for index, probability in enumerate(probabilities) if probability >= 0.5} <= set(frames)
    segments = [segment for _, segment, _ in out]
    assert segments == sorted(segments)
    ends = [segment for _, segment, last in out if last]
    assert ends == list(range(1, len(ends) + 1))
    assert set(segments) <= {*ends, len(ends) + 1}


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("<s> go forward <sil> ten meters </s>", "go forward ten meters"),
        ("[NOISE] go ++UM++ forward", "go forward"),
        ("the(2) read(3) book", "the read book"),
        ("<sil> [SPEECH]", ""),
    ],
)
def test_marks_that_are_no_words_go(raw: str, clean: str) -> None:
    assert tidy.clean(raw) == clean


def said(text: str, *, final: bool = False, **metadata: object) -> Text:
    return Text(text, timestamp_ns=7, metadata={"final": final, **metadata})


def test_partial_texts_that_say_nothing_new_go_and_final_ones_stay() -> None:
    texts = [said("<s>"), said("<s> go"), said("<s> go <sil>"), said("go(2) on"), said("go on </s>", final=True)]

    out = run(tidy.TidyText, [*texts, EndOfStream()])

    assert [(frame.text, frame.metadata["final"]) for frame in out if isinstance(frame, Text)] == [
        ("go", False),
        ("go on", False),
        ("go on", True),
    ]
    assert {frame.timestamp_ns for frame in out if isinstance(frame, Text)} == {7}


def test_a_new_segment_may_say_the_same_again() -> None:
    out = run(tidy.TidyText, [said("yes"), said("yes", final=True), said("yes")])

    assert [frame.text for frame in out] == ["yes", "yes", "yes"]


def test_word_times_are_those_of_spoken_words() -> None:
    words = [{"word": "<s>", "startMs": 0.0}, {"word": "go(2)", "startMs": 10.0}]

    (out,) = run(tidy.TidyText, [said("<s> go(2)", final=True, words=words)])

    assert out.metadata["words"] == [{"word": "go", "startMs": 10.0}]
