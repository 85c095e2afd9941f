"""What every node is sent, word for word: golden/<case>/mesh.yaml gives golden/<case>/<node>.txt.

After an intended change, `WGMESH_RENEW=1 .venv/bin/python -m pytest tests/unit/render` writes the files
anew; `git diff` then shows exactly what every node's users would see.
"""

import os
from ipaddress import IPv4Interface, IPv6Interface, ip_interface
from pathlib import Path

import pytest
import yaml

from mesh.host.files.document import FIREWALL, HOSTS, SYSCTL, parse_document
from mesh.host.files.settings import parse_sysctls
from mesh.host.live.firewall import top_level_statements
from mesh.plan import MeshPlan
from tests.unit.meshes import documents_of, facts_of, key_names_of, plan_of

GOLDEN = Path(__file__).parent / "golden"
CASES = sorted(path.parent.name for path in GOLDEN.glob("*/mesh.yaml"))


@pytest.mark.parametrize("case", CASES)
def test_documents_are_as_written_down(case: str) -> None:
    folder = GOLDEN / case
    documents = documents_of(plan_of(yaml.safe_load((folder / "mesh.yaml").read_text())))
    if os.environ.get("WGMESH_RENEW"):
        for path in folder.glob("*.txt"):
            path.unlink()
        for name, text in documents.items():
            (folder / f"{name}.txt").write_text(text)
    assert documents == {path.stem: path.read_text() for path in folder.glob("*.txt")}


@pytest.mark.parametrize("case", CASES)
def test_the_agent_reads_every_document_as_it_was_meant(case: str) -> None:
    plan = plan_of(yaml.safe_load((GOLDEN / case / "mesh.yaml").read_text()))
    facts = facts_of(plan)
    for name, node in plan.nodes.items():
        text = (GOLDEN / case / f"{name}.txt").read_text()
        document = parse_document(text.encode())
        names = key_names_of(node)
        assert document.wg.private == names.private
        assert document.wg.addresses == tuple(map(str, node.overlay.addresses))
        assert (document.wg.port, document.wg.mtu) == (node.overlay.port, node.overlay.mtu)
        assert [
            (peer.public_key, peer.preshared, peer.allowed_ips, peer.endpoint, peer.keepalive)
            for peer in document.wg.peers
        ] == [
            (
                facts[peer.name].public_key,
                names.preshared[peer.name],
                (
                    *(
                        f"{own.ip}/{own.max_prefixlen}"
                        for each in (peer.name, *(relayed.name for relayed in peer.relays))
                        for own in _own(plan, each)
                    ),
                    *map(str, peer.routes),
                    *(["0.0.0.0/0"] if peer.egress else []),
                ),
                None if peer.calls else str(facts[peer.name].at(peer.path)),
                peer.keepalive,
            )
            for peer in node.peers
        ]
        sizes = [document.wg.mtu if peer.mtu is None else peer.mtu for peer in document.wg.peers]
        assert sizes == [peer.mtu for peer in node.peers]
        assert top_level_statements(document.files[FIREWALL]) == [
            "table inet wgmesh",
            "delete table inet wgmesh",
            "table inet wgmesh {}",
        ]
        forwarding = parse_sysctls(document.files[SYSCTL], where=name).get("net.ipv4.ip_forward")
        assert forwarding == ("1" if node.access.passes_on else None)
        everyone = {
            str(own.ip): other.name
            for other in plan.nodes.values()
            if other is node or node.reaches is None or other.name in node.reaches
            for own in other.overlay.addresses
        }
        everyone |= {
            str(own.ip): client.name
            for client in plan.clients.values()
            if any(called.name == name for called in client.peers)
            for own in _own(plan, client.name)
        }
        assert dict(line.split() for line in document.files[HOSTS].splitlines()) == everyone


def _own(plan: MeshPlan, name: str) -> list[IPv4Interface | IPv6Interface]:
    """The addresses of a node or client inside the mesh."""
    if name in plan.clients:
        return [ip_interface(address) for address in plan.clients[name].addresses]
    return list(plan.nodes[name].overlay.addresses)
