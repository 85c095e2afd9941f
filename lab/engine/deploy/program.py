"""The program's process: told what to run, read, ended."""

import asyncio
import contextlib
import json
import os
import signal
from collections.abc import Callable
from typing import IO, TYPE_CHECKING, Final

from lab.engine.deploy.request import DeployError, UpdateRequest
from lab.engine.launch import launched
from lab.engine.project import ProjectError
from lab.stacks import ORGANIZATION

if TYPE_CHECKING:
    import subprocess

__all__ = ["EXIT_SAID", "Program"]

EXIT_SAID: Final = 32
"""The exit code of a program that has told the user why it failed (pulumi-language-python-exec)."""
_LINE_BYTES: Final = 16 << 20


class Program:
    """One run of a program."""

    def __init__(self, request: UpdateRequest, address: str, say: Callable[[str, str], None]) -> None:
        """`say` takes a severity and a line that the program has printed."""
        self._request = request
        self._address = address
        self._say = say
        self._process: subprocess.Popen[bytes] | None = None
        self._readers: list[asyncio.Task[None]] = []
        self._pipes: list[asyncio.ReadTransport] = []

    async def start(self) -> None:
        """Tell a process what to run. Raises `DeployError`."""
        try:
            process = self._process = launched(self._request.project)
        except ProjectError as error:
            raise DeployError(str(error)) from error
        assert process.stdin is not None
        self._readers = [
            asyncio.create_task(self._read(process.stdout, "info")),
            asyncio.create_task(self._read(process.stderr, "info#err")),
        ]
        with contextlib.suppress(BrokenPipeError), process.stdin as pipe:  # if it has ended, its code says so
            await asyncio.to_thread(pipe.write, self._told())

    def _told(self) -> bytes:
        request = self._request
        config, project = request.config, request.project
        told = {
            "address": self._address, "project": project.name, "stack": request.stack,
            "organization": ORGANIZATION, "preview": request.preview,
            "parallel": request.options.parallel, "root": str(project.folder),
            "program": str(project.main.resolve()), "exit_said": EXIT_SAID,
            "environment": {
                "PULUMI_CONFIG": json.dumps(config.values),
                "PULUMI_CONFIG_SECRET_KEYS": json.dumps(sorted(config.secret_keys)),
                # Pulumi's own launcher has it among its arguments
                "LAB_ENGINE": self._address,
            },
        }  # fmt: skip
        return f"{json.dumps(told)}\n".encode()

    async def _read(self, pipe: IO[bytes] | None, severity: str) -> None:
        assert pipe is not None
        stream = asyncio.StreamReader(limit=_LINE_BYTES)
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(stream), pipe
        )
        self._pipes.append(transport)
        async for line in stream:
            self._say(severity, line.decode(errors="replace"))

    async def wait(self) -> int:
        """Wait for the end; returns the exit code."""
        await asyncio.gather(*self._readers)
        return await self._gone()

    async def _gone(self) -> int:
        assert self._process is not None
        return await asyncio.to_thread(self._process.wait)

    def interrupt(self) -> None:
        """Pass Ctrl-C on: on a terminal it reaches the program, too."""
        if self._process is not None and self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGINT)

    async def kill(self) -> None:
        """End the process and all it started."""
        if self._process is None:
            return
        if self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            await self._gone()
        for reader in self._readers:
            reader.cancel()
        await asyncio.gather(*self._readers, return_exceptions=True)
        for pipe in self._pipes:
            pipe.close()
