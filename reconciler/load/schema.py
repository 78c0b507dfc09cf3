"""JSON Schemas of the manifest kinds, made from the models, for editors and other tools.

Rule: draft 7 without references, which every editor completes from. `python -m reconciler.load.schema` writes
`schemas/*.json`; a test checks that they are fresh.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reconciler.load import written

if TYPE_CHECKING:
    from pydantic import BaseModel

DRAFT = "http://json-schema.org/draft-07/schema#"

KINDS: dict[str, type[BaseModel]] = {"pipeline": written.PipelineManifest, "session": written.SessionManifest}


def schema(kind: str) -> dict[str, Any]:
    """Return the JSON Schema of a kind, `pipeline` or `session`."""
    made = KINDS[kind].model_json_schema(by_alias=True)
    parts = made.pop("$defs", {})
    whole = _inlined(made, parts)
    return {"$schema": DRAFT, "title": kind.capitalize(), **whole}


def text(kind: str) -> str:
    """Return the JSON Schema of a kind as it is written to `schemas/`. Case of the kind does not matter."""
    return json.dumps(schema(kind.lower()), indent=2, ensure_ascii=False) + "\n"


def main(directory: Path) -> None:
    """Write all schemas."""
    directory.mkdir(exist_ok=True)
    for kind in KINDS:
        (directory / f"{kind}.json").write_text(text(kind), encoding="utf-8")


def _inlined(part: Any, parts: dict[str, Any]) -> Any:
    """Put parts where they are referred to, since draft 7 ignores what stands beside a reference."""
    if isinstance(part, list):
        return [_inlined(each, parts) for each in part]
    if not isinstance(part, dict):
        return part
    reference = part.get("$ref")
    if reference:
        target = parts[reference.removeprefix("#/$defs/")]
        part = {**target, **{name: value for name, value in part.items() if name != "$ref"}}
    plain = {name: value for name, value in part.items() if name != "title" or not isinstance(value, str)}
    if "patternProperties" in plain:
        plain["additionalProperties"] = False
    return {name: _inlined(value, parts) for name, value in plain.items()}


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "schemas"))
