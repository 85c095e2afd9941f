"""Refusals in the API's own shape and words (https://docs.hetzner.cloud, section Errors)."""

from collections.abc import Mapping
from typing import Any, Final

__all__ = ["ApiError", "CloudError", "invalid"]

# The statuses are the official document's where it names them, else the ones hcloud-go expects.
_STATUS: Final[Mapping[str, int]] = {
    "json_error": 400,
    "unauthorized": 401, "forbidden": 403, "protected": 403, "resource_limit_exceeded": 403,
    "not_found": 404, "method_not_allowed": 405, "conflict": 409, "uniqueness_error": 409,
    "resource_unavailable": 412, "primary_ip_version_mismatch": 412,
    "invalid_input": 422, "placement_error": 422, "placement_group_member_limit_reached": 422,
    "unsupported_error": 422, "resource_in_use": 422,
    "must_be_unassigned": 422, "primary_ip_assigned": 422, "primary_ip_already_assigned": 422,
    "primary_ip_datacenter_mismatch": 422, "server_not_stopped": 422, "server_has_ipv4": 422,
    "server_has_ipv6": 422, "already_in_placement_group": 422, "invalid_server_type": 422,
    "server_already_added": 422, "firewall_already_applied": 422, "firewall_managed_by_label_selector": 422,
    "private_net_only_server": 422, "server_already_attached": 422, "ip_not_available": 422,
    "no_subnet_available": 422, "networks_overlap": 422,
    "locked": 423, "rate_limit_exceeded": 429, "server_error": 500, "service_error": 503, "unavailable": 503,
}  # fmt: skip


class CloudError(Exception):
    """The cloud cannot be started or stopped; the message says why and what to do."""


class ApiError(Exception):
    """One refusal: the official code, a message, details where the API gives some, and the HTTP status."""

    def __init__(
        self, code: str, message: str, details: Mapping[str, Any] | None = None, *, status: int | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.status = status or _STATUS.get(code, 422)
        self.details = details

    def body(self) -> dict[str, Any]:
        """Return the answer's body."""
        details = None if self.details is None else dict(self.details)
        return {"error": {"code": self.code, "message": str(self), "details": details}}


def invalid(field: str, message: str) -> ApiError:
    """Return the refusal of one field of a request."""
    return ApiError(
        "invalid_input",
        f"invalid input in field '{field}': {message}",
        {"fields": [{"name": field, "messages": [message]}]},
    )
