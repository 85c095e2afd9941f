"""The HTTP server: routes, tokens, limits, errors in the official shape."""

import json
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route

from lab.cloud import catalog, firewalls, placement_groups, primary_ips, server_actions, servers, ssh_keys
from lab.cloud.errors import ApiError
from lab.cloud.listing import page
from lab.cloud.state import Cloud

__all__ = ["application"]

_LIMIT: Final = 3600  # requests an hour, refilled by one a second: the documented limit of a project
_WRITING: Final = {"POST", "PUT", "DELETE"}


@dataclass(frozen=True, kw_only=True)
class _Resource:
    """One kind of resource: its collection, the module that knows it, its actions and filters."""

    collection: str
    module: ModuleType
    actions: Mapping[str, Callable[[Cloud, Any, Any], Awaitable[dict[str, Any]]]]
    filters: tuple[str, ...] = ("name",)

    @property
    def singular(self) -> str:
        return self.collection.removesuffix("s")


_RESOURCES: Final = (
    _Resource(collection="ssh_keys", module=ssh_keys, actions={}, filters=("name", "fingerprint")),
    _Resource(collection="placement_groups", module=placement_groups, actions={}, filters=("name", "type")),
    _Resource(
        collection="primary_ips", module=primary_ips, actions=primary_ips.ACTIONS, filters=("name", "ip")
    ),
    _Resource(collection="firewalls", module=firewalls, actions=firewalls.ACTIONS),
    _Resource(
        collection="servers", module=servers, actions=server_actions.ACTIONS, filters=("name", "status")
    ),
)
_CATALOG: Final = (
    ("locations", "location", catalog.LOCATIONS, ("name",)),
    ("server_types", "server_type", catalog.SERVER_TYPES, ("name",)),
    ("images", "image", catalog.IMAGES, ("name", "type", "architecture", "status")),
)


def application(cloud: Cloud, token: str, access_log: Path) -> Starlette:
    """Return the API under /v1."""
    routes = [route for resource in _RESOURCES for route in _resource_routes(cloud, resource)]
    routes += [route for entry in _CATALOG for route in _catalog_routes(*entry)]
    routes += [
        Route("/actions", _actions_list(cloud, None)),
        Route("/actions/{id:int}", _action_get(cloud, None)),
    ]
    guard = _Guard(cloud, token, access_log)
    return Starlette(
        routes=[Mount("/v1", routes=routes)],
        middleware=[Middleware(BaseHTTPMiddleware, dispatch=guard.dispatch)],
        exception_handlers={ApiError: _refuse, HTTPException: _refuse_http},
    )


def _resource_routes(cloud: Cloud, resource: _Resource) -> list[Route]:
    base, one = f"/{resource.collection}", f"/{resource.collection}/{{id:int}}"
    routes = [
        Route(base, _list(cloud, resource), methods=["GET"]),
        Route(base, _create(cloud, resource), methods=["POST"]),
        Route(one, _get(cloud, resource), methods=["GET"]),
        Route(one, _update(cloud, resource), methods=["PUT"]),
        Route(one, _delete(cloud, resource), methods=["DELETE"]),
    ]
    if resource.actions:
        routes += [
            Route(f"{base}/actions", _actions_list(cloud, resource), methods=["GET"]),
            Route(f"{base}/actions/{{id:int}}", _action_get(cloud, resource), methods=["GET"]),
            Route(f"{one}/actions", _actions_list(cloud, resource), methods=["GET"]),
            Route(f"{one}/actions/{{action_id:int}}", _action_get(cloud, resource), methods=["GET"]),
            Route(f"{one}/actions/{{command}}", _act(cloud, resource), methods=["POST"]),
        ]
    return routes


async def _body(request: Request) -> Any:
    raw = await request.body()
    if not raw:
        return {}
    try:
        return json.loads(raw)
    except ValueError:
        raise ApiError("json_error", "the request's body is not valid JSON") from None


def _list(cloud: Cloud, resource: _Resource) -> Callable[[Request], Awaitable[Response]]:
    async def handle(request: Request) -> Response:
        shown = [resource.module.view(cloud, record) for record in cloud.store.all(resource.collection)]
        return JSONResponse(page(resource.collection, shown, request.query_params, filters=resource.filters))

    return handle


def _get(cloud: Cloud, resource: _Resource) -> Callable[[Request], Awaitable[Response]]:
    async def handle(request: Request) -> Response:
        record = cloud.store.get(resource.collection, request.path_params["id"])
        return JSONResponse({resource.singular: resource.module.view(cloud, record)})

    return handle


def _create(cloud: Cloud, resource: _Resource) -> Callable[[Request], Awaitable[Response]]:
    async def handle(request: Request) -> Response:
        return JSONResponse(resource.module.create(cloud, await _body(request)), status_code=201)

    return handle


