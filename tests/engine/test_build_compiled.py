"""Python packages without a wheel: compiled beside the image, and explained where that fails (FR-013, EC-01, EC-08)."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

import pytest

from reconciler import engine as door
from reconciler.model.errors import BuildError
from tests.support.workshop import Workshop, tidied

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def shop() -> Iterator[Workshop]:
    """One for the module, since the compilers take longest and are there for all of it."""
    engine = door.connect()
    name = f"test-{secrets.token_hex(3)}"
    yield Workshop(engine, name, [])
    tidied(engine, name)
    engine.close()


def test_package_that_must_be_compiled_is_and_leaves_no_compiler(shop: Workshop) -> None:
    # There is no wheel of it for this Python, only C.
    wish = shop.wish("3.11", packages=("netifaces==0.11.0",))
    shop.build(wish)
    assert "apt-get install build-essential" in shop.steps()
    program = "import netifaces, shutil; print(netifaces.interfaces()[0], shutil.which('cc'), shutil.which('gcc'))"
    assert shop.run(wish, "python", "-c", program) == "lo None None"


def test_missing_header_is_named_with_the_package_that_has_it(shop: Workshop) -> None:
    with pytest.raises(BuildError) as caught:
        shop.build(shop.wish("3.11", packages=("pyaudio==0.2.14",)))
    message = str(caught.value)
    assert "compile iceoryx2==0.10.* numpy pyaudio==0.2.14 failed" in message
    assert "portaudio.h: No such file or directory" in message
    assert "add portaudio19-dev to systemDependencies" in message
    assert "apt-get install build-essential" not in shop.steps(), "the compilers were there already"
