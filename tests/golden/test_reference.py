"""The tables of fields in `docs/manifest.md` are what the schemas say. `make golden` rewrites them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from reconciler.load.schema import KINDS, schema

if TYPE_CHECKING:
    from collections.abc import Iterator

REFERENCE = Path(__file__).parents[2] / "docs" / "manifest.md"
WORDS = {
    "integer": "whole number",
    "number": "number",
    "string": "text",
    "boolean": "`true`, `false`",
    "array": "list",
    "object": "mapping",
}


def rows(part: dict[str, Any], way: str = "") -> Iterator[str]:
    for name, field in part.get("properties", {}).items():
        default = "needed" if name in part["required"] else _default(field.get("default"))
        description = field["description"].replace("|", "\\|")
        yield f"| `{way}{name}` | {_kind(field)} | {default} | {description} |"
        yield from rows({"required": (), **field}, f"{way}{name}.")
        yield from rows({"required": (), **field.get("items", {})}, f"{way}{name}[].")


def _kind(field: dict[str, Any]) -> str:
    parts = [each for each in field.get("anyOf", ({},)) if each.get("type") != "null"]
    return ", ".join(dict.fromkeys(_one({**field, **part}) for part in parts))


def _one(field: dict[str, Any]) -> str:
    if "const" in field:
        return f"`{field['const']}`"
    if "enum" in field:
        return ", ".join(f"`{each}`" for each in field["enum"])
    bounds = f", {field['minimum']:g} to {field['maximum']:.8g}" if "maximum" in field else ""
    return WORDS[field["type"]] + bounds


def _default(value: Any) -> str:
    if value in (None, [], {}):
        return ""
    return f"`{value}`" if isinstance(value, str) else f"`{json.dumps(value)}`"


@pytest.mark.parametrize("kind", KINDS)
def test_the_tables_are_what_the_schemas_say(kind: str, request: pytest.FixtureRequest) -> None:
    table = "\n".join(("| field | is | if left out | |", "|---|---|---|---|", *rows(schema(kind))))
    marks = re.compile(rf"(<!-- fields: {kind} -->\n)(.*?)(\n<!-- end -->)", re.DOTALL)
    text = REFERENCE.read_text(encoding="utf-8")
    found = marks.search(text)
    assert found is not None
    if request.config.getoption("--rewrite-golden"):
        REFERENCE.write_text(marks.sub(lambda each: each[1] + table + each[3], text), encoding="utf-8")
    else:
        assert found[2] == table
