import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.host.files.wgconf import parse_wg_file
from mesh.host.live.device import (
    Device,
    Link,
    Peer,
    Secret,
    device_differences,
    link_commands,
    link_differences,
    parse_addresses,
    parse_dump,
    wanted_link,
    wg_commands,
)
from mesh.host.live.route_text import parse_networks, parse_routes, parse_shadowed
from mesh.host.records import replace
from mesh.host.tunnel import WG0
from tests.examples import examples
from tests.unit.host.documents import KEYS, WG

if TYPE_CHECKING:
    from mesh.host.live.device import Argument

CASES = sorted((Path(__file__).parent / "device").glob("*.json"))


def device(value: dict[str, Any]) -> Device:
    peers = {
        name: Peer(**{**peer, "allowed_ips": frozenset(peer["allowed_ips"])})
        for name, peer in value["peers"].items()
    }
    return Device(value["private_key"], value["port"], value["fwmark"], peers)


def plain(command: "list[Argument]") -> list[str]:
    return [f"<{word.value}>" if isinstance(word, Secret) else word for word in command]


@pytest.mark.parametrize("case", CASES, ids=lambda path: path.stem)
def test_smallest_commands(case: Path) -> None:
    value = json.loads(case.read_text())
    live, wanted = device(value["live"]), device(value["wanted"])
    assert [plain(command) for command in wg_commands(WG0, live, wanted)] == value["commands"]
    if "differences" in value:
        assert [str(found) for found in device_differences(live, wanted)] == value["differences"]


def test_secrets_do_not_show_in_what_python_prints() -> None:
    peer = Peer(KEYS[0], None, frozenset(), 0)
    printed = repr([Secret(KEYS[0]), peer, Device(KEYS[0], 1, 0, {"p": peer})])
    assert KEYS[0] not in printed


def test_many_peers_come_in_several_commands() -> None:
    peers = {
        f"p{n:04}": Peer("k", None, frozenset([f"10.1.{n // 250}.{n % 250}/32"]), 25) for n in range(300)
    }
    commands = wg_commands(WG0, Device("a", 1, 0, {}), Device("b", 1, 0, peers), at_most=100)
    assert len(commands) == 3
    assert [command.count("peer") for command in commands] == [100, 100, 100]
    assert sum("private-key" in command for command in commands) == 1


_PEERS = st.dictionaries(
    st.sampled_from("ABCDE"),
    st.builds(
        Peer,
        preshared_key=st.sampled_from([None, "k1", "k2"]),
        endpoint=st.sampled_from([None, "192.0.2.1:1", "192.0.2.2:1"]),
        allowed_ips=st.frozensets(st.sampled_from(["10.0.0.1/32", "10.0.0.2/32"])),
        keepalive=st.sampled_from([0, 25]),
    ),
)
_DEVICES = st.builds(
    Device,
    private_key=st.sampled_from(["p1", "p2"]),
    port=st.sampled_from([1, 2]),
    fwmark=st.just(0),
    peers=_PEERS,
)


def _execute(live: Device, command: "list[Argument]") -> Device:
    """What `wg set` does to an interface, in short."""
    words = iter(plain(command)[3:])
    private, port, peers = live.private_key, live.port, dict(live.peers)
    current = ""
    for word in words:
        if word == "peer":
            current = next(words)
            peers.setdefault(current, Peer(None, None, frozenset(), 0))
        elif word == "remove":
            del peers[current]
        elif word == "private-key":
            private = next(words).strip("<>")
        elif word == "listen-port":
            port = int(next(words))
        else:
            old, value = peers[current], next(words)
            secret = None if value == "/dev/null" else value.strip("<>")
            ips = frozenset(value.split(",")) if value else frozenset()
            peers[current] = Peer(
                secret if word == "preshared-key" else old.preshared_key,
                value if word == "endpoint" else old.endpoint,
                ips if word == "allowed-ips" else old.allowed_ips,
                (0 if value == "off" else int(value)) if word == "persistent-keepalive" else old.keepalive,
            )
    return Device(private, port, live.fwmark, peers)


@examples(2)
@given(_DEVICES, _DEVICES)
def test_the_commands_lead_where_they_should(live: Device, wanted: Device) -> None:
    result = live
    for command in wg_commands(WG0, live, wanted, at_most=2):
        result = _execute(result, command)
    assert device_differences(result, wanted) == []
    assert [c for c in wg_commands(WG0, result, wanted) if "endpoint" not in c] == []
    assert wg_commands(WG0, wanted, wanted) == []


