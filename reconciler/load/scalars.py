"""What a YAML scalar stands for: text, number, boolean or null, and nothing that JSON could not hold.

Source: YAML 1.2.2, section 10.3.2 (core schema, tag resolution).
"""

from __future__ import annotations

import math
import re

_PREFIX = "tag:yaml.org,2002:"
_NULL = re.compile(r"|~|null|Null|NULL")
_BOOL = re.compile(r"(?P<true>true|True|TRUE)|false|False|FALSE")
_INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_MAX_DIGITS = 100
_PAIR = re.compile(r"([\ud800-\udbff])([\udc00-\udfff])")
_HALF = re.compile(r"[\ud800-\udfff]")


class BadScalarError(ValueError):
    """A scalar that stands for nothing a manifest can hold."""


def scalar(text: str, *, quoted: bool, tag: str | None) -> bool | float | str | None:
    """Return what a scalar stands for.

    Raises:
        BadScalarError: for a tag we don't know, or a value that JSON can't hold.
    """
    _clean(text)
    kind = (tag or "").replace("!!", _PREFIX, 1) if (tag or "").startswith("!!") else tag
    if kind in ("!", f"{_PREFIX}str"):
        return text
    if kind is None:
        return text if quoted else _plain(text)
    value = _plain(text) if kind.startswith(_PREFIX) else text
    named = {"int": int, "float": (int, float), "bool": bool, "null": type(None)}.get(kind.removeprefix(_PREFIX))
    if named is None or not kind.startswith(_PREFIX):
        msg = f"the tag {shown_tag(kind)} is not supported"
        raise BadScalarError(msg)
    if not isinstance(value, named):  # type: ignore[arg-type]
        msg = f'found "{_cut(text)}", which the tag {shown_tag(kind)} does not fit'
        raise BadScalarError(msg)
    return value


def shown_tag(tag: str) -> str:
    """Return a tag as people write it."""
    return tag.replace(_PREFIX, "!!", 1)


def _plain(text: str) -> bool | float | str | None:
    if _NULL.fullmatch(text):
        return None
    boolean = _BOOL.fullmatch(text)
    if boolean:
        return boolean["true"] is not None
    if _NOT_FINITE.fullmatch(text):
        msg = f"found {text}, which is no finite number; write it in quotes if text is meant"
        raise BadScalarError(msg)
    if _FLOAT.fullmatch(text) or _INT.fullmatch(text):
        return _number(text)
    return text


def _number(text: str) -> float:
    if len(text) > _MAX_DIGITS:
        msg = f"a number of more than {_MAX_DIGITS} digits; write it in quotes if text is meant"
        raise BadScalarError(msg)
    if text.startswith(("0o", "0x")):
        return int(text, 0)
    if _INT.fullmatch(text):
        return int(text)
    number = float(text)
    if math.isinf(number):
        msg = f"found {_cut(text)}, which is too large a number"
        raise BadScalarError(msg)
    return number


def joined(text: str) -> str:
    """Return text in which surrogate pairs are characters: JSON writes some as two escapes, which YAML leaves apart."""
    return _PAIR.sub(lambda pair: pair[0].encode("utf-16-le", "surrogatepass").decode("utf-16-le"), text)


def _clean(text: str) -> None:
    if "\0" in text:
        msg = "text holds a NUL character (U+0000)"
        raise BadScalarError(msg)
    if _HALF.search(text):
        msg = "text holds half a surrogate pair, which is no character"
        raise BadScalarError(msg)


def _cut(text: str, limit: int = 40) -> str:
    return text if len(text) <= limit else f"{text[: limit - 3]}..."
