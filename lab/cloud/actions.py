"""Actions: what takes time. A request starts one and the client asks until it is done."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextvars import ContextVar
from typing import Final

from lab.cloud.errors import ApiError
from lab.cloud.faults import Faults
from lab.cloud.store import Record, Store, now
from lab.hosts import HostError

__all__ = ["Actions"]

Work = Callable[[], Awaitable[None]]
_CURRENT: Final[ContextVar[Record]] = ContextVar("current action")


def _nothing() -> None:
    """Nothing remains to be done."""


class Actions:
    """Starts actions and keeps what came of them."""

    def __init__(self, store: Store, faults: Faults) -> None:
        self._store = store
        self._faults = faults
        self._tasks: set[asyncio.Task[None]] = set()

    def start(
        self,
        command: str,
        resources: Sequence[tuple[str, int]],
        work: Work | None = None,
        done: Callable[[], None] = _nothing,
    ) -> Record:
        """Begin an action; without `work` it has succeeded already. `done` runs at its end in any case."""
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
        task = asyncio.create_task(self._run(action, work, done))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return dict(action)

    async def advance(self, progress: int) -> None:
        """Say of the action under way that it is done so far, in percent."""
        action = _CURRENT.get()
        action["progress"] = progress
        self._store.save()
        await self._faults.slow()

    async def _run(self, action: Record, work: Work, done: Callable[[], None]) -> None:
        _CURRENT.set(action)
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
        with self._store.batch():
            done()
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
