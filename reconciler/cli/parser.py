"""The command line, as data. Nothing is imported here that a command might not need."""

from __future__ import annotations

import argparse
import math
import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from reconciler.cli import image_cache
from reconciler.contract import VERSION, env

if TYPE_CHECKING:
    from collections.abc import Sequence

KINDS = ("pipelines", "nodes", "sessions", "images", "services", "events")


class _TooLittleError(Exception):
    """There is more on the command line than options without a command."""


class _Bare(argparse.ArgumentParser):
    """Knows no command, and says nothing."""

    def error(self, message: str) -> NoReturn:
        """Leave it to the whole parser to say what is wrong."""
        raise _TooLittleError(message)


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Return what is asked for. To describe fifteen commands takes longer than to find that none is meant."""
    try:
        # Without a width it would import what asks the terminal for it, and with that two packers of files.
        bare = _Bare("reconcile", add_help=False, formatter_class=partial(argparse.HelpFormatter, width=80))
        return _converging(bare).parse_args(arguments)
    except _TooLittleError:
        return parser().parse_args(arguments)


def parser() -> argparse.ArgumentParser:
    """Return the parser of `reconcile`. `module` in its result names the file that runs the command."""
    top = argparse.ArgumentParser(
        prog="reconcile",
        description="Converge streaming pipelines on plain Docker to what manifests say.",
        epilog="Without a command: watch the manifests and converge until SIGTERM or SIGINT.",
    )
    _converging(top)
    commands = top.add_subparsers(title="commands", metavar="COMMAND")
    _look_commands(commands)
    _stream_commands(commands)
    _exec_command(commands)
    _command(commands, "doctor", "say what of this machine would keep pipelines from running")
    images = _command(commands, "images", "list, build, lock or prune environment images")
    images.add_argument("verb", choices=("ls", "build", "lock", "standard", "prune"))
    images.add_argument("version", nargs="*", help="with standard: Python versions (all)")
    image_cache.add_options(images)
    down = _command(commands, "down", "remove all that this instance owns")
    down.add_argument("--images", action="store_true", help="its environment images too")
    down.add_argument("--timeout", type=_positive, default=argparse.SUPPRESS, metavar="S", help="seconds at most (600)")
    return top


def _converging(top: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """Add what is said without a command."""
    top.add_argument("--version", action="version", version=f"reconcile {VERSION}")
    top.add_argument("--once", action="store_true", help="converge, wait until all is ready, leave")
    top.add_argument("--timeout", type=_positive, default=600.0, metavar="S", help="with --once: seconds at most (600)")
    top.add_argument("--allow-empty", action="store_true", help="an empty directory means that nothing is wanted")
    image_cache.add_options(top)
    _common(top)
    top.set_defaults(module="run")
    return top


def _look_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    diff = _command(commands, "diff", "show what would be done and why; touches nothing")
    diff.add_argument("-o", "--output", choices=("text", "json"), default="text")
    diff.add_argument(
        "--allow-empty",
        action="store_true",
        default=argparse.SUPPRESS,
        help="an empty directory means that nothing is wanted",
    )
    validate = _command(commands, "validate", "check manifests; needs no engine")
    validate.add_argument("path", nargs="+", type=Path)
    get = _command(commands, "get", "list objects and their conditions")
    get.add_argument("kind", choices=KINDS, type=_plural)
    get.add_argument("-o", "--output", choices=("table", "wide", "json", "yaml", "name"), default="table")
    events = _command(commands, "events", "list what was done and why, oldest first", short=False)
    events.add_argument("-f", "--follow", action="store_true", help="go on as more happens")
    events.add_argument("-o", "--output", choices=("table", "json"), default="table", help="json: one object a line")
    top = _command(commands, "top", "show what flows through nodes and what they take, again and again on a terminal")
    top.add_argument("pipeline", nargs="?")
    top.add_argument("--once", action="store_true", default=argparse.SUPPRESS, help="print one table and leave")
    top.add_argument("--interval", type=_positive, default=2.0, metavar="S", help="seconds between looks (2)")
    top.add_argument("-o", "--output", choices=("table", "json"), default="table")
    describe = _command(commands, "describe", "show one object whole")
    describe.add_argument(
        "kind", choices=[kind.removesuffix("s") for kind in KINDS if kind != "events"], type=_singular
    )
    describe.add_argument("name")
    _command(commands, "schema", "print the JSON Schema of manifests").add_argument(
        "kind", nargs="?", choices=("pipeline", "session"), default="pipeline"
    )


def _stream_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    logs = _command(commands, "logs", "show the output of nodes", short=False)
    logs.add_argument("pipeline")
    logs.add_argument("node", nargs="?")
    logs.add_argument("-f", "--follow", action="store_true", help="go on as more comes")
    logs.add_argument("--since", type=_duration, metavar="S", help="only the last S seconds; 5m, 2h and 1d do, too")
    logs.add_argument("--tail", type=_count, metavar="N", help="only the last N lines of each node")
    stream = _command(commands, "stream", "send a file through a pipeline and print what comes back")
    stream.add_argument("pipeline")
    stream.add_argument("--input", metavar="F", default="-", help="WAV, text or JSON lines; - is stdin (default)")
    stream.add_argument("--output", metavar="F", help="a .wav takes the sound, another file all as JSON lines")
    stream.add_argument("--session", metavar="NAME", help="attach to this session, which a manifest declares")
    stream.add_argument("--realtime", action="store_true", help="send audio at the pace it was recorded")
    stream.add_argument("--frame-ms", type=_positive, default=20.0, metavar="MS", help="length of an audio frame (20)")
    stream.add_argument(
        "--timeout",
        type=_positive,
        default=30.0,
        metavar="S",
        help="longest wait for a frame, or for room to send one (30)",
    )


def _exec_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    run = _command(commands, "exec", "run a command in a pipeline's own shared memory; needs root")
    run.add_argument("pipeline")
    run.add_argument("command", nargs="+", metavar="COMMAND", help="the command and its arguments")


def _command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], name: str, says: str, *, short: bool = True
) -> argparse.ArgumentParser:
    """Add a command. `short`: whether `-f` names its manifests, or means something else there."""
    made = commands.add_parser(name, help=says, description=says[0].upper() + says[1:] + ".")
    _common(made, again=True, flags=("-f", "--manifests") if short else ("--manifests",))
    made.set_defaults(module=name)
    return made


def _common(
    target: argparse.ArgumentParser, *, again: bool = False, flags: tuple[str, ...] = ("-f", "--manifests")
) -> None:
    """Options of every command, before or after its name; the later one wins, and none given changes nothing."""
    group = target.add_argument_group("instance")

    def add(*names: str, default: object, **rest: object) -> None:
        group.add_argument(*names, default=argparse.SUPPRESS if again else default, **rest)  # type: ignore[arg-type]

    manifests = os.environ.get(env.MANIFESTS)
    add(*flags, type=Path, default=Path(manifests) if manifests else None, metavar="DIR", help="where manifests lie")
    add("--instance", default=None, metavar="NAME", help="whose world it is (default)")
    add("--state-dir", default=None, metavar="DIR", help="what survives a reboot")
    add("--runtime-dir", default=None, metavar="DIR", help="what does not")
    said = "let manifests name this place of the host's own (again for more)"
    add("--allow-host-path", action="append", default=[], metavar="PATH", help=said)
    add("--log-format", choices=("console", "json"), default="console")
    add("-v", "--verbose", action="store_true", default=False, help="say every action")


def _plural(kind: str) -> str:
    return f"{kind}s" if f"{kind}s" in KINDS else kind


def _singular(kind: str) -> str:
    return kind.removesuffix("s")


def _duration(text: str) -> float:
    """Return seconds: a number, or one with a unit behind it."""
    unit = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}.get(text[-1:])
    return _positive(text[:-1]) * unit if unit else _positive(text)


def _count(text: str) -> int:
    if not text.isdecimal():
        msg = f"{text!r} is no whole number of 0 or more"
        raise argparse.ArgumentTypeError(msg)
    return int(text)


def _positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < math.inf:
        msg = f"{text!r} is no number above 0"
        raise argparse.ArgumentTypeError(msg)
    return value
