"""`python -m reconciler.node`: run one node instance, as its environment says.

The arguments only name it, so that it can be found in the process table.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.contract import env, envfile, exits, names
from reconciler.node import garbage
from reconciler.node.later import numpy_on_demand
from reconciler.node.stamps import Stamped

with garbage.none_at_the_start(), numpy_on_demand():
    from reconciler.node.runtime import Runtime, setting_from

if TYPE_CHECKING:
    from typing import MutableMapping

LEVEL = "LOG_LEVEL"
"""Least level of the lines that are written: debug, info (default), warning, error."""


def main() -> int:
    """Run until SIGTERM or SIGINT; return the exit code."""
    try:
        _take_variables(os.environ)
    except (OSError, ValueError) as error:
        _set_up_output()
        logging.getLogger("runtime").error("can't take variables from a file of `envFrom`: %s", error)  # noqa: TRY400 - the trace says no more
        return exits.BROKEN
    _set_up_output()
    try:
        setting = setting_from(os.environ)
    except KeyError as error:
        logging.getLogger("runtime").error("%s is not set: the controller sets it", error.args[0])  # noqa: TRY400 - the trace says no more
        return exits.BROKEN
    return Runtime(setting).run()


def _take_variables(environ: MutableMapping[str, str]) -> None:
    """Set the variables of `envFrom` before the node's code is loaded: the engine, which shows all it knows, has none.

    Raises:
        OSError: if a file can't be read.
        ValueError: if a line is no assignment, or a file no text; what is in it is not told.
    """
    for place in environ.get(env.ENV_FILES, "").split(":"):
        for name, value in envfile.parse(_text(Path(place))) if place else ():
            if not name.startswith(names.RESERVED_ENV):
                environ[name] = value


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        msg = f"{file} is no text"
        raise ValueError(msg) from None  # the error itself would quote the content


def _set_up_output() -> None:
    """Write whole lines as they come, with time, level and node."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(line_buffering=True)
    if os.environ.get(env.STAMP_LINES):
        sys.stdout, sys.stderr = Stamped(sys.stdout), Stamped(sys.stderr)
    level = logging.getLevelName(os.environ.get(LEVEL, "info").upper())
    logging.Formatter.converter = time.gmtime
    logging.basicConfig(
        stream=sys.stderr,
        level=level if isinstance(level, int) else logging.INFO,
        format="%(asctime)s.%(msecs)03dZ %(levelname)s %(name)s: %(message)s",
        datefmt="%Y-%m-%dT%H:%M:%S",
    )


if __name__ == "__main__":
    try:
        sys.exit(main())
    finally:
        garbage.none_at_the_end()
