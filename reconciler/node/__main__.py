"""`python -m reconciler.node`: run one node instance, as its environment says.

The arguments only name it, so that it can be found in the process table.
"""

from __future__ import annotations

import logging
import os
import sys
import time

from reconciler.node.runtime import EXIT_BROKEN, Runtime, setting_from

LEVEL = "LOG_LEVEL"
"""Least level of the lines that are written: debug, info (default), warning, error."""


def main() -> int:
    """Run until SIGTERM or SIGINT; return the exit code."""
    _set_up_output()
    try:
        setting = setting_from(os.environ)
    except KeyError as error:
        logging.getLogger("runtime").error("%s is not set: the controller sets it", error.args[0])  # noqa: TRY400 - the trace says no more
        return EXIT_BROKEN
    return Runtime(setting).run()


def _set_up_output() -> None:
    """Write whole lines as they come, with time, level and node."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(line_buffering=True)
    level = logging.getLevelName(os.environ.get(LEVEL, "info").upper())
    logging.Formatter.converter = time.gmtime
    logging.basicConfig(
        stream=sys.stderr,
        level=level if isinstance(level, int) else logging.INFO,
        format="%(asctime)s.%(msecs)03dZ %(levelname)s %(name)s: %(message)s",
        datefmt="%Y-%m-%dT%H:%M:%S",
    )


if __name__ == "__main__":
    sys.exit(main())
