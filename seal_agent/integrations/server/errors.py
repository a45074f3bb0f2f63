"""Errors in OpenAI's form, and which of our own errors is which."""

from __future__ import annotations

import json
from typing import Any

from starlette.responses import Response

from seal_agent.errors import AdapterError, EngineError, InputError, SealError, StoreError

_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    405: "invalid_request_error",
    408: "timeout_error",
    409: "conflict_error",
    413: "invalid_request_error",
    415: "invalid_request_error",
    429: "rate_limit_error",
    500: "server_error",
    503: "service_unavailable_error",
}


class ApiError(Exception):
    """An answer with a status other than 200; `retry_after` in seconds, where it is worth trying again."""

    def __init__(
        self, status: int, message: str, *, code: str | None = None, param: str | None = None, retry_after: int = 0
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.code, self.param, self.retry_after = status, message, code, param, retry_after

    @property
    def body(self) -> dict[str, Any]:
        """OpenAI's error object."""
        kind = _TYPES.get(self.status, "server_error" if self.status >= 500 else "invalid_request_error")
        return {"error": {"message": self.message, "type": kind, "param": self.param, "code": self.code}}

    def response(self) -> Response:
        headers = {"retry-after": str(self.retry_after)} if self.retry_after else {}
        if self.status == 401:
            headers["www-authenticate"] = "Bearer"
        return json_response(self.body, self.status, headers)


def json_response(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """JSON in ASCII: half characters, which a client may send, can be echoed."""
    return Response(dumps(body), status, headers, "application/json")


def dumps(body: Any) -> str:
    """JSON in ASCII, without the numbers that JSON does not have."""
    return json.dumps(body, ensure_ascii=True, allow_nan=False)


def api_error(error: Exception) -> ApiError:
    """The answer to an error that was raised while a request was worked on."""
    if isinstance(error, ApiError):
        return error
    if isinstance(error, AdapterError):
        return ApiError(404, str(error), code="not_found")
    if isinstance(error, InputError):
        too_long = "the model's window is" in str(error)
        return ApiError(400, str(error), code="context_length_exceeded" if too_long else None)
    if isinstance(error, EngineError | StoreError):
        return ApiError(503, str(error), retry_after=5)
    if isinstance(error, SealError):
        return ApiError(500, str(error))
    return ApiError(500, "the server failed to answer; its log says why")