def _update(cloud: Cloud, resource: _Resource) -> Callable[[Request], Awaitable[Response]]:
    async def handle(request: Request) -> Response:
        record = cloud.store.get(resource.collection, request.path_params["id"])
        resource.module.update(cloud, record, await _body(request))
        return JSONResponse({resource.singular: resource.module.view(cloud, record)})

    return handle


def _delete(cloud: Cloud, resource: _Resource) -> Callable[[Request], Awaitable[Response]]:
    async def handle(request: Request) -> Response:
        record = cloud.store.get(resource.collection, request.path_params["id"])
        answer = await resource.module.delete(cloud, record)
        return Response(status_code=204) if answer is None else JSONResponse(answer)

    return handle


def _act(cloud: Cloud, resource: _Resource) -> Callable[[Request], Awaitable[Response]]:
    async def handle(request: Request) -> Response:
        record = cloud.store.get(resource.collection, request.path_params["id"])
        command = resource.actions.get(request.path_params["command"])
        if command is None:
            raise ApiError("not_found", f"the lab does not know this action of a {resource.singular}")
        return JSONResponse(await command(cloud, record, await _body(request)), status_code=201)

    return handle


def _belongs(action: Mapping[str, Any], resource: _Resource | None, number: int | None) -> bool:
    return resource is None or any(
        target["type"] == resource.singular and number in {None, target["id"]}
        for target in action["resources"]
    )


def _actions_list(cloud: Cloud, resource: _Resource | None) -> Callable[[Request], Awaitable[Response]]:
    async def handle(request: Request) -> Response:
        number = request.path_params.get("id")
        if resource is not None and number is not None:
            cloud.store.get(resource.collection, number)
        found = [action for action in cloud.store.all("actions") if _belongs(action, resource, number)]
        sorts = ("id", "command", "status", "progress", "started", "finished")
        return JSONResponse(
            page("actions", found, request.query_params, filters=("id", "status", "command"), sorts=sorts)
        )

    return handle


def _action_get(cloud: Cloud, resource: _Resource | None) -> Callable[[Request], Awaitable[Response]]:
    async def handle(request: Request) -> Response:
        number = request.path_params.get("action_id")
        owner = request.path_params["id"] if number is not None else None
        action = cloud.store.get("actions", number if number is not None else request.path_params["id"])
        if not _belongs(action, resource, owner):
            raise ApiError("not_found", f"action with ID '{action['id']}' not found")
        return JSONResponse({"action": action})

    return handle


def _catalog_routes(
    collection: str, singular: str, items: list[dict[str, Any]], filters: tuple[str, ...]
) -> list[Route]:
    async def listed(request: Request) -> Response:
        return JSONResponse(
            page(collection, items, request.query_params, filters=filters, sorts=("id", "name"))
        )

    async def one(request: Request) -> Response:
        number = request.path_params["id"]
        for item in items:
            if item["id"] == number:
                return JSONResponse({singular: item})
        raise ApiError("not_found", f"{singular} with ID '{number}' not found")

    return [Route(f"/{collection}", listed), Route(f"/{collection}/{{id:int}}", one)]


async def _refuse(_request: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)
    return JSONResponse(error.body(), status_code=error.status)


async def _refuse_http(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code = "not_found" if error.status_code in {404, 405} else "invalid_input"
    return JSONResponse(
        {"error": {"code": code, "message": str(error.detail), "details": None}},
        status_code=error.status_code,
    )


class _Guard:
    """Looks at every request first: is the path known, is the token right, is the limit kept."""

    def __init__(self, cloud: Cloud, token: str, access_log: Path) -> None:
        self._cloud = cloud
        self._expected = f"Bearer {token}"
        self._log = access_log
        self._left = float(_LIMIT)
        self._counted = time.monotonic()

    async def dispatch(
        self, request: Request, following: Callable[[Request], Awaitable[Response]]
    ) -> Response:
        refusal = self._refusal(request)
        response = (
            JSONResponse(refusal.body(), status_code=refusal.status) if refusal else await following(request)
        )
        response.headers["RateLimit-Limit"] = str(_LIMIT)
        response.headers["RateLimit-Remaining"] = str(int(self._left))
        response.headers["RateLimit-Reset"] = str(int(time.time() + _LIMIT - self._left))
        with self._log.open("a") as log:
            log.write(f"{request.method} {request.url.path} {response.status_code}\n")
        return response

    def _refusal(self, request: Request) -> ApiError | None:
        self._refill()
        authorization = request.headers.get("Authorization")
        if authorization is None:
            return ApiError("unauthorized", "token is required")
        if authorization != self._expected:
            return ApiError("unauthorized", "the token you have provided is invalid")
        if self._left < 1:
            return ApiError("rate_limit_exceeded", f"limit of {_LIMIT} requests per hour reached")
        self._left -= 1
        status = self._cloud.faults.status()
        if status is not None:
            fault = ApiError("service_error", "requested fault")
            fault.status = status
            return fault
        return None

    def _refill(self) -> None:
        moment = time.monotonic()
        self._left = min(float(_LIMIT), self._left + moment - self._counted)
        self._counted = moment
