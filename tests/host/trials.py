"""Trials with little time, for tests of what ends them."""

import json
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from typing import Final

from lab.testing import wait
from tests.host.nodes import CALL, Hosts, Node

PAIR: Final = ("web-1", "web-2")
THREE: Final = ("web-1", "web-2", "web-3")
SHORT: Final = 6
"""Seconds until a trial is rolled back here."""
WATCH: Final = 20
"""Seconds that the third watcher of a trial waits beyond the deadline."""
UNITS: Final = "'wgmesh-rollback*.timer' 'wgmesh-watch-*'"
"""What would end a trial, but for the guard."""
NEXT: Final[Mapping[str, Callable[[Node], bool]]] = {
    "apply": lambda node: node.agent("apply", node.hosts.document("web-1", PAIR)).word == "UNCHANGED",
    "keys": lambda node: node.agent("keys", node.hosts.keys.bundle("web-1")).word == "STORED",
    "install": lambda node: node.install().word == "INSTALLED",
    "check": lambda node: '"idle"' in node.agent("check", node.hosts.document("web-1", PAIR)).out,
    "status": lambda node: node.status()["state"] == "idle",
}
"""A command that may come next, and whether it got its answer."""
_ports = count(20_000)


def another_port() -> str:
    """A public port that no test has had."""
    return f"tcp/{next(_ports)}"


def files_never_seen(hosts: Hosts) -> str:
    """Files that the host web-1 has never had."""
    return hosts.document("web-1", THREE, public=[another_port()], forward=True)


def set_deadline(node: Node, seconds: int) -> None:
    node.inside(f"echo '{{\"deadline_seconds\": {seconds}}}' >/etc/wgmesh/agent.json")


def go_live(node: Node, document: str) -> None:
    run = node.agent("apply", document)
    assert run.word == "RECONNECT", run.out
    # The answer waits for the trial, but not for long: a loaded host may need longer.
    wait(lambda: '"phase": "live"' in node.inside("cat /run/wgmesh/trial.json"), SHORT)


def firewall(node: Node) -> str:
    return node.inside("nft -s list table inet wgmesh")


def seconds_left(node: Node) -> float:
    up = float(node.inside("cut -d' ' -f1 /proc/uptime"))
    return float(json.loads(node.inside("cat /run/wgmesh/trial.json"))["deadline"]) - up


@contextmanager
def applying(node: Node, document: str) -> Iterator["subprocess.Popen[str]"]:
    """`apply` over a connection of its own, which is cut off at the end if it has not ended itself."""
    with subprocess.Popen(
        node.ssh_argv(f"exec {CALL} apply"),
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    ) as client:
        assert client.stdin
        client.stdin.write(document)
        client.stdin.close()
        yield client
        client.kill()


@contextmanager
def every_python(node: Node, *lines: str) -> Iterator[None]:
    """Have every Python on the host run these lines first, also one without what the host adds to it."""
    first = node.inside("python3 -c 'import encodings; print(encodings.__file__)'")
    node.inside(f"cp -a {first} /run/first.py; cat >>{first} <<'EOF'\n" + "\n".join(lines) + "\nEOF")
    try:
        yield
    finally:
        node.inside(f"mv /run/first.py {first}")
