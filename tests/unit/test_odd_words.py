"""Commands with words that are wrong, odd or too many: each says what was found, where, and what to do."""

from __future__ import annotations

import errno
import os
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from reconciler.cli import doctor, get, images, locking, logs
from reconciler.cli.__main__ import main
from reconciler.cli.parser import parser
from reconciler.contract.paths import Paths
from reconciler.controller.view import Seen
from reconciler.model.desired import Diagnostic
from reconciler.model.errors import BuildError
from reconciler.model.manifest import Origin
from reconciler.plan.plan import plan
from tests.support.worlds import BARE, chain, desire, docker_node

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ABSENT = docker_node("echo", python="3.12", pull_policy="Never")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("get foo", "invalid choice: 'foo'"),
        ("describe foo x", "invalid choice: 'foo'"),
        ("logs a --tail -1", "'-1' is no whole number"),
        ("logs a --since 5x", "'5x' is no number above 0"),
        ("--once --timeout nan", "'nan' is no number above 0"),
    ],
)
def test_a_wrong_word_is_told_as_it_was_written(arguments: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        parser().parse_args(arguments.split())
    assert said in capsys.readouterr().err


def test_a_word_too_many_is_no_word_that_is_passed_over() -> None:
    with pytest.raises(ValueError, match="images prune takes no 'voice words'"):
        images.run(parser().parse_args(["images", "prune", "voice", "words"]))


def test_a_look_says_what_is_wrong_with_the_manifests(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Else a typing error in `-f` looks like an empty world."""
    wrong = Diagnostic(Origin("nope"), "no such file or directory")
    desired = SimpleNamespace(diagnostics=(wrong,))
    monkeypatch.setattr(get, "look", lambda *_: Seen(desired, BARE, ()))  # type: ignore[arg-type]
    assert get.run(parser().parse_args(["get", "pipelines", "-f", "nope"])) == 0
    assert capsys.readouterr().err == f"{wrong}\nno pipelines\n"


@pytest.mark.parametrize(
    ("pipeline", "node", "said"),
    [
        ("voyce", None, "no pipeline 'voyce' (there are: voice, echo)"),
        ("voyce", "words", "no pipeline 'voyce' (there are: voice, echo)"),
        ("voice", "wordz", "pipeline voice has no node 'wordz' (there are: words, tidy)"),
    ],
)
def test_logs_of_what_is_not_there(pipeline: str, node: str | None, said: str) -> None:
    assert logs._unknown(pipeline, node, [["voice", "words"], ["voice", "tidy"], ["echo", "echo"]]) == said
    assert logs._unknown(pipeline, node, []).endswith("(there are: none)")


def test_an_image_that_can_not_be_built_is_told_although_there_is_nothing_to_do() -> None:
    (line,) = images._absent(plan(desire(chain("voice", ABSENT)), BARE))
    assert line.startswith("node voice/echo: base image python:3.12-slim is not on the engine, and pullPolicy is Never")


def test_a_lock_pulls_nothing_that_is_not_to_be_pulled() -> None:
    pulled: Callable[[str], None] = pytest.fail
    instance = SimpleNamespace(look=lambda: BARE, engine=SimpleNamespace(pull=pulled))
    assert ABSENT.docker is not None
    with pytest.raises(BuildError, match=r"python:3\.12-slim is not on the engine, and pullPolicy is Never"):
        locking._image(instance, ABSENT.docker)  # type: ignore[arg-type]


def test_a_current_directory_that_is_gone_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    tmp_path.rmdir()
    assert main(["validate", "x"]) == 2
    assert "the current directory is gone" in capsys.readouterr().err


def test_a_doctor_names_what_is_in_the_way_of_a_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file, or a directory that may not be entered, of which nothing below can be seen."""
    (tmp_path / "file").touch()
    (tmp_path / "theirs").mkdir()
    monkeypatch.setattr(os, "access", lambda place, _: place != tmp_path / "theirs")
    state, runtime, *_ = doctor._places(Paths("x", tmp_path / "file" / "x", tmp_path / "theirs" / "x", ()))
    assert (state.well, state.advice) == (False, f"choose another --state-dir: {tmp_path}/file is no directory")
    theirs = f"choose another --runtime-dir, or make {tmp_path}/theirs writable"
    assert (runtime.well, runtime.advice) == (False, theirs)


def test_what_belongs_to_another_user_is_told_with_what_to_do(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object) -> Seen:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), "/run/reconciler/x/sessions")

    monkeypatch.setattr(get, "look", refuse)
    assert main(["get", "pipelines"]) == 2
    said = "/run/reconciler/x/sessions: Permission denied; is it another user's? Run as that one"
    assert said in capsys.readouterr().err
