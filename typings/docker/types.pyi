from collections.abc import Iterator
from typing import Any

import requests

class CancellableStream:
    def __init__(self, stream: Iterator[Any], response: requests.Response) -> None: ...
    def __iter__(self) -> Iterator[Any]: ...
    def __next__(self) -> Any: ...
    def close(self) -> None: ...

class Mount(dict[str, Any]):
    def __init__(self, target: str, source: str, type: str = ..., read_only: bool = ..., labels: dict[str, str] | None = ...) -> None: ...  # noqa: A002

class LogConfig(dict[str, Any]):
    def __init__(self, *, type: str, config: dict[str, str]) -> None: ...  # noqa: A002

class DeviceRequest(dict[str, Any]):
    def __init__(
        self, *, count: int = ..., device_ids: list[str] = ..., capabilities: list[list[str]]
    ) -> None: ...

class Ulimit(dict[str, Any]):
    def __init__(self, *, name: str, soft: int, hard: int) -> None: ...
