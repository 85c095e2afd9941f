"""A peer that only calls: no endpoint, and a port that is open to wherever the peer calls from."""

from dataclasses import replace

from mesh.render import Moving, PeerFacts, render_document
from tests.unit.meshes import MANAGEMENT, THREE, facts_of, key_names_of, plan_of

OPEN = 'udp dport 51820 accept comment "WireGuard, from peers without an endpoint"'


def _rendered(*calling: str, moving: Moving | None = None) -> str:
    plan = plan_of(THREE)
    facts = {
        name: PeerFacts(public_key=each.public_key, endpoint=None) if name in calling else each
        for name, each in facts_of(plan).items()
    }
    node = replace(
        plan.nodes["db-1"],
        peers=tuple(
            replace(peer, calls=True, keepalive=0) if peer.name in calling else peer
            for peer in plan.nodes["db-1"].peers
        ),
    )
    keys = key_names_of(node)
    return render_document(node, facts, keys, management_key=MANAGEMENT, moving=moving or Moving())


def test_a_peer_that_calls_has_neither_endpoint_nor_keepalive_where_it_calls() -> None:
    section = _rendered("web-1").partition("# web-1\n")[2].partition("# web-2\n")[0]
    assert "AllowedIPs = 10.10.0.1/32\n" in section
    assert "Endpoint" not in section
    assert "PersistentKeepalive" not in section
    assert "None" not in _rendered("web-1", "web-2")


def test_the_port_is_open_to_all_only_where_a_peer_calls() -> None:
    assert OPEN not in _rendered()
    document = _rendered("web-1")
    assert document.count(OPEN) == 1
    assert "192.0.0.1," not in document
    assert "            192.0.0.2,\n" in document


def test_a_former_port_is_open_to_peers_that_call_too() -> None:
    moving = Moving(ports=(51821,))
    rule = "udp dport 51821 fib daddr type local udp dport set 51820"
    assert rule in _rendered("web-1", moving=moving)
    assert rule not in _rendered(moving=moving)
