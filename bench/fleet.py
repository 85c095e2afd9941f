"""A rehearsal of its own with a given number of nodes, and a stopwatch that ends when all pairs ping."""

import fcntl
import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from bench.cpu import cpu_seconds
from bench.trouble import BenchError
from lab.hosts import HostError
from lab.hosts.router import Router
from lab.testing import REPOSITORY, Run, World

__all__ = ["FOLDER", "Fleet", "all_answer", "alone", "names", "remove", "seconds", "state_sizes"]

FOLDER: Final = REPOSITORY / ".lab" / "bench"
"""Everything a run leaves or needs; below `worlds` the rehearsals under way."""

_COMMANDS: Final = "**command:remote:**"
"""Matches what runs on hosts; all else is made before the clock starts."""
_UP: Final = ("up", "--yes", "--skip-preview")
_UP_SECONDS: Final = 1800
_BOOT_SECONDS: Final = 300
_PING_SECONDS: Final = 120
_FEWEST_ANSWERS: Final = 100
"""A second's worth: less is no measurement."""

# Ends when the host has booted and sshd takes connections.
_READY: Final = (
    f"timeout {_BOOT_SECONDS} sh -c 'cloud-init status --wait >/dev/null;"
    " until nc -z 127.0.0.1 22; do sleep 0.2; done'"
)
# Ends when every address answers; all are asked at once.
_ALL_ANSWER: Final = (
    "timeout {seconds} sh -c 'for to in {addresses}; do "
    "(until ping -n -q -c 1 -W 1 $to >/dev/null 2>&1; do sleep 0.1; done) & done; wait'"
)
_LOGINS: Final = "journalctl --sync; journalctl -q -o cat -t sshd | grep -c '^Accepted '"
_PROBE: Final = "exec timeout -s INT {seconds} ping -n -i 0.01 {address} >/run/bench-ping"


def names(count: int) -> list[str]:
    """Return the names of `count` nodes."""
    return [f"n{number:03d}" for number in range(1, count + 1)]


def seconds(work: Callable[[], object]) -> float:
    """Return how long something takes."""
    began = time.monotonic()
    work()
    return time.monotonic() - began


def all_answer(addresses: Iterable[str]) -> str:
    """Return a shell script that ends when all these addresses have answered a ping, or fails."""
    return _ALL_ANSWER.format(seconds=_PING_SECONDS, addresses=" ".join(addresses))


