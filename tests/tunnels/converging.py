"""What the agent does with an interface, as a program of its own: only such a one can enter namespaces.

Each line of the input, written by `agent.py`, has a process whose namespaces are entered, a file and keys.
Each answer is a line of JSON: what went wrong, or nothing. The agent's code is imported once, as that takes
longer than all the rest.
"""

import ctypes
import json
import os
import sys
import traceback
from pathlib import Path

from mesh.host.files.wgconf import parse_wg_file
from mesh.host.live.device import wanted_device, wanted_link, with_keys
from mesh.host.live.interface import converge, interface_differences
from mesh.host.live.ipv6 import require_ipv6
from mesh.host.live.overlap import refuse_overlap
from mesh.host.live.ways import way_differences
from mesh.host.places import Places
from mesh.host.tunnel import WG0


def _enter(pid: int) -> None:
    """Go on in the network and the mounts of another process, see setns(2)."""
    libc = ctypes.CDLL(None, use_errno=True)
    for kind in ("net", "mnt"):
        with Path(f"/proc/{pid}/ns/{kind}").open("rb") as namespace:
            if libc.setns(namespace.fileno(), 0) != 0:
                raise OSError(ctypes.get_errno(), f"namespace {kind} of process {pid}")


def _bring(text: str, keys: dict[str, str]) -> None:
    """Do what the agent refuses, does with the whole interface, and looks at afterwards."""
    file = parse_wg_file(text, where="wg0.conf")
    require_ipv6(Places(), WG0, file)
    refuse_overlap(Places(), WG0, file)
    device, link = with_keys(wanted_device(file), keys), wanted_link(file)
    converge(WG0, device, link)
    found = interface_differences(WG0, device, link) + way_differences(WG0, file)
    assert found == [], [str(each) for each in found]


def _attempt(pid: int, text: str, keys: dict[str, str]) -> str:
    try:
        _enter(pid)
        _bring(text, keys)
    except Exception:  # noqa: BLE001, `agent.py` tells it
        return traceback.format_exc()
    return ""


def _serve() -> None:
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            print(json.dumps(_attempt(*json.loads(line))), flush=True)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if status != 0:
            print(json.dumps(f"ended with wait status {status}"), flush=True)


if __name__ == "__main__":
    _serve()
