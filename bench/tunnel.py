"""The data plane: traffic through a tunnel between two hosts, with our firewall table and without any."""

import json
import shlex
import statistics
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any, Final

from bench.fleet import Fleet
from bench.operators import Operator
from bench.progress import Say
from bench.rivals import PLAYBOOK
from bench.traffic import PORT
from bench.trouble import BenchError
from mesh.plan import plan_mesh
from mesh.render import Endpoint, KeyNames, PeerFacts, render_document
from mesh.settings import parse_settings

__all__ = ["PEERS", "RULES", "traffic"]

PEERS: Final = 100
"""Peers of a node in the table."""
RULES: Final = 50
"""Rules of the policy; the last one lets the measured traffic pass."""

_SCRIPT: Final = "/run/traffic.py"
_TABLE: Final = "/run/table.nft"
_FILE: Final = "==> /etc/wgmesh/firewall.nft <==\n"
_TRACKING: Final = "/run/tracking.nft"
_WITHOUT: Final = "nft delete table inet wgmesh 2>/dev/null || true"
_OURS: Final = f"nft -f {_TABLE}"
_TRACKED: Final = f"nft -f {_TRACKING}"
_TUNNEL: Final = "tunnel"
_LINK: Final = "link"
_WAYS: Final = {
    "table": (_TUNNEL, _OURS),
    "tracked": (_TUNNEL, _TRACKED),
    "bare": (_TUNNEL, _WITHOUT),
    "again": (_TUNNEL, _WITHOUT),
    "link-table": (_LINK, _OURS),
    "link-tracked": (_LINK, _TRACKED),
    "link": (_LINK, _WITHOUT),
}
"""Where traffic goes, and the command that loads its table, or none. `bare` and `again` are the same."""
# The least that a stateful firewall costs: the kernel tracks all connections once a rule asks for a state.
_ONLY_TRACKING: Final = """\
table inet wgmesh
delete table inet wgmesh
table inet wgmesh {
    chain input {
        type filter hook input priority filter; policy accept;
        ct state vmap { established : accept, related : accept, invalid : drop }
    }
}
"""
_SECONDS: Final = 120
_FEWEST_ANSWERS: Final = 0.9
"""Of the packets of a block: with fewer, latency says nothing."""
_OVERLAY: Final = "10.10.0.2"  # of n002
_TOLD: Final = 10  # turns from one line of progress to the next


def traffic(*, turns: int, seconds: float, pings: int, say: Say) -> list[dict[str, float]]:
    """Measure throughput, packet rate and latency, in many short turns; a turn has one block of each way.

    Short, as a machine is as fast in one block as in the next one, but not a minute later.

    A turn has for each way (`table`, `tracked`, `bare`, `again`, and beside the tunnel `link-table`,
    `link-tracked`, `link`) `WAY mbit` (TCP, Mbit/s), `WAY packets` (per second), `WAY p50`, `WAY p99` (round
    trip, microseconds).
    """
    found: list[dict[str, float]] = []
    with Fleet.of("tunnel") as fleet, _two_hosts(fleet) as link:
        for turn in range(turns):
            measured = {}
            ways, first = [*_WAYS], turn % len(_WAYS)
            for way in (*ways[first:], *ways[:first]):
                where, load = _WAYS[way]
                _on_both(fleet, load)
                measured[way] = _block(fleet, link if where == _LINK else _OVERLAY, seconds, pings)
            found.append({f"{way} {name}": value for way in _WAYS for name, value in measured[way].items()})
            if (turn + 1) % _TOLD == 0 or turn + 1 == turns:
                middle = {name: statistics.median(each[name] for each in found) for name in found[0]}
                shown = ", ".join(f"{name} {value:.0f}" for name, value in middle.items())
                say(f"tunnel, {turn + 1} turns: {shown}")
    return found


