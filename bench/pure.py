"""`python -m bench.pure COUNT`: how long planning and rendering take in a fresh process; prints JSON."""

import json
import sys
import time
from collections.abc import Callable
from ipaddress import IPv4Address
from typing import Final, TypeVar

from mesh.plan import fingerprint, plan_mesh, preshared_key
from mesh.render import Endpoint, KeyNames, PeerFacts, render_document
from mesh.settings import parse_settings

T = TypeVar("T")
_ROOT: Final = bytes(range(32))


def main() -> None:
    """Measure settings, plan, names of keys, and all files, each once and for the first time."""
    count = int(sys.argv[1])
    nodes = {f"n{number:03d}": {"address": f"10.10.0.{number}"} for number in range(1, count + 1)}
    mesh = {
        "cidr": "10.10.0.0/24",
        "defaults": {"location": "fsn1", "type": "cx23", "image": "debian-12"},
        "nodes": nodes,
    }
    took: dict[str, float] = {}

    def timed(name: str, work: Callable[[], T]) -> T:
        began = time.perf_counter()
        result = work()
        took[name] = (time.perf_counter() - began) * 1000
        return result

    settings = timed("settings", lambda: parse_settings(mesh))
    plan = timed("plan", lambda: plan_mesh(settings))
    keys = timed(
        "keys",
        lambda: {
            name: KeyNames(
                private=fingerprint(_ROOT),
                preshared={
                    peer.name: fingerprint(preshared_key(_ROOT, name, peer.name, peer.preshared_epoch))
                    for peer in node.peers
                },
            )
            for name, node in plan.nodes.items()
        },
    )
    endpoint = Endpoint(address=IPv4Address("192.0.2.1"), port=51820)
    facts = dict.fromkeys(plan.nodes, PeerFacts(public_key="A" * 43 + "=", endpoint=endpoint))
    documents = timed(
        "render",
        lambda: [
            render_document(node, facts, keys[name], management_key="ssh-ed25519 AAAA")
            for name, node in plan.nodes.items()
        ],
    )
    took["total"] = sum(took.values())
    took["peers"] = sum(document.count("[Peer]") for document in documents)
    print(json.dumps(took))


if __name__ == "__main__":
    main()
