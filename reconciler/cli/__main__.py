"""Entry of `reconcile`: reads the command line, runs one command, turns errors into a line and an exit code."""

from __future__ import annotations

import gc
import importlib
import os
import sys
from typing import TYPE_CHECKING, cast

from reconciler.cli import codes
from reconciler.cli.parser import parse
from reconciler.model.errors import EngineUnavailableError, InstanceLockedError, ReconcilerError

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable, Sequence


YOUNG = 20_000
"""How many new objects make the interpreter look for garbage: most that a start makes stays."""


def program() -> int:
    """Run `reconcile` as a program of its own, which need not be taken apart at its end: the system does that.

    Looking for garbage a last time took 20 ms of a command that finds nothing to do, and 70 ms where pydantic is there.
    """
    gc.set_threshold(YOUNG)
    try:
        return main()
    finally:
        gc.freeze()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `reconcile` with arguments and return its exit code."""
    options = parse(arguments)
    try:
        return _command(options.module)(options)
    except EngineUnavailableError as error:
        return _fail(str(error), codes.NO_ENGINE)
    except InstanceLockedError as error:
        return _fail(str(error), codes.LOCKED)
    except ReconcilerError as error:
        return _fail(str(error), codes.UNFINISHED)
    except ValueError as error:
        return _fail(str(error), codes.INVALID)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader has left; what we print at exit must not raise once more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return codes.UNFINISHED
    except FileNotFoundError as error:
        # Only the current directory has no name for the one who asks where it is.
        gone = "the current directory is gone: change to one that is there"
        return _fail(f"{error.filename}: {error.strerror}" if error.filename else gone, codes.INVALID)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        theirs = "; is it another user's? Run as that one, or choose --state-dir and --runtime-dir of your own"
        advice = theirs if isinstance(error, PermissionError) else ""
        return _fail(f"{where}{error.strerror or error}{advice}", codes.INVALID)


def _command(name: str) -> Callable[[Namespace], int]:
    return cast("Callable[[Namespace], int]", importlib.import_module(f"reconciler.cli.{name}").run)


def _fail(message: str, code: int) -> int:
    print(f"reconcile: {message}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(program())