@contextmanager
def _two_hosts(fleet: Fleet) -> Iterator[str]:
    """Connect two hosts by a tunnel without any table, serve on the second; yields its public address."""
    with Operator.of_a_run() as operator, PLAYBOOK.of(fleet, operator) as playbook:
        fleet.boot(2)
        playbook.target(2)
        playbook.converge()
        fleet.await_pings(2)
    hosts = fleet.hosts
    for node in ("n001", "n002"):  # the cloud's firewall would drop what goes beside the tunnel
        hosts.set_firewall(hosts.find(f"lab-{node}"), None)
    nodes = fleet.outputs()["nodes"]
    endpoints = [nodes[name]["public_ip"] for name in ("n001", "n002")]
    script = (Path(__file__).parent / "traffic.py").read_text()
    for node, table in zip(("n001", "n002"), _tables(endpoints), strict=True):
        for path, text in ((_SCRIPT, script), (_TABLE, table), (_TRACKING, _ONLY_TRACKING)):
            fleet.on(node, f"printf %s {shlex.quote(text)} >{path}")
    server = fleet.spawn("n002", f"exec python3 {_SCRIPT} serve")
    try:
        assert server.stdout is not None
        if server.stdout.readline() != "ready\n":
            raise BenchError("the receiver of the traffic did not start on n002")
        yield endpoints[1]
    finally:
        fleet.spawn("n002", f"pkill -f {_SCRIPT}").wait()
        server.communicate(timeout=_SECONDS)


def _tables(endpoints: Sequence[str]) -> list[str]:
    """Return the firewall tables of the first two nodes of a mesh with this many peers and rules."""
    names = [f"n{number:03d}" for number in range(1, PEERS + 2)]
    rules: list[dict[str, Any]] = [
        {"from": [names[number]], "to": names[:2], "allow": [f"tcp/{8000 + number}"]}
        for number in range(2, RULES + 1)
    ]
    measured = [f"{protocol}/{PORT}-{PORT + 2}" for protocol in ("tcp", "udp")]
    rules.append({"from": names[:2], "to": names[:2], "allow": measured})
    nodes: dict[str, dict[str, Any]] = {
        name: {"address": f"10.10.0.{number}"} for number, name in enumerate(names, start=1)
    }
    for name in names[:2]:
        nodes[name]["public"] = measured  # beside the tunnel
    plan = plan_mesh(
        parse_settings(
            {
                "cidr": "10.10.0.0/24",
                "defaults": {"location": "fsn1", "type": "cx23", "image": "debian-12"},
                "nodes": nodes,
                "policy": rules,
            }
        )
    )
    addresses = [*endpoints, *(f"192.0.2.{number}" for number in range(1, PEERS))]
    facts = {
        name: PeerFacts(
            public_key="A" * 43 + "=", endpoint=Endpoint(address=IPv4Address(address), port=51820)
        )
        for name, address in zip(names, addresses, strict=True)
    }
    found = []
    for node in (plan.nodes[name] for name in names[:2]):
        keys = KeyNames(private="0" * 8, preshared={peer.name: "0" * 8 for peer in node.peers})
        text = render_document(node, facts, keys, management_key="ssh-ed25519 AAAA")
        found.append(text.partition(_FILE)[2].partition("\n==> ")[0] + "\n")
    return found


def _on_both(fleet: Fleet, script: str) -> None:
    for node in ("n001", "n002"):
        if fleet.spawn(node, script).wait() != 0:
            raise BenchError(f"{node}: `{script}` failed")


def _block(fleet: Fleet, address: str, seconds: float, pings: int) -> dict[str, float]:
    """Return the rates, and percentiles of the round trips."""
    sender = fleet.spawn("n001", f"exec python3 {_SCRIPT} measure {address} {seconds} {pings} 2>&1")
    try:
        printed, _ = sender.communicate(timeout=_SECONDS)
    except subprocess.TimeoutExpired:
        sender.kill()
        raise
    if sender.returncode != 0:
        raise BenchError(f"the sender of the traffic to {address} failed:\n{printed[-500:]}")
    measured: dict[str, Any] = json.loads(printed)
    times = measured.pop("round_trips")
    if len(times) < _FEWEST_ANSWERS * pings:
        raise BenchError(f"{len(times)} of {pings} packets to {address} came back")
    cuts = statistics.quantiles(times, n=100)
    return {**measured, "p50": cuts[49], "p99": cuts[98]}
