"""Refusals in the API's own shape and words (https://docs.hetzner.cloud, section Errors)."""

from collections.abc import Mapping
from typing import Any, Final

__all__ = ["ApiError", "CloudError"]

_STATUS: Final[Mapping[str, int]] = {
    "unauthorized": 401, "token_readonly": 403, "forbidden": 403, "protected": 403,
    "resource_limit_exceeded": 403, "not_found": 404, "conflict": 409, "uniqueness_error": 409,
    "must_be_unassigned": 409, "locked": 423, "invalid_input": 422, "json_error": 400,
    "resource_unavailable": 422, "placement_error": 422, "unsupported_error": 422, "resource_in_use": 422,
    "primary_ip_already_assigned": 422, "server_not_stopped": 422, "server_has_ipv4": 422,
    "rate_limit_exceeded": 429, "server_error": 500, "service_error": 503, "unavailable": 503,
}  # fmt: skip


class CloudError(Exception):
    """The cloud cannot be started or stopped; the message says why and what to do."""


class ApiError(Exception):
    """One refusal: the official code, a message, and details where the API gives some."""

    def __init__(self, code: str, message: str, details: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.status = _STATUS[code]
        self.details = details

    def body(self) -> dict[str, Any]:
        """Return the answer's body."""
        details = None if self.details is None else dict(self.details)
        return {"error": {"code": self.code, "message": str(self), "details": details}}


def invalid(field: str, message: str) -> ApiError:
    """Return the refusal of one field of a request."""
    return ApiError(
        "invalid_input",
        f"invalid input in field '{field}'",
        {"fields": [{"name": field, "messages": [message]}]},
    )
