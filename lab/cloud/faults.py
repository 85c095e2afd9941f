"""Faults on request, for tests: `faults.json` in the cloud's state folder says what goes wrong next.

{"create": "resource_unavailable"}   the next creation of a server is refused with this code
{"capacity": ["fsn1"]}               no server can be placed in these locations, until this is taken out
{"sold_out": {"cx33": ["fsn1"]}}     no server can become one of this type there, until this is taken out
{"action": "create_server"}          the next action of this name ends in an error
{"http": 503, "count": 3}            the next `count` requests get this status
{"slow": 2.0}                        every step of an action takes this many seconds longer
{"vanish": "web-1"}                  this server and its host are gone at the next request
"""

import asyncio
import json
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

from lab.cloud.errors import ApiError

__all__ = ["Faults"]

_CODES: Final = {429: "rate_limit_exceeded", 500: "server_error", 502: "bad_gateway", 504: "timeout"}


class Faults:
    """Reads the file anew each time; what has happened is taken out of it."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def _read(self) -> dict[str, Any]:
        try:
            value: dict[str, Any] = json.loads(self._path.read_text())
        except (FileNotFoundError, ValueError):  # not there, or not written whole yet
            return {}
        return value

    def _write(self, value: dict[str, Any]) -> None:
        fresh = self._path.with_suffix(".new")
        fresh.write_text(json.dumps(value))
        fresh.rename(self._path)

    def _take(self, name: str) -> Any:
        value = self._read()
        found = value.pop(name, None)
        if found is not None:
            self._write(value)
        return found

    def refuse_create(self, location: str) -> None:
        """Refuse the creation of a server, when asked for. Raises `ApiError`."""
        if location in self._read().get("capacity", ()):
            raise ApiError("resource_unavailable", f"error during placement: no capacity in {location}")
        code = self._take("create")
        if code is not None:
            raise ApiError(code, f"requested fault: {code}")

    def sold_out(self) -> Mapping[str, Sequence[str]]:
        """Return where which types are not to be had for now."""
        found: Mapping[str, Sequence[str]] = self._read().get("sold_out", {})
        return found

    def refuse_sold_out(self, kind: str, location: str) -> None:
        """Refuse a server of a type that is sold out there. Raises `ApiError`."""
        if location in self.sold_out().get(kind, ()):
            raise ApiError("resource_unavailable", f"server type {kind} is sold out in {location}")

    def fail_action(self, command: str) -> None:
        """Fail an action once, when asked for. Raises `ApiError`."""
        if self._read().get("action") == command:
            self._take("action")
            raise ApiError("server_error", f"requested fault: {command} failed")

    def refusal(self) -> ApiError | None:
        """Return what a request gets instead of its answer, if anything."""
        value = self._read()
        if "http" not in value:
            return None
        count, status = value.get("count", 1) - 1, int(value["http"])
        if count <= 0:
            value.pop("http")
            value.pop("count", None)
        else:
            value["count"] = count
        self._write(value)
        code = _CODES.get(status, "service_error")
        return ApiError(code, f"requested fault: {HTTPStatus(status).phrase}", status=status)

    def vanishing(self) -> str | None:
        """Return the name of the server that is to vanish, once."""
        name = self._take("vanish")
        return None if name is None else str(name)

    async def slow(self) -> None:
        """Take longer, when asked for."""
        await asyncio.sleep(float(self._read().get("slow", 0)))
