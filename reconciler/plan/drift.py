"""The differences between desired and observed state, by name. A cause in a plan is one of these."""

from __future__ import annotations

BASE_MISSING = "base image is not on the engine"
IMAGE_MISSING = "environment image is missing"
SOURCE_MISSING = "source snapshot is missing"
ASSIGNMENTS_MISSING = "assignments are missing"
ASSIGNMENTS_DIFFER = "assignments differ"
CONTAINER_MISSING = "container is missing"
PROCESS_MISSING = "host process is missing"
NEVER_STARTED = "container was never started"
PAUSED = "container is paused"
ENDPOINTS_MISSING = "endpoints are missing"
ENDPOINTS_DIFFER = "endpoints differ"


def ended(exit_code: int | None) -> str:
    """Name the difference of a container that ended."""
    return "container ended" if exit_code is None else f"container ended with exit code {exit_code}"
