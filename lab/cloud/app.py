"""The HTTP server: routes, and errors in the official shape."""

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
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
from starlette.routing import Route

from lab.cloud import (
    catalog,
    firewalls,
    networks,
    placement_groups,
    primary_ips,
    server_actions,
    servers,
    ssh_keys,
)
from lab.cloud.errors import ApiError, invalid
from lab.cloud.guard import Guard
from lab.cloud.listing import links, page
from lab.cloud.state import Cloud
from lab.hosts import HostError

__all__ = ["application"]


@dataclass(frozen=True, kw_only=True)
class _Resource:
    """One kind of resource: its collection, the module that knows it, its actions and filters."""

    collection: str
    module: ModuleType
    actions: Mapping[str, Callable[[Cloud, Any, Any], Awaitable[dict[str, Any]]]]
    filters: tuple[str, ...] = ("name",)
    sorts: tuple[str, ...] = ("id", "name", "created")

    @property
    def singular(self) -> str:
        return self.collection.removesuffix("s")


_RESOURCES: Final = (
    _Resource(
        collection="ssh_keys",
        module=ssh_keys,
        actions={},
        filters=("name", "fingerprint"),
        sorts=("id", "name"),
    ),
    _Resource(collection="placement_groups", module=placement_groups, actions={}, filters=("name", "type")),
    _Resource(
        collection="primary_ips",
        module=primary_ips,
        actions=primary_ips.ACTIONS,
        filters=("name", "ip"),
        sorts=("id", "created"),
    ),
    _Resource(collection="firewalls", module=firewalls, actions=firewalls.ACTIONS),
    _Resource(collection="networks", module=networks, actions=networks.ACTIONS),
    _Resource(
        collection="servers", module=servers, actions=server_actions.ACTIONS, filters=("name", "status")
    ),
)
_CATALOG: Final = (
    ("locations", "location", catalog.LOCATIONS, ("name",)),
    ("server_types", "server_type", catalog.SERVER_TYPES, ("name",)),
    ("images", "image", catalog.IMAGES, ("name", "type", "architecture", "status")),
)


class _Answer(JSONResponse):
    """JSON in ASCII, as a request may hold text that UTF-8 has no bytes for, and a refusal may repeat it."""

    def render(self, content: Any) -> bytes:
        return json.dumps(content).encode()


