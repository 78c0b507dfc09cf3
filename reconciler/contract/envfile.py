"""Files of `NAME=VALUE` lines, from which a node gets variables that the engine shall not show.

Rule: as in `docker run --env-file`: a value is all that follows the first `=`, quotes included; empty lines and those
that begin with `#` are passed over. An error names the line, never what is in it.
"""

from __future__ import annotations

import re
from typing import Iterator, Tuple

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class MalformedError(ValueError):
    """A line that is no `NAME=VALUE`; `line` counts from 1."""

    def __init__(self, line: int) -> None:
        """Remember which line."""
        super().__init__(f"line {line} is no NAME=VALUE")
        self.line = line


def parse(text: str) -> Iterator[Tuple[str, str]]:
    """Yield names and values in the order of the file.

    Raises:
        MalformedError: at the first line that is neither empty, a comment, nor an assignment.
    """
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, equals, value = line.partition("=")
        if not equals or not _NAME.fullmatch(name.strip()) or "\0" in value:
            raise MalformedError(number)
        yield name.strip(), value
