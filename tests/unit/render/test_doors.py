from dataclasses import replace
from ipaddress import ip_address, ip_interface
from typing import Any

from mesh.plan.held import with_held
from mesh.render import (
    NOTHING_MOVES,
    UNKNOWN,
    Doors,
    Endpoint,
    KeyNames,
    Moving,
    PeerFacts,
    read_doors,
    render_document,
)
from mesh.settings import PortRange
from tests.unit.meshes import MANAGEMENT, documents_of, facts_of, key_names_of, plan_of

FORMER = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJvS1bl9vmQYgkvtdxp3iF8rOQwQ3d3lC0mCVBEWD1nC"
THEIRS = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIMzUfO2eM8tJGiBGGlVUNBsd0JBTcPlvDeIRLGMqLY4o me"
MESH: dict[str, Any] = {
    "cidr": "10.10.0.0/24",
    "port": 51821,
    "ssh": {"port": 2222, "from": ["203.0.113.0/24", "198.51.100.7", "2001:db8::/32"]},
    "nodes": {
        "a": {"address": "10.10.0.1", "public": ["udp/53", "tcp/443", "tcp/8000-8100"]},
        "b": {"address": "10.10.0.2"},
        "c": {"address": "10.10.0.3"},
    },
}


def _doors(moving: Moving = NOTHING_MOVES, **more: Any) -> Doors:
    plan = plan_of({**MESH, **more})
    node = plan.nodes["a"]
    return read_doors(
        render_document(node, facts_of(plan), key_names_of(node), management_key=MANAGEMENT, moving=moving)
    )


def _port(protocol: Any, first: int, last: int | None = None) -> PortRange:
    return PortRange(protocol=protocol, first=first, last=last or first)


def test_the_second_port_is_let_in_beside_the_one_that_moves_and_is_no_door_that_does() -> None:
    plan = plan_of({**MESH, "rotation": {}})
    node = plan.nodes["a"]
    moving = Moving(ports=(51820,))
    document = render_document(
        node, facts_of(plan), key_names_of(node), management_key=MANAGEMENT, moving=moving
    )
    assert (
        '        udp dport { 51821, 51822 } ip saddr @peer_endpoints accept comment "WireGuard"\n' in document
    )
    assert "udp dport 51820 ip saddr @peer_endpoints fib daddr type local udp dport set 51821 " in document
    doors = read_doors(document)
    assert (doors.ports, doors.next_port) == ((51821, 51820), 51822)
    assert _doors().next_port is None


def test_what_was_rendered_is_read_again() -> None:
    assert _doors() == Doors(
        ssh_ports=(2222,),
        ports=(51821,),
        management_keys=(MANAGEMENT,),
        endpoints=frozenset(
            Endpoint(address=ip_address(address), port=51821) for address in ("192.0.0.2", "192.0.0.3")
        ),
        public=(_port("tcp", 443), _port("tcp", 8000, 8100), _port("udp", 53)),
        ssh_sources=("198.51.100.7/32", "203.0.113.0/24", "2001:db8::/32"),
        addresses=(ip_interface("10.10.0.1/24"),),
        allowed={"b": frozenset({"10.10.0.2"}), "c": frozenset({"10.10.0.3"})},
        named=frozenset({"10.10.0.1", "10.10.0.2", "10.10.0.3"}),
        private=str(key_names_of(plan_of(MESH).nodes["a"]).private),
    )


