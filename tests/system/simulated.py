"""A cloud and hosts that are not there, in a network of their own: a whole life of a mesh in seconds.

The cloud is the lab's, without hosts; a stand-in answers for every host over real SSH (bench/standin.py). In
the network namespace every address of the cloud is a local one.
"""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.standin import Standin
from lab.cloud.driver import SimulatedHosts
from lab.cloud.process import Process
from lab.testing import REPOSITORY

TOKEN = "t" * 64
PORT = 8470
_UNSHARE = ("unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")


@dataclass(frozen=True)
class Simulated:
    """The running cloud with its hosts; `process` is one that lives in their network."""

    process: int
    endpoint: str = f"http://127.0.0.1:{PORT}/v1"

    def run(
        self, *words: str, folder: Path, environment: Mapping[str, str], timeout: int = 120
    ) -> subprocess.CompletedProcess[str]:
        """Run a command where the cloud and the hosts can be reached."""
        return subprocess.run(
            ["nsenter", f"--net=/proc/{self.process}/ns/net", "--", *words],
            cwd=folder, env={**os.environ, **environment}, check=False, timeout=timeout, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip


@contextmanager
def simulated(folder: Path) -> Iterator[Simulated]:
    """Start both, with their files in `folder`, until the end of the block. Raises `PermissionError`."""
    if os.geteuid() != 0:
        raise PermissionError("a network of its own needs root: run `make test`, which uses sudo")
    words = [*_UNSHARE, sys.executable, "-m", "tests.system.simulated", str(folder)]
    with subprocess.Popen(
        words, cwd=REPOSITORY, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as apart:
        assert apart.stdin is not None
        assert apart.stdout is not None
        try:
            for line in apart.stdout:
                if line == "ready\n":
                    break
            children = Path(f"/proc/{apart.pid}/task/{apart.pid}/children").read_text().split()
            assert children, "the simulated cloud does not start"
            yield Simulated(process=int(children[0]))
        finally:
            apart.stdin.close()  # asks it to end
            try:
                apart.wait(30)
            finally:
                apart.kill()


async def _serve(folder: Path) -> None:
    """Serve until standard input ends."""
    hosts = Standin(cloud=folder / "cloud.json", root=folder / "hosts")
    serving = asyncio.create_task(hosts.serve(lambda: print("ready", flush=True)))
    ended = asyncio.to_thread(sys.stdin.read)
    await asyncio.wait({serving, asyncio.create_task(ended)}, return_when=asyncio.FIRST_COMPLETED)
    serving.cancel()


def main() -> None:
    """Be that cloud and those hosts, in the namespaces that `simulated` has made."""
    for words in (
        ("link", "set", "lo", "up"),
        ("route", "add", "local", str(SimulatedHosts.pool), "dev", "lo"),
    ):
        subprocess.run(["ip", *words], check=True)
    folder = Path(sys.argv[1])
    cloud = Process(state=folder, port=PORT, token=TOKEN, images=None)
    cloud.start()
    try:
        asyncio.run(_serve(folder))
    finally:
        cloud.stop()


if __name__ == "__main__":
    main()