def test_a_dump_is_parsed() -> None:
    text = (
        "PRIV\tPUB\t51820\toff\n"
        "A\tPSK\t198.18.3.11:51820\t10.10.0.2/32,10.10.1.0/24\t1700000000\t1\t2\t25\n"
        "B\t(none)\t(none)\t(none)\t0\t0\t0\toff\n"
    )
    assert parse_dump(text) == Device(
        "PRIV",
        51820,
        0,
        {
            "A": Peer("PSK", "198.18.3.11:51820", frozenset(["10.10.0.2/32", "10.10.1.0/24"]), 25),
            "B": Peer(None, None, frozenset(), 0),
        },
    )
    assert parse_dump("(none)\t(none)\t0\t0xff\n") == Device(None, 0, 255, {})


def test_addresses_and_routes_are_parsed() -> None:
    addresses = [
        {"family": "inet", "local": "10.10.0.1", "prefixlen": 24, "scope": "global"},
        {"family": "inet6", "local": "fe80::1", "prefixlen": 64, "scope": "link"},
    ]
    shown = [{}, {"ifname": "wg0", "mtu": 1420, "flags": ["UP"], "addr_info": addresses}]
    assert parse_addresses(WG0, shown) == Link(frozenset(["10.10.0.1/24"]), 1420, up=True, routes=frozenset())
    assert parse_addresses(WG0, []) is None
    routes = [
        {"dst": "10.10.0.0/24", "protocol": "kernel"},
        {"dst": "10.20.0.0/16"},
        {"dst": "10.30.0.1", "protocol": "static"},
        {"dst": "10.40.0.0/16", "protocol": "bird"},
        {"dst": "default", "gateway": "10.10.0.9"},
    ]
    assert parse_networks(routes, 4) == frozenset(["10.10.0.0/24"])
    assert parse_routes([], 4) == parse_networks([], 6) == frozenset()


def test_only_routes_that_we_made_are_ours() -> None:
    """Those with our mark, and those of our files as agents made them before there was one."""
    routes = [
        {"dst": "10.10.0.0/24", "protocol": "kernel"},
        {"dst": "10.20.0.0/16"},
        {"dst": "10.30.0.1", "protocol": "static"},
        {"dst": "10.40.0.0/16", "protocol": "87"},
        {"dst": "10.50.0.0/16", "protocol": "bird"},
        {"dst": "default", "protocol": "87"},
        {"dst": "10.60.0.0/16", "gateway": "10.10.0.9"},
    ]
    assert parse_routes(routes, 4) == frozenset(["10.40.0.0/16", "0.0.0.0/0"])
    files = frozenset(["10.20.0.0/16", "10.30.0.1/32", "10.50.0.0/16", "10.60.0.0/16"])
    assert parse_routes(routes, 4, files) == frozenset(
        ["10.20.0.0/16", "10.30.0.1/32", "10.40.0.0/16", "0.0.0.0/0"]
    )
    assert parse_routes([{"dst": "default", "protocol": "87"}], 6) == frozenset(["::/0"])


def test_the_route_to_a_network_that_is_gone_comes_back_as_the_kernel_makes_it() -> None:
    address, network = frozenset(["10.10.0.1/24"]), frozenset(["10.10.0.0/24"])
    wanted = Link(address, 1420, up=True, routes=frozenset(), networks=network)
    live = Link(address, 1420, up=True, routes=frozenset())
    assert [" ".join(command) for command in link_commands(WG0, live, wanted)] == [
        "ip route replace 10.10.0.0/24 dev wg0 proto kernel scope link src 10.10.0.1"
    ]
    assert [str(found) for found in link_differences(live, wanted)] == [
        "network 10.10.0.0/24: no route to it instead of present"
    ]
    for fresh in (replace(live, up=False), replace(live, addresses=frozenset())):
        assert not any("proto kernel" in " ".join(command) for command in link_commands(WG0, fresh, wanted))


