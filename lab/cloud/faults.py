"""Faults on request, for tests: `faults.json` in the cloud's state folder says what goes wrong next.

{"create": "resource_unavailable"}   the next creation of a server is refused with this code
{"action": "create_server"}          the next action of this name ends in an error
{"http": 503, "count": 3}            the next `count` requests get this status
{"slow": 2.0}                        every action takes this many seconds longer
"""

import asyncio
import json
from pathlib import Path
from typing import Any

from lab.cloud.errors import ApiError

__all__ = ["Faults"]


class Faults:
    """Reads the file anew each time; what has happened is taken out of it."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def _read(self) -> dict[str, Any]:
        try:
            value: dict[str, Any] = json.loads(self._path.read_text())
        except FileNotFoundError:
            return {}
        return value

    def _write(self, value: dict[str, Any]) -> None:
        self._path.write_text(json.dumps(value))

    def refuse_create(self) -> None:
        """Refuse the creation of a server once, when asked for. Raises `ApiError`."""
        value = self._read()
        code = value.pop("create", None)
        if code is not None:
            self._write(value)
            raise ApiError(code, f"requested fault: {code}")

    def fail_action(self, command: str) -> None:
        """Fail an action once, when asked for. Raises `ApiError`."""
        value = self._read()
        if value.get("action") == command:
            del value["action"]
            self._write(value)
            raise ApiError("server_error", f"requested fault: {command} failed")

    def status(self) -> int | None:
        """Return the HTTP status a request gets instead of its answer, if any."""
        value = self._read()
        if "http" not in value:
            return None
        count = value.get("count", 1) - 1
        status = int(value["http"])
        if count <= 0:
            value.pop("http")
            value.pop("count", None)
        else:
            value["count"] = count
        self._write(value)
        return status

    async def slow(self) -> None:
        """Take longer, when asked for."""
        await asyncio.sleep(float(self._read().get("slow", 0)))