@contextmanager
def alone() -> Iterator[None]:
    """Hold the folder for one run, and begin by removing what a run that was killed left behind.

    Raises `BenchError` when another run has it.
    """
    FOLDER.mkdir(parents=True, exist_ok=True)
    with (FOLDER / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BenchError(f"another run measures in {FOLDER}: wait for its end") from None
        for folder in sorted((FOLDER / "worlds").glob("*")):
            remove(folder)
        yield


def remove(folder: Path) -> None:
    """Remove one rehearsal: its cloud, its hosts, its folder."""
    for part in ("lab.cloud", "stop"), ("lab.hosts", "down"):
        subprocess.run(
            [sys.executable, "-m", *part, "--state", str(folder / ".lab" / "cloud")],
            cwd=REPOSITORY, check=True, stdout=subprocess.DEVNULL,
        )  # fmt: skip
    shutil.rmtree(folder)


class Fleet(World):
    """One rehearsal; `with Fleet.of("name") as fleet` ends it without a trace."""

    @staticmethod
    @contextmanager
    def of(name: str) -> Iterator["Fleet"]:
        """Make a rehearsal with real hosts and its cloud running; there are no nodes yet."""
        folder = FOLDER / "worlds" / name
        folder.mkdir(parents=True)
        fleet = Fleet(folder, ["mesh"])
        try:
            fleet._done(fleet.lab("start"), "start")
            yield fleet
        finally:
            remove(folder)

    def resize(self, count: int) -> None:
        """Have `count` nodes in the stack file."""
        nodes = {name: {"address": f"10.10.0.{number}"} for number, name in enumerate(names(count), start=1)}
        self.edit("wireguard-mesh:mesh", lambda mesh: mesh.update(nodes=nodes))

    def boot(self, count: int) -> None:
        """Make the servers of `count` nodes, all but what runs on them, and wait until they are ready."""
        self.resize(count)
        self.engine(*_UP, "--exclude", _COMMANDS)
        self._everywhere(names(count), lambda _: _READY, "booting")

    def engine(self, *words: str) -> str:
        """Run the engine; returns what it printed. Raises `BenchError` when it fails."""
        return self._done(self.lab("run", *words, timeout=_UP_SECONDS), " ".join(words[:1]))

    def converge(self, before: Callable[..., list[str]] = lambda *words: [*words]) -> None:
        """Run `up`; `before` returns the command line that runs its arguments."""
        words = before(sys.executable, "-m", "lab", "run", *_UP)
        self._done(self.command(*words, timeout=_UP_SECONDS), "up")

    def await_pings(self, count: int) -> None:
        """Wait until all pairs of `count` nodes have pinged each other through the tunnel."""
        nodes = names(count)
        addresses = {name: f"10.10.0.{number}" for number, name in enumerate(nodes, start=1)}

        def script(node: str) -> str:
            return all_answer(address for name, address in addresses.items() if name != node)

        self._everywhere(nodes, script, "pinging")

    def _everywhere(self, nodes: Sequence[str], script: Callable[[str], str], what: str) -> None:
        running = {node: self.spawn(node, script(node)) for node in nodes}
        failed = [node for node, process in running.items() if process.wait() != 0]
        if failed:
            raise BenchError(f"{what} did not end in time on {', '.join(failed)}")

    def spawn(self, node: str, script: str) -> "subprocess.Popen[str]":
        """Start a shell script on a host, not over SSH; what it prints can be read."""
        hosts = self.hosts
        try:
            words = hosts.enter(hosts.find(f"lab-{node}"), ["sh", "-c", script])
        except HostError as error:
            raise BenchError(f"{node}: {error}") from error
        return subprocess.Popen(
            words, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )

    def lost_during(self, pairs: Sequence[tuple[int, int]], work: Callable[[], object]) -> int:
        """Return how many packets between pairs of nodes (by number) are lost during `work`, 100/s each."""
        probes = [
            (name, self.spawn(name, _PROBE.format(seconds=_UP_SECONDS, address=f"10.10.0.{to}")))
            for name, to in ((names(source)[-1], to) for source, to in pairs)
        ]
        try:
            work()
            time.sleep(2)  # for packets on their way
        finally:
            for name, _ in probes:
                self.spawn(name, "pkill -INT -x ping").wait()
            for _, process in probes:
                process.wait(timeout=60)
        return sum(_lost(self.on(name, "cat /run/bench-ping")) for name, _ in probes)

    @property
    def router(self) -> Router:
        """The router between this machine and the hosts."""
        return Router(self.folder / ".lab" / "cloud")

    def cpu(self, nodes: Sequence[str]) -> list[float]:
        """Return the CPU seconds that each host has used so far."""
        hosts = self.hosts
        return [cpu_seconds(f"{self.router.id}-{hosts.find(f'lab-{node}')}") for node in nodes]

    def logins(self, nodes: Sequence[str]) -> list[int]:
        """Return how many SSH connections each host's sshd has accepted so far, from its log."""
        running = [self.spawn(node, _LOGINS) for node in nodes]
        printed = [process.communicate(timeout=_PING_SECONDS)[0] for process in running]
        return [int(text) for text in printed]

    def export(self) -> dict[str, Any]:
        """Return the state."""
        state: dict[str, Any] = self.json("stack", "export")
        return state

    @staticmethod
    def _done(run: Run, what: str) -> str:
        if run.code != 0:
            raise BenchError(f"{what} failed ({run.code}):\n{run.out[-3000:]}")
        return run.out


def _lost(printed: str) -> int:
    """Count the answers that are missing before the last one that came.

    Ping's own count has one too many whenever it is stopped between a packet and its answer.
    """
    answered = {int(number) for number in re.findall(r"bytes from .* icmp_seq=(\d+) ", printed)}
    if len(answered) < _FEWEST_ANSWERS:
        raise BenchError(f"ping got {len(answered)} answers only: {printed[-500:]!r}")
    return max(answered) - len(answered)


def state_sizes(export: dict[str, Any]) -> dict[str, float]:
    """Return kB per node: the `whole` state, the nodes' own `files` in it (all copies), the `rest`.

    Its own files are what it has in /etc, and its keys.
    """
    resources = export["deployment"]["resources"]
    own = [one for one in resources if one["urn"].endswith(("-apply", "-keys"))]
    nodes = sum(one["urn"].endswith("-apply") for one in own)
    whole = len(json.dumps(export, separators=(",", ":")))
    files = sum(len(json.dumps(one[part]["stdin"])) for one in own for part in ("inputs", "outputs"))
    return {
        name: round(size / 1000 / nodes, 1)
        for name, size in (("whole", whole), ("files", files), ("rest", whole - files))
    }