def test_ipv6_has_its_address_at_once_and_its_network_as_the_kernel_makes_it() -> None:
    both = frozenset(["10.10.0.1/24", "fd00::1/64"])
    networks = frozenset(["10.10.0.0/24", "fd00::/64"])
    wanted = Link(both, 1420, up=True, routes=frozenset(), networks=networks)
    before = replace(wanted, addresses=frozenset(["10.10.0.1/24"]), networks=frozenset(["10.10.0.0/24"]))
    assert [" ".join(command) for command in link_commands(WG0, before, wanted)] == [
        "ip address add fd00::1/64 dev wg0 nodad"
    ]
    assert [" ".join(command) for command in link_commands(WG0, wanted, before)] == [
        "ip address del fd00::1/64 dev wg0"
    ]
    assert [" ".join(each) for each in link_commands(WG0, replace(before, addresses=both), wanted)] == [
        "ip route replace fd00::/64 dev wg0 proto kernel metric 256"
    ]


SEVERAL = WG.replace("10.10.0.1/24", "10.10.0.50/24, 10.10.0.1/24, fd00::1/64").replace(
    "10.10.0.2/32", "10.10.0.2/32, 10.20.0.0/16, fd00::2/128, fd20::/64\n# MTU = 1320 (underlay 1400 - 80)"
)


def test_of_several_addresses_a_node_sends_from_the_first_in_the_network_or_else_the_first() -> None:
    found = wanted_link(parse_wg_file(SEVERAL, where="x"))
    assert found.networks == frozenset(["10.10.0.0/24 src 10.10.0.50", "fd00::/64"])
    assert found.routes == frozenset(
        [
            "10.10.0.2/32 src 10.10.0.50 mtu 1320",
            "10.20.0.0/16 src 10.10.0.50 mtu 1320",
            "fd00::2/128 mtu 1320",
            "fd20::/64 mtu 1320",
        ]
    )
    moved = SEVERAL.replace("10.10.0.50/24, 10.10.0.1/24", "10.30.0.1/24, 10.10.0.1/24")
    found = wanted_link(parse_wg_file(moved, where="x"))
    assert found.networks == frozenset(["10.10.0.0/24", "10.30.0.0/24", "fd00::/64"])
    assert {"10.10.0.2/32 src 10.10.0.1 mtu 1320", "10.20.0.0/16 src 10.30.0.1 mtu 1320"} <= found.routes


def test_where_packets_come_from_changes_before_an_address_goes_or_comes() -> None:
    addresses = frozenset(["10.10.0.1/24", "10.10.0.50/24", "fd00::1/64", "fd00::50/64"])
    former = Link(
        addresses,
        1420,
        up=True,
        routes=frozenset(["10.20.0.0/16 src 10.10.0.1"]),
        networks=frozenset(["10.10.0.0/24 src 10.10.0.1", "fd00::/64"]),
    )
    new = replace(
        former,
        routes=frozenset(["10.20.0.0/16 src 10.10.0.50"]),
        networks=frozenset(["10.10.0.0/24 src 10.10.0.50", "fd00::/64 src fd00::50"]),
    )
    assert _lines(former, new) == [
        "ip route replace 10.10.0.0/24 dev wg0 proto kernel scope link src 10.10.0.50",
        "ip route replace fd00::/64 dev wg0 proto kernel metric 256 src fd00::50",
        "ip route replace 10.20.0.0/16 src 10.10.0.50 dev wg0 proto 87",
    ]
    assert [str(each) for each in link_differences(former, new)] == [
        "network 10.10.0.0/24: source: 10.10.0.1 instead of 10.10.0.50",
        "network fd00::/64: source: the kernel's choice instead of fd00::50",
        "route 10.20.0.0/16: source: 10.10.0.1 instead of 10.10.0.50",
    ]
    before = replace(former, addresses=frozenset(["10.10.0.1/24", "fd00::1/64"]))
    first = replace(former, networks=frozenset(["10.10.0.0/24 src 10.10.0.1", "fd00::/64 src fd00::1"]))
    assert _lines(before, first)[0].endswith("fd00::/64 dev wg0 proto kernel metric 256 src fd00::1")
    alone = replace(
        new, addresses=frozenset(["10.10.0.50/24"]), routes=frozenset(), networks=frozenset(["10.10.0.0/24"])
    )
    assert _lines(former, alone) == [
        "ip route del 10.20.0.0/16 dev wg0",
        "ip address del 10.10.0.1/24 dev wg0",
        "ip address del fd00::1/64 dev wg0",
        "ip address del fd00::50/64 dev wg0",
    ]


def test_routes_are_read_with_the_address_that_they_send_from() -> None:
    shown: list[dict[str, Any]] = [
        {"dst": "10.10.0.0/24", "protocol": "kernel", "prefsrc": "10.10.0.1"},
        {"dst": "10.10.0.7", "protocol": "87", "prefsrc": "10.10.0.1", "metrics": [{"mtu": 1320}]},
    ]
    assert parse_networks(shown, 4) == frozenset(["10.10.0.0/24 src 10.10.0.1"])
    assert parse_routes(shown, 4) == frozenset(["10.10.0.7/32 src 10.10.0.1 mtu 1320"])


