"""One clear line for each thing pydantic found wrong: where, what was found, what is allowed.

Rule: a table from pydantic's error types to words; a type that is not in it keeps pydantic's own sentence.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args

from pydantic import BaseModel
from pydantic.alias_generators import to_snake

from reconciler.load.tree import nearest, written
from reconciler.load.words import cut, found_text, suggestion
from reconciler.load.written import MEANING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pydantic_core import ErrorDetails

    from reconciler.load.tree import Item, Loc, Problem

_EXPECTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "list_type": "a list",
    "dict_type": "a mapping (`key: value`)",
    "model_type": "a mapping (`key: value`)",
    "model_attributes_type": "a mapping (`key: value`)",
    "finite_number": "a finite number",
}


_NEVER = {
    "user": "a node runs as the controller's user, since files of iceoryx2 can be read by their owner only: "
    "start the controller as the user that shall run it",
    "privileged": "a node gets no power over its host",
    "capAdd": "a node gets no power over its host",
    "devices": "a node gets no devices but `gpus`",
}
"""Fields that people look for below `docker`, and why there are none."""


def problems(errors: Iterable[ErrorDetails], root: Item, model: type[BaseModel]) -> list[Problem]:
    """Translate errors, in the order of the file; a missing field that only has a slip in its name is said once."""
    errors = list(errors)
    unknown = [error["loc"] for error in errors if error["type"] == "extra_forbidden"]
    slips = {(*way[:-1], suggestion(str(way[-1]), _left(root, way, _fields(model, way)))) for way in unknown}
    wanted = [error for error in errors if not (error["type"] == "missing" and error["loc"] in slips)]
    return sorted((_problem(error, root, model) for error in wanted), key=lambda each: (each.line, each.column))


def _problem(error: ErrorDetails, root: Item, model: type[BaseModel]) -> Problem:
    way = tuple(step for step in error["loc"] if step != "[key]")
    kind, context = error["type"], error.get("ctx", {})
    if kind == "missing":
        return _missing(root, way)
    if kind == "extra_forbidden":
        return _unknown(root, way, _fields(model, way))
    place, item = _place(root, way, of_key=error["loc"][-1:] == ("[key]",))
    return place.problem(f"{written(root, way)}: {_said(kind, context, item, error['msg'])}")


def _place(root: Item, way: Loc, *, of_key: bool) -> tuple[Item, Item]:
    """Return where to point, and what stands there. A value that was left out is pointed at by its key."""
    parent = nearest(root, way[:-1])
    entry = parent.entries().get(str(way[-1])) if way else None
    if entry and of_key:
        return entry.key, entry.key
    if entry and entry.value.value is None and not entry.value.text:
        return entry.key, entry.value
    item = nearest(root, way)
    return item, item


def _missing(root: Item, way: Loc) -> Problem:
    parent = nearest(root, way[:-1])
    where = written(root, way[:-1])
    name = str(way[-1])
    spec = root.entries().get("spec")
    if spec and not spec.key.text:
        name = to_snake(name)  # a v1 document: see there
    return parent.problem(f'{where}: "{name}" is missing' if where else f'"{name}" is missing')


def _unknown(root: Item, way: Loc, fields: list[str]) -> Problem:
    parent = nearest(root, way[:-1])
    entry = parent.entries()[str(way[-1])]
    where = written(root, way[:-1])
    if "pythonVersion" in fields and way[-1] in _NEVER:
        return entry.key.problem(f'{where}: there is no "{cut(entry.key.text)}": {_NEVER[str(way[-1])]}')
    hint = suggestion(str(way[-1]), _left(root, way, fields))
    meant = f'did you mean "{hint}"?' if hint else f"allowed: {', '.join(fields)}"
    said = f'unknown field "{cut(entry.key.text)}", {meant}'
    return entry.key.problem(f"{where}: {said}" if where else said)


def _left(root: Item, way: Loc, fields: list[str]) -> list[str]:
    """Return the fields that are not there yet, of which one may be meant."""
    return [field for field in fields if field not in nearest(root, way[:-1]).entries()]


def _said(kind: str, context: Mapping[str, Any], item: Item, message: str) -> str:
    found = found_text(item)
    if kind in _EXPECTED:
        quote = f', write it in quotes: "{cut(item.text)}"' if _is_unquoted(kind, item) else ""
        empty = "; write {} for its defaults" if kind == "model_type" and context["class_name"] == "Docker" else ""
        return f"found {found}, expected {_EXPECTED[kind]}{quote}{empty}"
    if kind == "literal_error":
        return _not_allowed(str(context["expected"]), item)
    if kind == "string_pattern_mismatch":
        return f"found {_shown_text(item)}, expected {MEANING.get(context['pattern'], context['pattern'])}"
    for name, words in (("ge", "at least"), ("gt", "more than"), ("le", "at most"), ("lt", "less than")):
        if name in context:
            return f"found {cut(item.text)}, {words} {context[name]:g} is allowed"
    if kind in ("too_short", "string_too_short"):
        return f"found {found}, at least one {'entry' if kind == 'too_short' else 'character'} is needed"
    return f"found {found}: {message}"


def _is_unquoted(kind: str, item: Item) -> bool:
    return kind == "string_type" and isinstance(item.value, bool | int | float)


def _shown_text(item: Item) -> str:
    return f'"{cut(item.text)}"' if item.text else "empty text"


def _not_allowed(expected: str, item: Item) -> str:
    """`expected` is pydantic's list, like `'a', 'b' or 'c'`."""
    words = [word.strip("' ") for word in expected.replace(" or ", ", ").split(", ")]
    allowed = ", ".join(f'"{word}"' for word in words)
    if not isinstance(item.value, str) and item.text in words:
        return f'found {found_text(item)}, write it in quotes: "{item.text}"'
    hint = suggestion(item.text, words) if isinstance(item.value, str) else ""
    return f"found {found_text(item)}, allowed: {allowed}" + (f'; did you mean "{hint}"?' if hint else "")


def _fields(model: type[BaseModel], way: Loc) -> list[str]:
    """Return the field names that are allowed where the last step of a way stands."""
    here: type[BaseModel] | None = model
    for step in way[:-1]:
        if isinstance(step, int) or here is None:
            continue
        here = next(
            (_model(field.annotation) for field in here.model_fields.values() if field.alias == step),
            None,
        )
    return [str(field.alias) for field in here.model_fields.values()] if here else []


def _model(annotation: Any) -> type[BaseModel] | None:
    """Return the model inside an annotation such as `list[Node]` or `Docker | None`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _model(part))), None)
