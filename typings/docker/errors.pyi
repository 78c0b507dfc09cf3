import requests

class DockerException(Exception): ...  # noqa: N818

class APIError(requests.exceptions.HTTPError, DockerException):
    explanation: str | None
    @property
    def status_code(self) -> int | None: ...

def create_api_error_from_http_exception(e: requests.exceptions.HTTPError) -> APIError: ...
