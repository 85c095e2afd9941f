"""What every request passes first: whose is it, is the path known, is the limit kept, is the token right."""

import hmac
import os
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Final
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Match

from lab.cloud.errors import ApiError
from lab.cloud.faults import Faults
from lab.cloud.peers import allowed_users, name_of, owner

__all__ = ["REQUESTS", "Guard"]

REQUESTS: Final = 3600  # at once, refilled by one a second: the documented limit of a project


class Guard:
    """Refuses requests, tells how many are left, and logs each: its method, path and status alone."""

    def __init__(
        self, *, routes: Sequence[BaseRoute], faults: Faults, token: str, access_log: Path, requests: int
    ) -> None:
        self._routes = routes
        self._faults = faults
        self._expected = f"Bearer {token}"
        self._log = access_log
        self._most = requests
        self._left = float(requests)
        self._counted = time.monotonic()
        self._users = allowed_users(os.environ)

    async def dispatch(
        self, request: Request, following: Callable[[Request], Awaitable[Response]]
    ) -> Response:
        """Answer a request, or hand it on."""
        self._refill()
        refusal = self._refusal(request)
        response = (
            JSONResponse(refusal.body(), status_code=refusal.status) if refusal else await following(request)
        )
        response.headers["RateLimit-Limit"] = str(self._most)
        response.headers["RateLimit-Remaining"] = str(int(self._left))
        response.headers["RateLimit-Reset"] = str(int(time.time() + self._most - self._left))
        with self._log.open("a") as log:
            log.write(f"{request.method} {quote(request.url.path)} {response.status_code}\n")
        return response

    def _refusal(self, request: Request) -> ApiError | None:
        if not self._is_allowed(request):
            users = " and ".join(name_of(user) for user in sorted(self._users))
            return ApiError(
                "forbidden",
                f"this lab answers only {users}, because every user of the lab is root on this machine",
            )
        if not any(route.matches(request.scope)[0] is not Match.NONE for route in self._routes):
            return ApiError("not_found", "there is no such path")
        if self._left < 1:
            return ApiError("rate_limit_exceeded", f"limit of {self._most} requests per hour reached")
        self._left -= 1
        authorization = request.headers.get("Authorization")
        if authorization is None:
            return ApiError("unauthorized", "token is required")
        if not hmac.compare_digest(authorization.encode(), self._expected.encode()):
            return ApiError("unauthorized", "the token you have provided is invalid")
        return self._faults.refusal()

    def _is_allowed(self, request: Request) -> bool:
        """Whether the request comes from a socket of a user who may use this lab.

        The token is no secret, and a server's user data runs as root.
        """
        client, server = request.client, request.scope.get("server")
        return client is not None and server is not None and owner((*client,), (*server,)) in self._users

    def _refill(self) -> None:
        moment = time.monotonic()
        self._left = min(float(self._most), self._left + moment - self._counted)
        self._counted = moment
