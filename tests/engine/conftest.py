"""Engine tests run on a real engine or fail: they are never skipped."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

import pytest

from reconciler import engine as door
from tests.support import drifting
from tests.support.engine import client as past_our_door
from tests.support.place import Place
from tests.support.workshop import tidied

if TYPE_CHECKING:
    from collections.abc import Iterator

    import docker

    from reconciler.engine.client import Engine


@pytest.fixture
def place() -> Iterator[Place]:
    """An instance of one's own, from the manifests to shared memory, removed afterwards."""
    made = Place()
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def client() -> Iterator[docker.APIClient]:
    """A way past our door to the real engine."""
    found = past_our_door()
    yield found
    found.close()


@pytest.fixture
def engine() -> Iterator[Engine]:
    """A door to the real engine."""
    found = door.connect()
    yield found
    found.close()


@pytest.fixture
def instance(engine: Engine) -> Iterator[str]:
    """An instance's name; what carries its label on the engine is removed afterwards."""
    name = f"test-{secrets.token_hex(3)}"
    yield name
    tidied(engine, name)


@pytest.fixture(params=["3.11"])
def base(request: pytest.FixtureRequest) -> str:
    """The reference of a base image that `hack/base-images` provides."""
    return f"python:{request.param}-slim"


@pytest.fixture
def world(place: Place, client: docker.APIClient) -> drifting.World:
    """One container under a controller."""
    return drifting.up(place, client, drifting.MANIFEST + drifting.DOCKER)


@pytest.fixture
def on_host(place: Place, client: docker.APIClient) -> drifting.World:
    """One host process under a controller."""
    return drifting.up(place, client, drifting.MANIFEST)
