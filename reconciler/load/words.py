"""Words that messages share: what was found, what may stand there instead, and text cut to one line."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from reconciler.load.tree import Item

_MAX_SHOWN = 60


def suggestion(found: str, allowed: Iterable[str]) -> str:
    """Return the allowed word that was probably meant, or nothing."""
    import difflib  # noqa: PLC0415 - only what is wrong needs it

    by_form = {_form(word): word for word in allowed}
    close = difflib.get_close_matches(_form(found), by_form, n=1, cutoff=0.7)
    return by_form[close[0]] if close else ""


def instead(found: str, allowed: Iterable[str], *, of: str = "allowed") -> str:
    """Say what may stand there instead of a word that is not known."""
    words = list(allowed)
    hint = suggestion(found, words)
    if hint:
        return f'did you mean "{hint}"?'
    return f"{of}: {', '.join(words)}" if words else f"{of}: nothing"


def found_text(item: Item) -> str:
    """Say what stands there."""
    match item.value:
        case None:
            return "nothing"
        case bool():
            return item.text
        case str(text):
            return f'"{cut(text)}"' if text else "empty text"
        case int() | float():
            return f"the number {cut(item.text)}"
        case dict():
            return "a mapping"
        case _:
            return "a list" if item.value else "an empty list"


def cut(text: str, limit: int = _MAX_SHOWN) -> str:
    """Shorten text for a message, and keep it on one line."""
    line = " ".join(text.split()) if any(letter in text for letter in "\n\r\t") else text
    line = "".join(letter if letter.isprintable() else "?" for letter in line)
    return line if len(line) <= limit else f"{line[: limit - 3]}..."


def _form(word: str) -> str:
    return word.lower().replace("_", "").replace("-", "")
