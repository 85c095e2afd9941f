"""The cloud as a process: served in the foreground, started in the background, stopped."""

import asyncio
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import uvicorn
from starlette.applications import Starlette

from lab.cloud.actions import Actions
from lab.cloud.app import application
from lab.cloud.driver import Driver, RealHosts, SimulatedHosts
from lab.cloud.errors import CloudError
from lab.cloud.faults import Faults
from lab.cloud.guard import REQUESTS
from lab.cloud.metadata import metadata_application
from lab.cloud.servers import reconcile
from lab.cloud.state import Cloud
from lab.cloud.store import Store
from lab.hosts import Lab
from lab.processes import end, is_alive, start_time

__all__ = ["Process", "forget"]

_TOKEN_LENGTH: Final = 64  # terraform-provider-hcloud refuses any other
_START_SECONDS: Final = 30
_STOP_SECONDS: Final = 60


@dataclass(frozen=True, kw_only=True)
class Process:
    """One cloud: `state` is its folder, `images` the hosts' images (None simulates the hosts)."""

    state: Path
    port: int
    token: str
    images: Path | None
    requests: int = REQUESTS
    """How many requests are taken at once; one more each second."""

    def serve(self) -> None:
        """Serve until stopped. Raises `CloudError`."""
        if len(self.token) != _TOKEN_LENGTH:
            raise CloudError(
                f"the token has {len(self.token)} characters; clients accept only {_TOKEN_LENGTH}"
            )
        self.state.mkdir(parents=True, exist_ok=True)
        self.state.chmod(0o700)
        with _listener(self.port) as listener:
            asyncio.run(self._serve(listener))

    async def _serve(self, listener: socket.socket) -> None:
        hosts: Driver = SimulatedHosts() if self.images is None else RealHosts(Lab(self.state, self.images))
        store, faults = Store(self.state / "cloud.json"), Faults(self.state / "faults.json")
        cloud = Cloud(store=store, actions=Actions(store, faults), hosts=hosts, faults=faults)
        await hosts.up()
        cloud.actions.after_restart()
        await reconcile(cloud)
        app = application(cloud, self.token, self.state / "access.log", self.requests)
        server = _server(app)
        self._pid_file.write_text(
            json.dumps({"pid": os.getpid(), "started": start_time(os.getpid()), "port": self.port})
        )
        for number in (signal.SIGTERM, signal.SIGINT):
            # uvicorn raises a signal again once it has stopped serving: what is under way still ends in order
            signal.signal(number, lambda *_: None)
        try:
            async with _metadata(cloud):
                await server.serve(sockets=[listener])
                await cloud.actions.wait()
        finally:
            self._pid_file.unlink(missing_ok=True)

    @property
    def _pid_file(self) -> Path:
        return self.state / "cloud.pid"

    def running(self) -> int | None:
        """Return the port this state's cloud serves on; None when it does not run."""
        try:
            record = json.loads(self._pid_file.read_text())
        except (FileNotFoundError, ValueError):
            return None
        return int(record["port"]) if is_alive(record["pid"], record["started"]) else None

    def start(self) -> bool:
        """Start it in the background; False when it runs already. Raises `CloudError`."""
        port = self.running()
        if port == self.port:
            return False
        if port is not None:
            raise CloudError(
                f"the cloud of {self.state} runs on port {port}, not on {self.port}: stop the cloud first"
            )
        self.state.mkdir(parents=True, exist_ok=True)
        self.state.chmod(0o700)
        with _listener(self.port):
            pass  # a clear message now instead of one in the log
        words = [
            sys.executable,
            "-m",
            "lab.cloud",
            "serve",
            "--state",
            str(self.state),
            "--port",
            str(self.port),
            "--requests",
            str(self.requests),
        ]
        words += ["--images", str(self.images)] if self.images is not None else ["--no-hosts"]
        with (self.state / "cloud.log").open("ab") as log:
            process = subprocess.Popen(
                words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                cwd=Path(__file__).parents[2], env={**os.environ, "LAB_CLOUD_TOKEN": self.token},
            )  # fmt: skip
        self._await_answer(process)
        return True

    def _await_answer(self, process: "subprocess.Popen[bytes]") -> None:
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            if self.running() is not None and _answers(self.port):
                return
            if process.poll() is not None:
                break
            time.sleep(0.05)
        tail = (self.state / "cloud.log").read_text(errors="replace").strip()[-600:]
        raise CloudError(f"the cloud did not start; {self.state / 'cloud.log'} ends with: {tail}")

    def stop(self) -> bool:
        """Stop it; hosts go on. False when it does not run."""
        if self.running() is None:
            self._pid_file.unlink(missing_ok=True)
            return False
        record = json.loads(self._pid_file.read_text())
        if not end(record["pid"], record["started"], number=signal.SIGTERM, wait=_STOP_SECONDS):
            end(record["pid"], record["started"])
        self._pid_file.unlink(missing_ok=True)
        return True


def forget(state: Path) -> list[str]:
    """Remove all that a stopped cloud keeps; returns what was still in it, such as `server lab-web-1`.

    Raises `CloudError` while it runs.
    """
    if Process(state=state, port=0, token="", images=None).running() is not None:
        raise CloudError(f"the cloud of {state} runs: stop the cloud first")
    kept = state / "cloud.json"
    left = Store(kept).names() if kept.exists() else []
    shutil.rmtree(state, ignore_errors=True)
    return left


def _server(app: Starlette) -> uvicorn.Server:
    return uvicorn.Server(
        uvicorn.Config(app, log_level="warning", access_log=False, lifespan="off", server_header=False)
    )


@asynccontextmanager
async def _metadata(cloud: Cloud) -> AsyncIterator[None]:
    """Answer what hosts ask about themselves, meanwhile."""
    listener = cloud.hosts.metadata_listener()
    if listener is None:
        yield
        return
    server = _server(metadata_application(cloud))
    task = asyncio.create_task(server._serve([listener]))  # noqa: SLF001 - serve() would take the signals
    try:
        yield
    finally:
        server.should_exit = True
        await task


def _listener(port: int) -> socket.socket:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
        listener.listen(128)
    except OSError:
        listener.close()
        raise CloudError(
            f"another process uses port {port} of 127.0.0.1: set another port in hcloud:endpoint of the "
            "stack file, or stop this process"
        ) from None
    return listener


def _answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    except OSError:
        return False
