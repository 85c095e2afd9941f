"""What of a host is in the way of a mesh, told by name."""

import json

import pytest

from mesh.host.files.wgconf import parse_wg_file
from mesh.host.live.lookup import parse_rules, parse_table
from mesh.host.live.overlap import Host, conflicts, routed, without_former
from mesh.host.records import replace
from mesh.host.tunnel import WG0
from tests.unit.host.documents import WG

FILE = parse_wg_file(WG, where="x")
RULES = """[{"priority": 0, "src": "all", "table": "local"},
            {"priority": 32766, "src": "all", "table": "main"},
            {"priority": 32767, "src": "all", "table": "default"}]"""


def host(
    *addresses: tuple[str, str], rules: str = RULES, routes: str = "[]", resolvers: tuple[str, ...] = ()
) -> Host:
    return Host(addresses, {4: parse_rules(json.loads(rules))}, parse_table(json.loads(routes), 4), resolvers)


def found(of: Host) -> list[str]:
    return [f"{each}: {each.cure}" for each in conflicts(WG0, FILE, of)]


@pytest.mark.parametrize(
    ("addresses", "conflict"),
    [
        ([("eth0", "192.0.2.5/24"), ("docker0", "172.17.0.1/16"), ("eth1", "10.10.1.1/24")], None),
        ([("lo", "127.0.0.1/8"), ("eth0", "fe80::1/64"), ("eth1", "fd00:10:10::1/48")], None),
        ([("br-app", "10.10.0.1/16")], "10.10.0.0/24 overlaps the network 10.10.0.0/16 of br-app"),
        ([("dummy0", "10.10.0.2/32")], "10.10.0.0/24 overlaps the network 10.10.0.2/32 of dummy0"),
        ([("ens10", "10.3.2.1/8")], "10.10.0.0/24 overlaps the network 10.0.0.0/8 of ens10"),
    ],
)
def test_networks_of_interfaces(addresses: list[tuple[str, str]], conflict: str | None) -> None:
    told = found(host(*addresses))
    assert [bool(conflict)] * len(told) == [True] * len(told)
    assert bool(told) == bool(conflict)
    assert not conflict or conflict in told[0]


@pytest.mark.parametrize(
    ("route", "conflict"),
    [
        ('{"dst": "10.0.0.0/8", "gateway": "192.0.2.1", "dev": "eth0"}', False),
        ('{"dst": "10.10.0.0/16", "dev": "eth0"}', False),
        ('{"dst": "10.10.0.0/24", "dev": "eth0", "metric": 100}', True),
        ('{"dst": "10.10.0.2", "dev": "eth0"}', True),
        ('{"type": "unreachable", "dst": "10.10.0.64/26"}', True),
        ('{"type": "throw", "dst": "10.10.0.64/26"}', False),
        ('{"dst": "10.10.0.0/25", "dev": "eth0", "table": "100"}', False),
        ('{"dst": "default", "gateway": "10.10.0.250", "dev": "eth0", "flags": ["onlink"]}', True),
        ('{"type": "local", "dst": "10.10.0.0/16", "dev": "lo", "table": "local"}', True),
    ],
)
def test_routes(route: str, conflict: bool) -> None:  # noqa: FBT001
    assert bool(found(host(routes=f"[{route}]"))) == conflict


@pytest.mark.parametrize(
    ("rule", "conflict"),
    [
        ('"priority": 5270, "src": "all", "table": "52"', True),
        ('"priority": 33000, "src": "all", "table": "52"', False),
        ('"priority": 9, "src": "10.10.0.1", "table": "52"', True),
        ('"priority": 9, "src": "192.0.2.0", "srclen": 24, "table": "52"', False),
        ('"priority": 9, "src": "all", "fwmark": "0x1", "table": "52"', False),
        ('"priority": 9, "not": null, "src": "all", "fwmark": "0x1", "table": "52"', True),
        ('"priority": 9, "src": "all", "dst": "10.10.0.128", "dstlen": 25, "table": "52"', True),
        ('"priority": 9, "src": "all", "dst": "10.10.0.128", "dstlen": 25, "table": "53"', False),
        ('"priority": 9, "src": "all", "dst": "10.10.0.9", "action": "blackhole"', True),
        ('"priority": 9, "src": "all", "nop": null', False),
        ('"priority": 9, "src": "all", "iif": "docker0", "table": "52"', False),
        ('"priority": 9, "src": "all", "l3mdev": null', False),
        ('"priority": 9, "src": "all", "goto": 32766', False),
        ('"priority": 9, "src": "all", "goto": 32767', True),
    ],
)
def test_rules(rule: str, conflict: bool) -> None:  # noqa: FBT001
    rules = RULES.replace('{"priority": 0,', f'{{{rule}}}, {{"priority": 0,')
    routes = """[{"dst": "default", "dev": "tun0", "table": "52"},
                 {"dst": "default", "dev": "eth0", "table": "default"}]"""
    assert bool(found(host(rules=rules, routes=routes))) == conflict


