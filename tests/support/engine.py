"""A way to the real engine past our own door: the engine that the program itself would use."""

from __future__ import annotations

import docker
from docker.utils import kwargs_from_env


def client() -> docker.APIClient:
    """Return a client of the engine that the environment names; the caller closes it."""
    return docker.APIClient(version="auto", **kwargs_from_env())
