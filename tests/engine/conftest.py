"""Engine tests run on a real engine or fail: they are never skipped."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.place import Place

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def place() -> Iterator[Place]:
    """An instance of one's own, from the manifests to shared memory, removed afterwards."""
    made = Place()
    try:
        yield made
    finally:
        made.close()