def test_a_full_tunnel_that_looks_at_main_first_takes_no_peer() -> None:
    rules = RULES.replace(
        '{"priority": 32766,',
        '{"priority": 32764, "src": "all", "table": "main", "suppress_prefixlen": 0},'
        '{"priority": 32765, "not": null, "src": "all", "fwmark": "0xca6c", "table": "51820"},'
        '{"priority": 32766,',
    )
    assert found(host(rules=rules, routes='[{"dst": "default", "dev": "wg1", "table": "51820"}]')) == []


def test_dns_servers_count_unless_they_are_members() -> None:
    assert found(host(resolvers=("10.10.0.2", "10.10.0.1", "192.0.2.53", "fd00::53"))) == []
    (told,) = found(host(resolvers=("10.10.0.53",)))
    assert told.startswith("10.10.0.0/24 holds this host's DNS server 10.10.0.53")


def test_endpoints_and_networks_behind_peers() -> None:
    text = WG.replace("198.18.3.11", "10.10.0.2").replace("10.10.0.2/32", "10.10.0.2/32, 10.20.0.0/16")
    file = parse_wg_file(text, where="x")
    assert [str(network) for network in routed(file)] == ["10.10.0.0/24", "10.20.0.0/16"]
    endpoint, network = (str(each) for each in conflicts(WG0, file, host(("eth0", "10.20.3.4/24"))))
    assert endpoint.startswith("the endpoint 10.10.0.2:51820 of peer 10.10.0.2/32, 10.20.0.0/16 lies in")
    assert network == "10.20.0.0/16 overlaps the network 10.20.3.0/24 of eth0 (its address 10.20.3.4/24)"
    everything = parse_wg_file(WG.replace("10.10.0.2/32", "0.0.0.0/0"), where="x")
    assert [str(network) for network in routed(everything)] == ["10.10.0.0/24"]


BEHIND = parse_wg_file(
    WG.replace("AllowedIPs = 10.10.0.2/32", "AllowedIPs = 10.10.0.2/32, 10.20.0.0/16"), where="x"
)


@pytest.mark.parametrize(
    ("of", "conflict"),
    [
        (host(("eth0", "192.0.2.5/24"), ("eth1", "10.21.0.1/16")), None),
        (host(routes='[{"dst": "10.0.0.0/8", "gateway": "192.0.2.1", "dev": "eth0"}]'), None),
        (
            host(("br-lan", "10.20.3.1/24")),
            "10.20.0.0/16 overlaps the network 10.20.3.0/24 of br-lan (its address 10.20.3.1/24)",
        ),
        (
            host(routes='[{"dst": "10.20.128.0/17", "dev": "eth1"}]'),
            "10.20.0.0/16 holds the route 10.20.128.0/17 dev eth1",
        ),
        (host(resolvers=("10.20.0.53",)), "10.20.0.0/16 holds this host's DNS server 10.20.0.53"),
    ],
)
def test_a_network_behind_a_peer_is_nobody_elses(of: Host, conflict: str | None) -> None:
    told = [f"{each}: {each.remedy}" for each in conflicts(WG0, BEHIND, of)]
    remedy = "take 10.20.0.0/16 out of the `routes` of a node in the stack file"
    assert told == ([f"{conflict}: {remedy}"] if conflict else [])


def test_a_dns_server_behind_a_peer_may_be_used_once_the_way_there_is_ours() -> None:
    asks = replace(host(resolvers=("10.20.0.53",)), held=frozenset(["10.20.0.0/16"]))
    assert list(conflicts(WG0, BEHIND, asks)) == []


def test_a_network_that_the_mesh_moves_away_from_counts_no_longer() -> None:
    """It is in force already, and the host's own network may be the reason to move."""
    new = "10.20.0.1/24"
    peers = tuple(
        replace(peer, allowed_ips=(*peer.allowed_ips, peer.allowed_ips[0].replace("10.10.", "10.20.")))
        for peer in FILE.peers
    )
    moving = replace(FILE, addresses=(*FILE.addresses, new), peers=peers)
    bridge = host(("br-app", "10.10.0.1/16"))
    assert [each.ours for each in conflicts(WG0, moving, bridge)] == ["10.10.0.0/24"]
    assert list(conflicts(WG0, without_former(moving, FILE), bridge)) == []
    told = conflicts(WG0, without_former(moving, FILE), host(("br-app", "10.20.0.1/16")))
    assert [each.ours for each in told] == ["10.20.0.0/24"]


def test_the_only_network_of_a_family_counts_even_if_it_is_committed() -> None:
    assert without_former(FILE, FILE) == FILE
    second = replace(FILE, addresses=(*FILE.addresses, "10.10.0.77/24", "fd00::1/64"))
    assert without_former(second, second) == second