def test_a_route_of_the_kernel_behind_another_one_goes_first() -> None:
    """`ip route replace` fails where the kernel has the route already, behind another one."""
    shown = [
        {"dst": "10.10.0.0/24", "protocol": "kernel", "prefsrc": f"10.10.0.{number}"} for number in (2, 1)
    ]
    live = Link(
        frozenset(["10.10.0.1/24", "10.10.0.2/24"]),
        1420,
        up=True,
        routes=frozenset(),
        networks=parse_networks(shown, 4),
        shadowed=parse_shadowed(shown, 4),
    )
    wanted = replace(live, networks=frozenset(["10.10.0.0/24 src 10.10.0.1"]), shadowed=frozenset())
    assert _lines(live, wanted) == [
        "ip route del 10.10.0.0/24 src 10.10.0.1 dev wg0 proto kernel",
        "ip route replace 10.10.0.0/24 dev wg0 proto kernel scope link src 10.10.0.1",
    ]


def test_an_ipv6_address_goes_before_it_comes_with_another_length() -> None:
    addresses = (frozenset(["10.10.0.1/24", "fd00::1/64"]), frozenset(["10.10.0.1/16", "fd00::1/56"]))
    former, new = (Link(each, 1420, up=True, routes=frozenset()) for each in addresses)
    assert _lines(former, new) == [
        "ip address add 10.10.0.1/16 dev wg0",
        "ip address del fd00::1/64 dev wg0",
        "ip address add fd00::1/56 dev wg0 nodad",
        "ip address del 10.10.0.1/24 dev wg0",
    ]


def test_only_networks_outside_the_address_get_a_route() -> None:
    text = WG.replace("10.10.0.2/32", "10.10.0.2/32, 10.20.0.0/16")
    assert wanted_link(parse_wg_file(text, where="x")).routes == frozenset(["10.20.0.0/16"])


@pytest.mark.parametrize(
    ("live", "wanted", "commands"),
    [
        (Link(frozenset("a"), 1, True, frozenset("r")), Link(frozenset("a"), 1, True, frozenset("r")), []),
        (
            Link(frozenset(["a"]), 1500, up=False, routes=frozenset(["r"])),
            Link(frozenset(["b"]), 1420, up=True, routes=frozenset(["s"])),
            [
                "ip address add b dev wg0",
                "ip link set dev wg0 mtu 1420",
                "ip link set dev wg0 up",
                "ip route del r dev wg0",
                "ip route replace s dev wg0 proto 87",
                "ip address del a dev wg0",
            ],
        ),
    ],
)
def test_smallest_link_commands(live: Link, wanted: Link, commands: list[str]) -> None:
    assert [" ".join(command) for command in link_commands(WG0, live, wanted)] == commands


DEFAULT = "0.0.0.0/0 metric 8700"


def test_a_default_route_has_a_metric_so_that_one_of_the_host_wins() -> None:
    text = WG.replace("10.10.0.2/32", "10.10.0.2/32, 0.0.0.0/0")
    found = wanted_link(parse_wg_file(text, where="x"))
    assert found.routes == frozenset([DEFAULT])
    without = replace(found, routes=frozenset())
    assert _lines(without, found) == ["ip route replace 0.0.0.0/0 metric 8700 dev wg0 proto 87"]
    assert _lines(found, without) == ["ip route del 0.0.0.0/0 metric 8700 dev wg0"]
    assert [str(each) for each in link_differences(without, found)] == [
        f"route {DEFAULT}: absent instead of present"
    ]


def test_a_default_route_over_a_narrow_path_has_metric_and_mtu() -> None:
    text = WG.replace("10.10.0.2/32", "10.10.0.2/32, 0.0.0.0/0\n# MTU = 1320 (underlay 1400 - 80)")
    found = wanted_link(parse_wg_file(text, where="x"))
    assert found.routes == frozenset(["10.10.0.2/32 mtu 1320", f"{DEFAULT} mtu 1320"])
    other = replace(found, routes=frozenset(["10.10.0.2/32 mtu 1320", DEFAULT]))
    assert _lines(other, found) == ["ip route replace 0.0.0.0/0 metric 8700 dev wg0 proto 87 mtu 1320"]
    assert [str(each) for each in link_differences(other, found)] == [
        f"route {DEFAULT}: MTU: the interface's instead of 1320"
    ]


