import requests

class DockerException(Exception): ...  # noqa: N818

class APIError(requests.exceptions.HTTPError, DockerException):
    explanation: str | None
    @property
    def status_code(self) -> int | None: ...
