"""Actions: what takes time. A request starts one and the client asks until it is done."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from lab.cloud.errors import ApiError
from lab.cloud.faults import Faults
from lab.cloud.store import Record, Store, now
from lab.hosts import HostError

__all__ = ["Actions"]

Work = Callable[[], Awaitable[None]]


class Actions:
    """Starts actions and keeps what came of them."""

    def __init__(self, store: Store, faults: Faults) -> None:
        self._store = store
        self._faults = faults
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, command: str, resources: Sequence[tuple[str, int]], work: Work | None = None) -> Record:
        """Begin an action; without `work` it has succeeded already."""
        action = self._store.add(
            "actions",
            {
                "command": command,
                "status": "running",
                "started": now(),
                "finished": None,
                "progress": 0,
                "resources": [{"id": number, "type": kind} for kind, number in resources],
                "error": None,
            },
        )
        if work is None:
            self._finish(action, None)
            return dict(action)
        task = asyncio.create_task(self._run(action, work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return dict(action)

    async def _run(self, action: Record, work: Work) -> None:
        error: tuple[str, str] | None = None
        try:
            await self._faults.slow()
            self._faults.fail_action(action["command"])
            await work()
        except ApiError as refusal:
            error = (refusal.code, str(refusal))
        except HostError as failure:
            error = ("action_failed", str(failure))
        except asyncio.CancelledError:
            error = ("action_failed", "the cloud was stopped")
        self._finish(action, error)

    def _finish(self, action: Record, error: tuple[str, str] | None) -> None:
        action["status"] = "success" if error is None else "error"
        action["progress"] = 100
        action["finished"] = now()
        action["error"] = None if error is None else {"code": error[0], "message": error[1]}
        self._store.save()

    async def wait(self) -> None:
        """Wait for everything that is under way."""
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def after_restart(self) -> None:
        """What was under way when the cloud was killed has failed."""
        for action in self._store.all("actions"):
            if action["status"] == "running":
                self._finish(action, ("action_failed", "the cloud was stopped while this was under way"))


def view(action: Record) -> dict[str, Any]:
    """Return an action as the API shows it."""
    return dict(action)
