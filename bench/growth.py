"""`python -m bench.growth SIZE`: how the program and the engine grow, with hosts that are simulated.

Runs itself in namespaces of its own, where every address of the simulated cloud is a local one: nothing of
it is seen outside, and nothing of it outlives it. Prints JSON.
"""

import asyncio
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from bench.fleet import FOLDER, Fleet, remove, seconds, state_sizes
from bench.memory import engine_and_program, peak
from bench.standin import Standin
from bench.trouble import BenchError
from lab.cloud.driver import SimulatedHosts
from lab.cloud.process import Process
from lab.rehearsal import Rehearsal
from lab.testing import REPOSITORY

__all__ = ["grow"]

_SECONDS: Final = 3600
_UNSHARE: Final = ("unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")


def grow(
    *, sizes: tuple[int, ...], runs: int, say: Callable[[str], None]
) -> dict[str, list[dict[str, float]]]:
    """Measure each size `runs` times.

    Seconds of `up` from nothing, of an `unchanged` one, of a `preview` with one more node; `connections`
    of that first up; MB of `engine` and program; kB of state per node (`whole`, `files`, `rest`).
    """
    found: dict[str, list[dict[str, float]]] = {}
    for size in sizes:
        for number in range(1, runs + 1):
            measured = _apart(size)
            found.setdefault(str(size), []).append(measured)
            shown = ", ".join(f"{name} {value:.1f}" for name, value in measured.items())
            say(f"{size} simulated nodes, run {number}: {shown}")
    return found


def _apart(size: int) -> dict[str, float]:
    """Measure one size in new namespaces."""
    try:
        result = subprocess.run(
            [*_UNSHARE, sys.executable, "-m", "bench.growth", str(size)],
            cwd=REPOSITORY, check=False, timeout=_SECONDS, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
    finally:
        if _folder(size).exists():
            remove(_folder(size))
    if result.returncode != 0:
        raise BenchError(f"{size} simulated nodes: {result.stdout[-3000:]}")
    measured: dict[str, float] = json.loads(result.stdout.splitlines()[-1])
    return measured


def _folder(size: int) -> Path:
    return FOLDER / "worlds" / f"growth-{size}"


def main() -> None:
    """Measure one size, in namespaces made by `grow`."""
    if os.getpid() != 1:
        raise SystemExit("run `python -m bench --only growth`: this part wants namespaces of its own")
    for words in (
        ("link", "set", "lo", "up"),
        ("route", "add", "local", str(SimulatedHosts.pool), "dev", "lo"),
    ):
        subprocess.run(["ip", *words], check=True)
    size = int(sys.argv[1])
    folder = _folder(size)
    folder.mkdir(parents=True)
    fleet = Fleet(folder, ["mesh"])
    port, token = Rehearsal(project=folder, stack="lab", engine="lab").endpoint()
    state = folder / ".lab" / "cloud"
    cloud = Process(state=state, port=port, token=token, images=None)
    cloud.start()
    try:
        with _served(Standin(cloud=state / "cloud.json", root=folder / "hosts")) as hosts:
            print(json.dumps(_measure(fleet, hosts, size)))
    finally:
        cloud.stop()


def _measure(fleet: Fleet, hosts: Standin, size: int) -> dict[str, Any]:
    fleet.resize(size)
    with peak(engine_and_program) as engine:
        measured = {"up": seconds(fleet.converge)}
    measured["connections"] = hosts.connections
    measured["unchanged"] = seconds(lambda: fleet.engine("up", "--yes", "--skip-preview"))
    if hosts.connections != measured["connections"]:
        raise BenchError("an unchanged up has dialled hosts")
    measured["engine"] = engine.mb
    measured |= state_sizes(fleet.export())
    fleet.resize(size + 1)
    measured["preview"] = seconds(lambda: fleet.engine("preview", "--diff"))
    return measured


@contextmanager
def _served(hosts: Standin) -> Iterator[Standin]:
    """Serve in a thread until the end of the block."""
    ready = threading.Event()
    loop = asyncio.new_event_loop()
    serving = loop.create_task(hosts.serve(ready.set))

    def run() -> None:
        try:
            loop.run_until_complete(serving)
        except asyncio.CancelledError:
            return

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 10
    while not ready.wait(0.1):
        if serving.done() or time.monotonic() > deadline:
            raise BenchError("the stand-in for the hosts does not start")
    try:
        yield hosts
    finally:
        loop.call_soon_threadsafe(serving.cancel)
        thread.join(10)


if __name__ == "__main__":
    main()