def test_a_default_route_is_read_with_its_metric_and_only_ours_is_ours() -> None:
    ours = {"dst": "default", "protocol": "87", "metric": 8700, "metrics": [{"mtu": 1320}]}
    theirs = {"dst": "default", "protocol": "boot", "metric": 50}
    wanted = frozenset([f"{DEFAULT} mtu 1320"])
    assert parse_routes([ours, theirs], 4, wanted) == wanted
    stray = {"dst": "default", "protocol": "87"}
    live = Link(frozenset(), 1420, True, parse_routes([ours, stray], 4, wanted))
    assert _lines(live, replace(live, routes=wanted)) == ["ip route del 0.0.0.0/0 dev wg0"]


NARROW = frozenset(["10.10.0.7/32 mtu 1320", "fd00::7/128 mtu 1320"])
WIDE = Link(frozenset("a"), 1420, up=True, routes=NARROW)


def _lines(live: Link, wanted: Link) -> list[str]:
    return [" ".join(command) for command in link_commands(WG0, live, wanted)]


def test_a_peer_with_an_mtu_of_its_own_has_a_route_of_its_own() -> None:
    size = "# MTU = 1320 (underlay 1400 - 80)"
    text = WG.replace("10.10.0.2/32", f"10.10.0.2/32, 10.20.0.0/16\n{size}")
    found = wanted_link(parse_wg_file(text, where="x"))
    assert found.routes == frozenset(["10.10.0.2/32 mtu 1320", "10.20.0.0/16 mtu 1320"])
    assert found.mtu == 1420


def test_an_interface_becomes_wider_once_its_narrow_routes_are_there() -> None:
    narrow = Link(frozenset("a"), 1320, up=True, routes=frozenset())
    assert _lines(narrow, WIDE) == [
        "ip route replace 10.10.0.7/32 dev wg0 proto 87 mtu 1320",
        "ip route replace fd00::7/128 dev wg0 proto 87 mtu 1320",
        "ip link set dev wg0 mtu 1420",
        "ip route replace fd00::7/128 dev wg0 proto 87 mtu 1320",  # which Linux has just made wider
    ]
    assert _lines(WIDE, narrow) == [
        "ip link set dev wg0 mtu 1320",
        "ip route del 10.10.0.7/32 dev wg0",
        "ip route del fd00::7/128 dev wg0",
    ]


def test_a_route_whose_mtu_changes_is_there_all_the_time() -> None:
    other = replace(WIDE, routes=frozenset(["10.10.0.7/32 mtu 1300", "10.10.0.8/32"]))
    assert _lines(WIDE, other) == [
        "ip route replace 10.10.0.7/32 dev wg0 proto 87 mtu 1300",
        "ip route del fd00::7/128 dev wg0",
        "ip route replace 10.10.0.8/32 dev wg0 proto 87",
    ]


def test_an_interface_that_is_down_gets_its_narrow_routes_once_it_is_up() -> None:
    fresh = Link(frozenset("a"), 1500, up=False, routes=frozenset())
    assert _lines(fresh, WIDE)[:3] == [
        "ip link set dev wg0 mtu 1420",
        "ip link set dev wg0 up",
        "ip route replace 10.10.0.7/32 dev wg0 proto 87 mtu 1320",
    ]


def test_an_mtu_of_a_route_that_differs_is_told() -> None:
    live = replace(WIDE, routes=frozenset(["10.10.0.7/32", "10.10.0.9/32 mtu 1320"]))
    assert [str(found) for found in link_differences(live, WIDE)] == [
        "route fd00::7/128 mtu 1320: absent instead of present",
        "route 10.10.0.9/32 mtu 1320: present instead of absent",
        "route 10.10.0.7/32: MTU: the interface's instead of 1320",
    ]


def test_routes_are_read_with_their_mtu() -> None:
    shown = [
        {"dst": "10.10.0.7", "protocol": "87", "metrics": [{"mtu": 1320}]},
        {"dst": "10.10.0.8", "metrics": [{"mtu": 1300}]},
    ]
    assert parse_routes(shown, 4, frozenset(["10.10.0.8/32 mtu 1200"])) == frozenset(
        ["10.10.0.7/32 mtu 1320", "10.10.0.8/32 mtu 1300"]
    )
