from typing import Any

from docker.utils import ports as ports

def kwargs_from_env() -> dict[str, Any]: ...
