"""The mesh whose db-1 the world's node plays: its stack file, its firewall, and what is sent to it."""

from typing import Any, Final

from mesh.host.files.document import FIREWALL, parse_document
from tests.firewall.world import CONTAINER, NODE_MESH, PEERS, Knock
from tests.unit.meshes import documents_of, plan_of

NODES: Final[dict[str, Any]] = {
    "web-1": {"address": PEERS[0], "groups": ["web"]},
    "web-2": {"address": PEERS[1], "groups": ["web"]},
    "mon-1": {"address": PEERS[2]},
    "db-1": {"address": NODE_MESH, "groups": ["db"]},
}
ECHO: Final = 8  # ICMP type
TRUSTED: Final = {"trustedInterfaces": ["docker0"]}
FORWARD: Final = {"forward": True}
LIMITED: Final = [{"from": ["web-1"], "to": ["db-1"], "allow": ["tcp/80", "udp/53"]}]
# Publishes container port 80 on the host's 8080, as Docker does.
PUBLISH: Final = f"""
table ip publish
delete table ip publish
table ip publish {{
    chain pre {{
        type nat hook prerouting priority dstnat;
        fib daddr type local tcp dport 8080 dnat to {CONTAINER}:80
        fib daddr type local tcp dport 8081 dnat to {CONTAINER}:81
    }}
    chain post {{
        type nat hook postrouting priority srcnat;
        ip saddr 172.17.0.0/16 oifname != "docker0" masquerade
    }}
}}
"""


def mesh_of(*, db: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    nodes = {**NODES, "db-1": {**NODES["db-1"], **(db or {})}}
    return {"cidr": "10.10.0.0/24", "nodes": nodes, **more}


def ruleset_of(mesh: dict[str, Any]) -> str:
    """The firewall of db-1, which the world's node plays."""
    return firewall_of(documents_of(plan_of(mesh))["db-1"])


def firewall_of(document: str) -> str:
    return parse_document(document.encode()).files[FIREWALL]


def tcp(source: str, target: str, *ports: int, uid: int = 0) -> list[Knock]:
    return [Knock("tcp", source, target, port, uid) for port in ports]


def udp(source: str, target: str, *ports: int) -> list[Knock]:
    return [Knock("udp", source, target, port) for port in ports]
