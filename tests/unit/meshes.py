"""Meshes for tests: keys and endpoints that follow from a node's name, and the documents they give."""

import base64
import hashlib
from collections.abc import Mapping
from ipaddress import IPv4Address, IPv6Address
from typing import Any

from hypothesis import strategies as st

from mesh.plan import MeshPlan, NodePlan, fingerprint, plan_mesh, preshared_key
from mesh.render import Endpoint, KeyNames, PeerFacts, render_document
from mesh.settings import parse_settings

ROOT = b"r" * 32
THREE: dict[str, Any] = {
    "cidr": "10.10.0.0/24",
    "nodes": {
        "web-2": {"address": "10.10.0.2", "public": ["tcp/443", "tcp/80"]},
        "db-1": {"address": "10.10.0.11"},
        "web-1": {"address": "10.10.0.1", "public": ["tcp/80", "tcp/443"]},
    },
}
"""Nodes not in the order of their addresses, ports not in order."""
MANAGEMENT = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIMzUfO2eM8tJGiBGGlVUNBsd0JBTcPlvDeIRLGMqLY4o"


def plan_of(raw: Mapping[str, Any]) -> MeshPlan:
    return plan_mesh(parse_settings(raw))


def _key(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=32).digest()


def endpoint_of(node: NodePlan) -> Endpoint:
    """Where a node is found: IPv4 where it has that, as in the directory."""
    *_, third, fourth = node.overlay.first.ip.packed
    if getattr(node.machine, "families", ("ipv4",))[0] == "ipv6":
        return ipv6_of(node)
    return Endpoint(address=IPv4Address(f"192.0.{third}.{fourth}"), port=node.overlay.port)


def ipv6_of(node: NodePlan) -> Endpoint:
    *_, third, fourth = node.overlay.first.ip.packed
    return Endpoint(address=IPv6Address(f"2001:db8:{third:x}:{fourth:x}::1"), port=node.overlay.port)


def facts_of(plan: MeshPlan) -> dict[str, PeerFacts]:
    """Public facts of every node and client; a node's public IP addresses follow the overlay address."""
    callers = {
        name: PeerFacts(
            public_key=client.public_key or base64.b64encode(_key(f"public {name}")).decode(), endpoint=None
        )
        for name, client in plan.clients.items()
    }
    return callers | {
        node.name: PeerFacts(
            public_key=base64.b64encode(_key(f"public {node.name}")).decode(),
            endpoint=endpoint_of(node),
            ipv6=ipv6_of(node) if len(getattr(node.machine, "families", ())) > 1 else None,
            private=Endpoint(address=node.network.address, port=node.overlay.port) if node.network else None,
        )
        for node in plan.nodes.values()
    }


def key_names_of(node: NodePlan) -> KeyNames:
    return KeyNames(
        private=fingerprint(_key(f"private {node.name}")),
        preshared={
            peer.name: fingerprint(preshared_key(ROOT, node.name, peer.oldest_name, peer.preshared_epoch))
            for peer in node.peers
        },
    )


def documents_of(plan: MeshPlan) -> dict[str, str]:
    facts = facts_of(plan)
    return {
        node.name: render_document(node, facts, key_names_of(node), management_key=MANAGEMENT)
        for node in plan.nodes.values()
    }


_NAMES = st.from_regex(r"[a-z][a-z0-9-]{0,6}[a-z0-9]", fullmatch=True).filter(
    lambda name: name != "localhost"
)


@st.composite
def meshes(draw: st.DrawFn, *, at_least: int = 1) -> dict[str, Any]:
    """Any mesh of up to eight nodes in 10.10.0.0/24."""
    names = draw(st.lists(_NAMES, min_size=at_least, max_size=8, unique=True))
    hosts = draw(st.lists(st.integers(1, 254), min_size=len(names), max_size=len(names), unique=True))
    ports = st.lists(st.sampled_from(["tcp/80", "tcp/443", "udp/53", "tcp/8000-8100"]), unique=True)
    nodes = {
        name: {"address": f"10.10.0.{host}", "public": draw(ports), "forward": draw(st.booleans())}
        for name, host in zip(names, hosts, strict=True)
    }
    return {"cidr": "10.10.0.0/24", "nodes": nodes}
