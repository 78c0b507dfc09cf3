"""Which environment images go, and what is remembered of them (US3)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from reconciler.cli.image_cache import cache_of
from reconciler.cli.parser import parser
from reconciler.contract import names
from reconciler.controller.image_records import ImageRecords
from reconciler.model.desired import NO_CACHE, ImageCache
from reconciler.model.memory import Memory, see_images
from reconciler.model.observed import Container, Image, Observed, Site
from reconciler.plan.facts import index
from reconciler.plan.prune import LEAST_PER_PASS, prune_images

if TYPE_CHECKING:
    from pathlib import Path

SITE = Site("test", 0, 0, "python", "/n/nodes", "/s", "/l", "/n/iox2", "p_", "1", "1")
BASE = Image("sha256:base", ("python:3.11-slim",), size_bytes=1000)
NOW_S = 10_000.0


def image(letter: str) -> Image:
    hashed = letter * 64
    return Image(f"sha256:{letter}", (names.env_image(hashed),), hashed, BASE.id, "test", size_bytes=1100)


A, B, C, D = (image(letter) for letter in "abcd")
USED_S = {A.key: 100.0, B.key: 50.0, C.key: 75.0, D.key: 9_000.0}
"""B was used least recently, then C, A and D."""


def gone(
    *images: Image, cache: ImageCache, containers: tuple[Container, ...] = (), wished: tuple[Image, ...] = ()
) -> list[str]:
    facts = index(Observed(SITE, containers=containers, images=(BASE, *images)))
    keep = {each.env_hash for each in wished}
    steps = prune_images(facts, wished=lambda: keep, cache=cache, used_s=USED_S, now_s=NOW_S)
    return [step.action.id for step in steps]  # type: ignore[union-attr]


def test_the_least_recently_used_go_first() -> None:
    assert gone(A, B, C, D, cache=ImageCache(max_count=4)) == []
    assert gone(A, B, C, D, cache=ImageCache(max_count=3)) == [B.id]
    assert gone(A, B, C, D, cache=ImageCache(max_count=1)) == [B.id, C.id, A.id]


def test_what_was_used_lately_stays_however_many_there_are() -> None:
    assert gone(A, B, C, D, cache=ImageCache(max_count=0)) == [B.id, C.id, A.id]
    assert D.id in gone(A, B, C, D, cache=ImageCache(max_count=0, min_age_s=1000))


def test_bytes_count_above_the_base_image() -> None:
    assert gone(A, B, C, D, cache=ImageCache(max_bytes=400)) == []
    assert gone(A, B, C, D, cache=ImageCache(max_bytes=399)) == [B.id]
    assert gone(A, B, C, D, cache=ImageCache(max_bytes=250)) == [B.id, C.id]


def test_what_a_container_or_a_manifest_needs_stays_and_counts() -> None:
    ended = Container("1", "rc-test-1", "exited", B.id)
    assert gone(A, B, C, cache=ImageCache(max_count=2), containers=(ended,)) == [C.id]
    assert gone(A, B, C, cache=ImageCache(max_count=2), containers=(ended,), wished=(C,)) == [A.id]
    assert gone(A, B, C, cache=NO_CACHE, containers=(ended,), wished=(A, C)) == []


def test_what_is_not_ours_alone_stays() -> None:
    named = replace(B, tags=(*B.tags, "acme/speech:1"))
    foreign = replace(C, instance="other")
    assert gone(named, foreign, BASE, cache=NO_CACHE) == []


def test_one_that_nobody_knows_of_counts_as_just_used() -> None:
    unknown = image("e")
    assert gone(unknown, cache=ImageCache(max_count=0)) == []
    assert gone(unknown, cache=NO_CACHE) == [unknown.id]


def test_what_a_build_left_goes_by_age() -> None:
    old, new = (Image(key, instance="test", stage=True) for key in (A.key, D.key))
    assert gone(old, new, cache=ImageCache()) == [old.id]
    assert gone(replace(old, instance="other"), cache=NO_CACHE) == []


def test_a_pass_takes_a_bounded_number() -> None:
    many = [replace(A, id=f"sha256:{number}") for number in range(40)]
    assert len(gone(*many, cache=ImageCache(max_count=1))) == LEAST_PER_PASS


def test_memory_notes_what_is_used_and_forgets_what_is_gone() -> None:
    container = Container("1", "rc-test-1", "running", A.id)
    seen = see_images(Memory(image_used_s={B.key: 1.0, C.key: 2.0}), Observed(SITE, (container,), (A, B, D)), now_s=7.0)
    assert seen.image_used_s == {A.key: 7.0, B.key: 1.0, D.key: 7.0}


def test_records_outlive_the_controller_and_may_be_lost(tmp_path: Path) -> None:
    records = ImageRecords(tmp_path / "journal.sqlite")
    assert records.read() == {}
    records.built(A.key, took_s=2.5)
    (found,) = ImageRecords(tmp_path / "journal.sqlite").read().values()
    assert (found.took_s, found.used_by) == (2.5, ())
    assert found.built_s == found.used_s
    used_s = records.used_s(lambda: 100.0)[A.key]
    assert 0.0 <= 100.0 - used_s < 60.0
    (tmp_path / "journal.sqlite").write_bytes(b"damaged")
    assert records.read() == {}
    assert records.used_s(lambda: 100.0) == {}
    records.built(A.key, took_s=1.0)


def test_options_win_over_variables_and_those_over_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    default = ImageCache()
    assert cache_of(parser().parse_args([]), default) == default
    monkeypatch.setenv("RECONCILE_MAX_IMAGES", "7")
    monkeypatch.setenv("RECONCILE_MAX_IMAGE_BYTES", "2Gi")
    monkeypatch.setenv("RECONCILE_MIN_IMAGE_AGE_SECONDS", "0")
    assert cache_of(parser().parse_args([]), default) == ImageCache(7, 2 << 30, 0.0)
    assert cache_of(parser().parse_args(["--max-images", "3"]), default).max_count == 3


@pytest.mark.parametrize(
    ("variable", "text"),
    [("RECONCILE_MAX_IMAGES", "-1"), ("RECONCILE_MIN_IMAGE_AGE_SECONDS", "soon"), ("RECONCILE_MAX_IMAGE_BYTES", "2G")],
)
def test_what_is_no_number_is_refused(monkeypatch: pytest.MonkeyPatch, variable: str, text: str) -> None:
    monkeypatch.setenv(variable, text)
    with pytest.raises(ValueError, match=variable):
        cache_of(parser().parse_args([]), ImageCache())
