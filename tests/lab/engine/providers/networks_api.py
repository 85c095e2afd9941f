"""The part of Hetzner's API that is about private networks, in memory: answers as the document has them."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_network
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route


class NetworksApi:
    """Networks with subnets, and servers to attach to them; `refuse` makes the next calls fail."""

    def __init__(self) -> None:
        self.networks: dict[int, dict[str, Any]] = {}
        self.servers: dict[int, dict[str, Any]] = {7: {"id": 7, "name": "s", "private_net": []}}
        self.refuse: list[tuple[str, int]] = []
        self.calls: list[str] = []
        self.endpoint = ""

    def _action(self, command: str) -> JSONResponse:
        moment = "2026-01-01T00:00:00Z"
        action = {
            "id": 1, "command": command, "status": "success", "progress": 100, "error": None,
            "started": moment, "finished": moment, "resources": [],
        }  # fmt: skip
        return JSONResponse({"action": action})

    def _error(self, code: str, status: int) -> JSONResponse:
        return JSONResponse({"error": {"code": code, "message": f"it is {code}", "details": None}}, status)

    async def handle(self, request: Request) -> Response:
        path = request.url.path.removeprefix("/v1/")
        self.calls.append(f"{request.method} {path}")
        if self.refuse and request.method != "GET":
            code, status = self.refuse.pop(0)
            return self._error(code, status)
        if path == "actions/1":
            return self._action("done")
        body = await request.json() if request.method in {"POST", "PUT"} and await request.body() else {}
        parts = path.split("/")
        if parts[0] == "networks":
            return self._network(request.method, parts[1:], body)
        return self._server(request.method, parts[1:], body)

    def _network(self, method: str, parts: list[str], body: dict[str, Any]) -> Response:
        if not parts:
            number = len(self.networks) + 1
            self.networks[number] = {
                "id": number, "subnets": [], "routes": [], "servers": [], "protection": {"delete": False},
                "created": "2026-01-01T00:00:00Z", **body,
            }  # fmt: skip
            return JSONResponse({"network": self.networks[number]}, 201)
        network = self.networks.get(int(parts[0]))
        if network is None:
            return self._error("not_found", 404)
        if method == "DELETE":
            del self.networks[network["id"]]
            return Response(status_code=204)
        if method == "PUT":
            network |= body
        if len(parts) == 1:
            return JSONResponse({"network": network})
        command = parts[-1]
        if command == "add_subnet":
            gateway = str(ip_network(network["ip_range"])[1])
            network["subnets"].append({**body, "gateway": gateway, "vswitch_id": body.get("vswitch_id")})
        elif command == "delete_subnet":
            network["subnets"] = [s for s in network["subnets"] if s["ip_range"] != body["ip_range"]]
        elif command == "change_protection":
            network["protection"] = body
        return self._action(command)

    def _server(self, method: str, parts: list[str], body: dict[str, Any]) -> Response:
        server = self.servers.get(int(parts[0]))
        if server is None:
            return self._error("not_found", 404)
        if method == "GET":
            return JSONResponse({"server": server})
        command, number = parts[-1], body["network"]
        rest = [net for net in server["private_net"] if net["network"] != number]
        if command == "attach_to_network":
            if len(rest) != len(server["private_net"]):
                return self._error("server_already_attached", 422)
            within = body.get("ip_range") or self.networks[number]["subnets"][-1]["ip_range"]
            net = {"network": number, "ip": body.get("ip") or str(ip_network(within)[2]),
                   "alias_ips": body.get("alias_ips", []), "mac_address": "86:00:00:00:00:01"}  # fmt: skip
            server["private_net"] = [*rest, net]
        elif len(rest) == len(server["private_net"]):
            return self._error("not_found", 404)
        elif command == "detach_from_network":
            server["private_net"] = rest
        elif command == "change_alias_ips":
            server["private_net"][0]["alias_ips"] = body["alias_ips"]
        return self._action(command)


@contextmanager
def networks_api() -> Iterator[NetworksApi]:
    """Serve on loopback; yields the API."""
    api = NetworksApi()
    methods = ["GET", "POST", "PUT", "DELETE"]
    app = Starlette(routes=[Route("/{path:path}", api.handle, methods=methods)])
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="warning"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        thread.join(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    api.endpoint = f"http://127.0.0.1:{port}/v1"
    try:
        yield api
    finally:
        server.should_exit = True
        thread.join()
