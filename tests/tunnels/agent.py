"""What the agent does with the interface, in the nodes of `world`; and the programs that this needs."""

import functools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pytest

from tests.tunnels.world import Node, World

__all__ = [
    "CONF",
    "NEEDS_PING",
    "NEEDS_TUNNELS",
    "PING",
    "PROGRAM",
    "bring",
    "bring_planned",
    "converge",
    "unbroken",
]

_ROOT: Final = Path(__file__).parents[2]
CONF: Final = "/etc/wireguard/wg0.conf"


def _program(name: str) -> str:
    """Return where a program is: on this machine, or in an image of the lab; nothing where it is not."""
    found = sorted(map(str, _ROOT.glob(f".lab/image/*/usr/bin/{name}")))
    return shutil.which(name) or next(iter(found), "")


PROGRAM: Final = _program("wireguard-go")
PING: Final = _program("ping")
NEEDS_TUNNELS: Final = pytest.mark.skipif(
    os.geteuid() != 0 or not PROGRAM, reason="needs root, and wireguard-go (`make image`)"
)
NEEDS_PING: Final = pytest.mark.skipif(
    os.geteuid() != 0 or not PROGRAM or not PING, reason="needs root, wireguard-go and ping (`make image`)"
)
_CONVERGING: Final = Path(__file__).with_name("converging.py")


@functools.cache
def _converging() -> "subprocess.Popen[str]":
    """Start the program that brings interfaces to their files; it ends with this process."""
    return subprocess.Popen(
        ["setpriv", "--pdeathsig", "KILL", sys.executable, str(_CONVERGING)],
        env={**os.environ, "PYTHONPATH": str(_ROOT)},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip


def bring(place: World, raw: Mapping[str, Any]) -> None:
    """Have the files of this mesh in force, node by node, by the commands of the agent."""
    place.replan(raw)
    bring_planned(place)


def bring_planned(place: World, *only: str) -> None:
    """Have the files of the present plan in force, on all nodes or `only` on these."""
    for name, (text, keys) in place.documents().items():
        if only and name not in only:
            continue
        node = place.nodes[name]
        node.load(text)
        node.keys = keys
        converge(node, node.document.files[CONF])


def converge(node: Node, file: str) -> None:
    """Have the interface of a node as a file says, with the keys that the node got last."""
    program = _converging()
    assert program.stdin is not None
    assert program.stdout is not None
    print(json.dumps([node.pid, file, dict(node.keys)]), file=program.stdin, flush=True)
    said = json.loads(program.stdout.readline())
    assert said == "", said


def unbroken(ping: "subprocess.Popen[str]", *, at_least: int = 20) -> bool:
    """End a ping; returns whether every packet until the last answer got its own."""
    ping.send_signal(signal.SIGINT)
    printed = ping.communicate()[0]
    numbers = {int(each) for each in re.findall(r"icmp_seq=(\d+) ttl=", printed)}  # one may overtake another
    assert len(numbers) > at_least, printed
    return numbers == set(range(1, max(numbers) + 1))
