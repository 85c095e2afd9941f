"""The program's process: started beside the engine's services, read, ended."""

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from lab.engine.deploy.request import DeployError, UpdateRequest
from lab.stacks import ORGANIZATION

__all__ = ["Program"]

_LAUNCHER: Final = Path(__file__).with_name("launcher.py")
_LINE_BYTES: Final = 16 << 20


class Program:
    """One run of a program."""

    def __init__(self, request: UpdateRequest, address: str, say: Callable[[str, str], None]) -> None:
        """`say` takes a severity and a line that the program has printed."""
        self._request = request
        self._address = address
        self._say = say
        self._process: asyncio.subprocess.Process | None = None
        self._readers: list[asyncio.Task[None]] = []

    def _python(self) -> str:
        virtualenv = self._request.project.virtualenv
        if virtualenv is None:
            return sys.executable
        python = virtualenv / "bin" / "python"
        if not python.exists():
            raise DeployError(f"Pulumi.yaml: virtualenv {virtualenv} has no bin/python; create it first")
        return str(python)

    async def start(self) -> None:
        """Start the process. Raises `DeployError`."""
        request = self._request
        main = request.project.main
        config = request.config
        environment = {
            **os.environ,
            "PULUMI_CONFIG": json.dumps(config.values),
            "PULUMI_CONFIG_SECRET_KEYS": json.dumps(sorted(config.secret_keys)),
            "PYTHONUNBUFFERED": "1",
        }
        # what opens the state is the engine's business, not the program's
        environment.pop("PULUMI_CONFIG_PASSPHRASE", None)
        self._process = await asyncio.create_subprocess_exec(
            self._python(), "-u", str(_LAUNCHER), str(os.getpid()),
            self._address, request.project.name, request.stack,
            ORGANIZATION, "true" if request.preview else "false", str(request.options.parallel),
            str(request.project.folder), str(main.resolve()),
            cwd=request.project.folder, env=environment, stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, limit=_LINE_BYTES,
            start_new_session=True,
        )  # fmt: skip
        self._readers = [
            asyncio.create_task(self._read(self._process.stdout, "info")),
            asyncio.create_task(self._read(self._process.stderr, "info#err")),
        ]

    async def _read(self, stream: asyncio.StreamReader | None, severity: str) -> None:
        assert stream is not None
        async for line in stream:
            self._say(severity, line.decode(errors="replace"))

    async def wait(self) -> int:
        """Wait for the end; returns the exit code."""
        assert self._process is not None
        code = await self._process.wait()
        await asyncio.gather(*self._readers)
        return code

    def interrupt(self) -> None:
        """Pass Ctrl-C on: on a terminal it reaches the program, too."""
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGINT)

    async def kill(self) -> None:
        """End the process and all it started."""
        if self._process is None:
            return
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            await self._process.wait()
        for reader in self._readers:
            reader.cancel()
        await asyncio.gather(*self._readers, return_exceptions=True)