def application(cloud: Cloud, token: str, access_log: Path, requests: int) -> Starlette:
    """Return the API under /v1, for whoever has the token, so many requests at once."""
    routes = [route for resource in _RESOURCES for route in _resource_routes(cloud, resource)]
    routes += [route for entry in _CATALOG for route in _catalog_routes(cloud, *entry)]
    routes += [
        Route("/actions", _actions_list(cloud, None)),
        Route("/actions/{id:int}", _action_get(cloud, None)),
    ]
    routes = [
        Route(f"/v1{route.path}", route.endpoint, methods=list(route.methods or ())) for route in routes
    ]
    guard = Guard(routes=routes, faults=cloud.faults, token=token, access_log=access_log, requests=requests)
    return Starlette(
        routes=routes,
        middleware=[Middleware(BaseHTTPMiddleware, dispatch=guard.dispatch)],
        exception_handlers={
            ApiError: _refuse,
            HTTPException: _refuse_http,
            HostError: _fail,
            Exception: _fail,
        },
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
    except (ValueError, RecursionError):
        raise ApiError("json_error", "the request's body is not valid JSON") from None


def _list(cloud: Cloud, resource: _Resource) -> Callable[[Request], Awaitable[Response]]:
    async def handle(request: Request) -> Response:
        await servers.refresh(cloud)
        shown = [resource.module.view(cloud, record) for record in cloud.store.all(resource.collection)]
        return _page(request, resource.collection, shown, filters=resource.filters, sorts=resource.sorts)

    return handle


def _page(request: Request, name: str, shown: Sequence[Mapping[str, Any]], **words: Any) -> Response:
    content = page(name, shown, request.query_params, **words)
    link = links(request.url, content["meta"]["pagination"])
    return _Answer(content, headers={"Link": link} if link else None)


def _get(cloud: Cloud, resource: _Resource) -> Callable[[Request], Awaitable[Response]]:
    async def handle(request: Request) -> Response:
        await servers.refresh(cloud)
        record = cloud.store.get(resource.collection, request.path_params["id"])
        return _Answer({resource.singular: resource.module.view(cloud, record)})

    return handle


def _create(cloud: Cloud, resource: _Resource) -> Callable[[Request], Awaitable[Response]]:
    async def handle(request: Request) -> Response:
        body = await _body(request)
        await servers.refresh(cloud)
        with cloud.store.batch():
            answer = resource.module.create(cloud, body)
        return _Answer(answer, status_code=201)

    return handle


def _update(cloud: Cloud, resource: _Resource) -> Callable[[Request], Awaitable[Response]]:
    async def handle(request: Request) -> Response:
        body = await _body(request)
        record = cloud.store.get(resource.collection, request.path_params["id"])
        await resource.module.update(cloud, record, body)
        return _Answer({resource.singular: resource.module.view(cloud, record)})

    return handle


def _delete(cloud: Cloud, resource: _Resource) -> Callable[[Request], Awaitable[Response]]:
    async def handle(request: Request) -> Response:
        record = cloud.store.get(resource.collection, request.path_params["id"])
        answer = await resource.module.delete(cloud, record)
        return Response(status_code=204) if answer is None else _Answer(answer)

    return handle


def _act(cloud: Cloud, resource: _Resource) -> Callable[[Request], Awaitable[Response]]:
    async def handle(request: Request) -> Response:
        body = await _body(request)
        await servers.refresh(cloud)
        record = cloud.store.get(resource.collection, request.path_params["id"])
        command = resource.actions.get(request.path_params["command"])
        if command is None:
            raise ApiError("not_found", f"the lab does not know this action of a {resource.singular}")
        return _Answer(await command(cloud, record, body), status_code=201)

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
        wanted = request.query_params.getlist("id")
        if resource is None and not wanted:
            raise ApiError(
                "invalid_input", "listing all actions is not offered: name some with `id`", status=400
            )
        if not all(text.isascii() and text.isdigit() for text in wanted):
            raise invalid("id", "is not a number")
        sorts = ("id", "command", "status", "started", "finished")
        return _page(request, "actions", found, filters=("id", "status"), sorts=sorts)

    return handle


def _action_get(cloud: Cloud, resource: _Resource | None) -> Callable[[Request], Awaitable[Response]]:
    async def handle(request: Request) -> Response:
        number = request.path_params.get("action_id")
        owner = request.path_params["id"] if number is not None else None
        action = cloud.store.get("actions", number if number is not None else request.path_params["id"])
        if not _belongs(action, resource, owner):
            raise ApiError("not_found", f"action with ID '{action['id']}' not found")
        return _Answer({"action": action})

    return handle


def _catalog_routes(
    cloud: Cloud, collection: str, singular: str, items: list[dict[str, Any]], filters: tuple[str, ...]
) -> list[Route]:
    def found() -> list[dict[str, Any]]:
        return catalog.in_stock(items, cloud.faults.sold_out())

    async def listed(request: Request) -> Response:
        return _page(request, collection, found(), filters=filters, sorts=("id", "name", "created"))

    async def one(request: Request) -> Response:
        number = request.path_params["id"]
        for item in found():
            if item["id"] == number:
                return _Answer({singular: item})
        raise ApiError("not_found", f"{singular} with ID '{number}' not found")

    return [Route(f"/{collection}", listed), Route(f"/{collection}/{{id:int}}", one)]


async def _refuse(_request: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)
    return _Answer(error.body(), status_code=error.status)


async def _refuse_http(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code, "invalid_input")
    return _Answer(
        {"error": {"code": code, "message": str(error.detail), "details": None}},
        status_code=error.status_code,
    )


async def _fail(_request: Request, error: Exception) -> Response:
    message = str(error) if isinstance(error, HostError) else "the lab's cloud failed; see its cloud.log"
    return _Answer({"error": {"code": "server_error", "message": message, "details": None}}, status_code=500)