def test_addresses_of_both_families_and_of_relayed_nodes_are_read_and_networks_are_not() -> None:
    both = _doors(cidr6="fd00:10::/64")
    assert both.addresses == (ip_interface("10.10.0.1/24"), ip_interface("fd00:10::1/64"))
    assert both.allowed["c"] == {"10.10.0.3", "fd00:10::3"}
    assert both.named == both.allowed["b"] | both.allowed["c"] | {"10.10.0.1", "fd00:10::1"}
    behind = {"endpoint": "none", "relay": "b"}
    plan = plan_of(
        {
            "cidr": "10.10.0.0/24",
            "nodes": {
                "a": {"address": "10.10.0.1", **behind},
                "b": {"address": "10.10.0.2", "routes": ["10.20.0.0/16", "192.168.7.9/32"]},
                "c": {"address": "10.10.0.3", **behind},
            },
        }
    )
    assert read_doors(documents_of(plan)["a"]).allowed == {"b": {"10.10.0.2"}, "c": {"10.10.0.3"}}
    (relay,) = (replace(peer, egress=True) for peer in plan.nodes["a"].peers)
    node = replace(plan.nodes["a"], peers=(relay,))
    text = render_document(node, facts_of(plan), key_names_of(node), management_key=MANAGEMENT)
    assert read_doors(text).allowed == {"b": {"10.10.0.2"}, "c": {"10.10.0.3"}}, "the relay gives egress, too"


def test_names_lead_where_they_are_told_to_and_own_addresses_begin_there() -> None:
    """A name leads elsewhere only on a node that sends there."""
    plan = with_held(
        plan_of(MESH), {"a": (ip_interface("10.9.0.1/24"),), "b": (ip_interface("10.10.0.22/24"),)}
    )
    leads = {
        name: (ip_address(to),) for name, to in (("a", "10.9.0.1"), ("b", "10.10.0.22"), ("c", "10.8.0.3"))
    }

    def doors(name: str) -> Doors:
        node = plan.nodes[name]
        return read_doors(
            render_document(
                node,
                facts_of(plan),
                key_names_of(node),
                management_key=MANAGEMENT,
                moving=Moving(leads=leads),
            )
        )

    assert doors("a").addresses == (ip_interface("10.9.0.1/24"), ip_interface("10.10.0.1/24"))
    assert doors("a").named == {"10.9.0.1", "10.10.0.22", "10.10.0.3"}
    assert doors("c").named == {"10.10.0.1", "10.10.0.22", "10.10.0.3"}
    assert doors("c").addresses == (ip_interface("10.10.0.3/24"),)


def test_what_is_to_stay_comes_before_what_is_about_to_go() -> None:
    found = _doors(Moving(ssh_ports=(22,), ports=(51820, 51819), management_keys=(FORMER,)))
    assert found.ssh_ports == (2222, 22)
    assert found.ports == (51821, 51820, 51819)
    assert found.management_keys == (MANAGEMENT, FORMER)


def test_a_former_port_is_read_once_where_peers_have_endpoints_of_both_families() -> None:
    plan = plan_of(MESH)
    node = plan.nodes["a"]
    six = Endpoint(address=ip_address("2001:db8::3"), port=51821)
    facts = {**facts_of(plan), "c": PeerFacts(public_key="k", endpoint=six)}
    found = read_doors(
        render_document(
            node, facts, key_names_of(node), management_key=MANAGEMENT, moving=Moving(ports=(51820,))
        )
    )
    assert found.ports == (51821, 51820)
    assert found.endpoints == {Endpoint(address=ip_address("192.0.0.2"), port=51821), six}


def test_the_keys_of_people_are_no_management_keys() -> None:
    assert _doors(ssh={"authorizedKeys": [THEIRS]}).management_keys == (MANAGEMENT,)


def test_what_a_preview_does_not_know_is_no_door() -> None:
    node = plan_of(MESH).nodes["a"]
    unknown = {name: PeerFacts(public_key=UNKNOWN, endpoint=UNKNOWN) for name in ("b", "c")}
    names = KeyNames(private=UNKNOWN, preshared={"b": UNKNOWN, "c": UNKNOWN})
    assert read_doors(render_document(node, unknown, names, management_key=MANAGEMENT)).endpoints == set()


def test_a_closed_node_has_no_public_port() -> None:
    assert read_doors(documents_of(plan_of(MESH))["b"]).public == ()


def test_a_document_that_says_nothing_has_no_doors() -> None:
    assert read_doors("") == Doors(
        ssh_ports=(), ports=(), management_keys=(), endpoints=frozenset(), public=(), ssh_sources=()
    )
