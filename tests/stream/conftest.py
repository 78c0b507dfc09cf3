"""A fresh instance for each test of the data plane."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.instance import Instance, fresh_instance

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def instance() -> Iterator[Instance]:
    with fresh_instance() as fresh:
        yield fresh
