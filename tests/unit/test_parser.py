"""The command line, and the page that describes it."""

from __future__ import annotations

import argparse
import re
import shlex
from pathlib import Path

import pytest

from reconciler.cli.parser import parse, parser
from tests.support.tree import files, text

PAGE = Path(__file__).parents[2] / "docs" / "commands.md"


def _commands() -> dict[str, argparse.ArgumentParser]:
    (group,) = [a for a in parser()._actions if isinstance(a, argparse._SubParsersAction)]
    return dict(group.choices)


def test_every_command_stands_on_the_page_and_has_a_module() -> None:
    page = PAGE.read_text()
    for name, command in _commands().items():
        assert f"`reconcile {name}" in page, name
        module = command.get_default("module")
        assert (PAGE.parents[1] / "reconciler" / "cli" / f"{module}.py").exists()


def test_every_option_stands_on_the_page() -> None:
    page = PAGE.read_text()
    parsers = {"": parser(), **_commands()}
    named = {(name, option) for name, made in parsers.items() for a in made._actions for option in a.option_strings}
    written = {(name, option) for name, option in named if re.search(rf"`[^`]*{option}\b", page)}
    assert {(name, option) for name, option in named - written if option not in {"-h", "--help", "--version"}} == set()


EXAMPLE = re.compile(r"^    (?:[^#\n]*[|&] )?reconcile ([^#&|\n]+)", re.MULTILINE)
"""What is written to be typed, in a block of its own."""


def test_every_example_in_a_document_can_be_typed() -> None:
    found = [shlex.split(match[1]) for path in files(".md") for match in EXAMPLE.finditer(text(path))]
    assert len(found) > 15
    for words in found:
        assert parser().parse_args(words), words


def test_options_work_before_and_after_the_command() -> None:
    before = parser().parse_args(["-f", "m", "--instance", "a", "diff", "-o", "json"])
    after = parser().parse_args(["diff", "-f", "m", "--instance", "a", "-o", "json"])
    assert vars(before) == vars(after)
    assert before.manifests == Path("m")


def test_without_a_command_it_watches() -> None:
    options = parser().parse_args(["-f", "m"])
    assert (options.module, options.once, options.manifests) == ("run", False, Path("m"))


@pytest.mark.parametrize(
    "words", ["", "--once -f m", "--once --timeout 3 -v", "-f diff", "top --once", "get nodes", "--instance a down"]
)
def test_what_is_parsed_without_commands_is_what_the_whole_parser_says(words: str) -> None:
    """Only the outcome of options without a command is ever taken from the parser that knows none."""
    assert vars(parse(words.split())) == vars(parser().parse_args(words.split()))


@pytest.mark.parametrize("words", ["--onec", "nothing", "--timeout 0", "-h", "--once -f"])
def test_what_is_wrong_is_said_by_the_whole_parser(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    said = []
    for read in (parse, parser().parse_args):
        with pytest.raises(SystemExit):
            read(words.split())
        said.append(capsys.readouterr())
    assert said[0] == said[1]
    assert said[0].out or said[0].err


def test_manifests_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECONCILE_MANIFESTS", "/there")
    assert parser().parse_args(["diff"]).manifests == Path("/there")
    assert parser().parse_args(["diff", "-f", "here"]).manifests == Path("here")


def test_logs_follow_with_f() -> None:
    assert parser().parse_args(["logs", "voice", "-f"]).follow


def test_kinds_may_be_written_in_either_number() -> None:
    for written in ("pipeline", "pipelines"):
        assert parser().parse_args(["get", written]).kind == "pipelines"
        assert parser().parse_args(["describe", written, "voice"]).kind == "pipeline"


@pytest.mark.parametrize(("text", "seconds"), [("90", 90), ("1.5", 1.5), ("5m", 300), ("2h", 7_200), ("1d", 86_400)])
def test_durations_may_have_a_unit(text: str, seconds: float) -> None:
    assert parser().parse_args(["logs", "voice", "--since", text]).since == seconds


@pytest.mark.parametrize(
    "wrong",
    [
        ["nonsense"],
        ["get", "pods"],
        ["logs", "x", "--since", "5y"],
        ["logs", "x", "--tail", "-1"],
        ["--once", "--timeout", "0"],
        ["stream"],
    ],
)
def test_wrong_usage_is_exit_code_2(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        parser().parse_args(wrong)
    assert caught.value.code == 2
    assert "usage:" in capsys.readouterr().err
