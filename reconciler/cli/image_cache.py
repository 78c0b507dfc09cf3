"""Options that say how many environment images are kept; each also by environment variable."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from reconciler.contract import env

if TYPE_CHECKING:
    import argparse
    from argparse import Namespace

    from reconciler.model.desired import ImageCache

_UNITS = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40}


def add_options(target: argparse.ArgumentParser) -> None:
    """Add the options to a command."""
    group = target.add_argument_group("environment images that nobody needs now")
    group.add_argument("--max-images", type=int, metavar="N", help="remove the least recently used beyond N (50)")
    group.add_argument("--max-image-bytes", metavar="SIZE", help="or beyond what they hold, like 20Gi (any)")
    group.add_argument("--min-image-age", type=float, metavar="S", help="but none used within S seconds (3600)")


def cache_of(options: Namespace, default: ImageCache) -> ImageCache:
    """Return what options and environment say; what neither says is as in `default`.

    Raises:
        ValueError: if one is no number, or less than 0.
    """
    from reconciler.model.desired import ImageCache  # noqa: PLC0415 - most commands need none

    count = _number(options.max_images, env.MAX_IMAGES)
    size = _given(options.max_image_bytes, env.MAX_IMAGE_BYTES)
    age_s = _number(options.min_image_age, env.MIN_IMAGE_AGE)
    return ImageCache(
        max_count=default.max_count if count is None else int(count),
        max_bytes=default.max_bytes if size is None else _bytes(size),
        min_age_s=default.min_age_s if age_s is None else age_s,
    )


def is_given(options: Namespace) -> bool:
    """Whether options say anything."""
    return (options.max_images, options.max_image_bytes, options.min_image_age) != (None, None, None)


def _given(option: object, variable: str) -> str | None:
    return str(option) if option is not None else os.environ.get(variable) or None


def _number(option: float | None, variable: str) -> float | None:
    text = _given(option, variable)
    if text is None:
        return None
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not value >= 0:
        msg = f"{variable} (or its option) is {text!r}, and must be a number, 0 or more"
        raise ValueError(msg)
    return value


def _bytes(text: str) -> int:
    digits, unit = (text[:-2], _UNITS[text[-2:]]) if text[-2:] in _UNITS else (text, 0)
    if not digits.isdecimal():
        msg = f"{env.MAX_IMAGE_BYTES} (or its option) is {text!r}, and must be bytes, or like 512Mi or 20Gi"
        raise ValueError(msg)
    return int(digits) << unit
