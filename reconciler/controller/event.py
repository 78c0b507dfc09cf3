"""What the controller says: to the console as it happens, and to the journal."""

from __future__ import annotations

from typing import Literal

from reconciler.contract.values import dataclass


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened. `at_s` is seconds since the epoch; `kind` is Normal or Warning, as in Kubernetes."""

    at_s: float
    kind: Literal["Normal", "Warning"]
    object: str
    reason: str
    message: str
