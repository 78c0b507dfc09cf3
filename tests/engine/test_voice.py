"""The voice example by the commands that users type: real containers, real shared memory, real models.

One controller watches one directory for all tests here; each test leaves the pipeline ready for the next.
"""

from __future__ import annotations

import difflib
import json
import threading
from typing import TYPE_CHECKING, Any

import pytest

from reconciler.contract import labels
from tests.support.engine import client
from tests.support.place import REPOSITORY, Place, eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

EXAMPLE = REPOSITORY / "manifests" / "voice"
BUILD_S = 600.0
"""The first run ever builds three images."""

SPOKEN = {
    "austen-0880.wav": "he was not an ill disposed young man",
    "austen-0930.wav": "he might even have been made amiable himself",
}
ENVIRONMENTS = {"level": "3.9 1.26.4", "speech": "3.10 2.2.6", "words": "3.11 2.4.6"}


class Voice:
    """The running example, and the engine it runs on."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.manifest = place.copy("voice") / "voice.yaml"
        self.engine = client()
        self.controller = place.watch()

    def ready(self) -> bool:
        """Whether the pipeline is ready. A controller that has left will never make it so."""
        assert self.controller.poll() is None, self.place.log()[-4000:]
        if not self.place.paths.status.exists():
            return False
        found = [status for status in json.loads(self.place.paths.status.read_text()) if status["kind"] == "Pipeline"]
        return any(c["type"] == "Ready" and c["status"] == "True" for status in found for c in status["conditions"])

    def containers(self, **filters: str) -> dict[str, str]:
        """Return the ids of our containers by node id."""
        wanted = {"label": f"{labels.INSTANCE}={self.place.instance}", **filters}
        return {each["Labels"][labels.NODE]: each["Id"] for each in self.engine.containers(all=True, filters=wanted)}

    def started(self, container: str) -> str:
        """Return when a container was started last."""
        return str(self.engine.inspect_container(container)["State"]["StartedAt"])

    def services(self) -> list[Path]:
        """Return the iceoryx2 services there are."""
        return list((self.place.paths.shm_root / "services").iterdir())

    def stream(self, recording: Path) -> list[dict[str, Any]]:
        """Return the texts that a recording gives, in order."""
        said = self.place.reconcile("stream", "voice", "--input", str(recording))
        assert said.returncode == 0, said.stderr + self.place.log()[-4000:]
        return [json.loads(line) for line in said.stdout.splitlines()]


@pytest.fixture(scope="module")
def voice() -> Iterator[Voice]:
    place = Place()
    try:
        made = Voice(place)
        eventually(made.ready, within_s=BUILD_S)
        yield made
        made.engine.close()
    finally:
        place.close()


def finals(texts: list[dict[str, Any]]) -> str:
    return " ".join(text["text"] for text in texts if text["metadata"]["final"])


def likeness(heard: str, spoken: str) -> float:
    """Return the share of words that agree, in order: 0 to 1."""
    return difflib.SequenceMatcher(None, heard.split(), spoken.split()).ratio()


def test_recorded_speech_comes_out_as_words(voice: Voice) -> None:
    texts = voice.stream(EXAMPLE / "speech.wav")

    assert finals(texts) == "go forward ten meters"
    assert {text["node"] for text in texts} == {"tidy"}
    partial = [text for text in texts if not text["metadata"]["final"]]
    assert "go forward" in [text["text"] for text in partial]
    stamps = [text["timestampMs"] for text in texts]
    assert stamps == sorted(stamps)
    words = [(word["word"], word["startMs"], word["endMs"]) for word in texts[-1]["metadata"]["words"]]
    assert [word for word, _, _ in words] == ["go", "forward", "ten", "meters"]
    assert all(0 < start < end < 2_800 for _, start, end in words)


@pytest.mark.parametrize("recording", sorted(SPOKEN))
def test_other_recordings_come_out_near_what_was_said(voice: Voice, recording: str) -> None:
    heard = finals(voice.stream(EXAMPLE / "samples" / recording))

    assert likeness(heard, SPOKEN[recording]) >= 0.6, heard


def test_streams_at_the_same_time_keep_apart(voice: Voice) -> None:
    recordings = [EXAMPLE / "speech.wav", EXAMPLE / "samples" / "austen-0930.wav"]
    heard: dict[str, str] = {}

    def listen(recording: Path) -> None:
        heard[recording.name] = finals(voice.stream(recording))

    threads = [threading.Thread(target=listen, args=(recording,)) for recording in recordings]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert heard["speech.wav"] == "go forward ten meters"
    assert likeness(heard["austen-0930.wav"], SPOKEN["austen-0930.wav"]) >= 0.6


@pytest.mark.parametrize("node", sorted(ENVIRONMENTS))
def test_every_container_has_its_own_python_and_numpy(voice: Voice, node: str) -> None:
    asked = "import sys, numpy; print('%d.%d' % sys.version_info[:2], numpy.__version__)"

    run = voice.engine.exec_create(voice.containers()[node], ["python", "-c", asked])

    assert voice.engine.exec_start(run["Id"]).decode().strip() == ENVIRONMENTS[node]


def test_a_killed_container_is_repaired(voice: Voice) -> None:
    killed = voice.containers()["words"]
    before = voice.started(killed)

    voice.engine.kill(killed)

    def repaired() -> bool:
        running = voice.containers(status="running").get("words")
        return running is not None and voice.started(running) != before

    eventually(repaired, within_s=20)
    eventually(voice.ready, within_s=20)
    assert finals(voice.stream(EXAMPLE / "speech.wav")) == "go forward ten meters"


@pytest.mark.parametrize("node", ["level", "speech"])
def test_a_stream_outlives_a_container_killed_in_its_middle(voice: Voice, node: str) -> None:
    """EC-03: its frames are delivered again, and the stream goes on to its end."""
    eventually(voice.ready, within_s=20)
    said = voice.place.base / f"killed-{node}.jsonl"
    stream = voice.place.start("stream", "voice", "--realtime", "--input", str(EXAMPLE / "speech.wav"), stdout=said)
    eventually(said.read_text, within_s=30)  # it has begun to speak

    voice.engine.kill(voice.containers()[node])

    assert stream.wait(timeout=60) == 0, voice.place.log()[-4000:]
    texts = [json.loads(line) for line in said.read_text().splitlines()]
    assert likeness(finals(texts), "go forward ten meters") >= 0.75


def test_without_its_manifest_all_is_gone_and_with_it_all_is_back(voice: Voice) -> None:
    text = voice.manifest.read_text()

    voice.manifest.unlink()
    eventually(lambda: not voice.containers(), within_s=20)
    eventually(lambda: not voice.services() and not voice.place.segments(), within_s=10)

    voice.manifest.write_text(text)
    assert eventually(voice.ready, within_s=20) < 5.0
    assert finals(voice.stream(EXAMPLE / "speech.wav")) == "go forward ten meters"
