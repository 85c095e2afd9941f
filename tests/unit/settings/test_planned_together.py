"""What only shows when parts of the file are put together, with each other or with the stack's name."""

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.program import KINDS
from mesh.settings import PortRange, SettingsError, merged, parse_settings, warnings_of


def _mesh(**more: Any) -> dict[str, Any]:
    return {"cidr": "10.10.0.0/24", "nodes": {"web-1": {"address": "10.10.0.1"}}, **more}


def _problems(raw: dict[str, Any], stack: str | None = None) -> list[str]:
    try:
        parse_settings(raw, stack=stack, kinds=KINDS)
    except SettingsError as error:
        return [str(problem) for problem in error.problems]
    return []


@pytest.mark.parametrize("stack", ["lab", "prod", "pr-12", "eu.prod", "Prod", "7"])
def test_a_stack_whose_name_begins_host_names_is_accepted(stack: str) -> None:
    assert _problems(_mesh(), stack) == []


@pytest.mark.parametrize(
    ("stack", "near"),
    [("pr_12", "pr-12"), ("-x", "x"), ("a..b", "a.b"), ("a.-b", "a.b"), (".a", "a"), ("_", "prod")],
)
def test_a_stack_whose_name_does_not_is_refused_with_a_better_one(stack: str, near: str) -> None:
    (problem,) = _problems(_mesh(), stack)
    assert problem.startswith(f"the stack's name: {stack!r} begins the name of every server")
    assert f"`pulumi stack rename {near}`" in problem


def test_the_name_of_a_server_has_at_most_63_characters() -> None:
    stack, node = "feature-checkout-redesign-2026-q4", "a" * 29
    assert _problems(_mesh(nodes={node: {"address": "10.10.0.1"}}), stack) == []
    (problem,) = _problems(_mesh(nodes={f"{node}bc": {"address": "10.10.0.1"}}), stack)
    assert problem.startswith(
        f"mesh.nodes.{node}bc: the server would be called {stack}-{node}bc: 65 characters"
    )
    assert problem.endswith("shorter by 2")


def test_mistakes_of_names_are_told_along_with_all_others() -> None:
    found = _problems(_mesh(port=0, nodes={"a" * 40: {"address": "10.10.9.1"}}), "b" * 30)
    assert [problem.partition(": ")[0] for problem in found] == [
        f"mesh.nodes.{'a' * 40}",
        f"mesh.nodes.{'a' * 40}.address",
        "mesh.port",
    ]


@pytest.mark.parametrize("name", ["1", "007", "1e3", "1e-3", "0x10", "0b1", "0o17", "4294967295"])
def test_a_name_that_reads_as_a_number_is_refused(name: str) -> None:
    (problem,) = _problems(_mesh(nodes={name: {"address": "10.10.0.1"}}))
    assert problem.startswith(f"mesh.nodes.{name}: {name} reads as a number")
    assert problem.endswith(f"such as n{name}")
    assert _problems(_mesh(nodes={f"n{name}": {"address": "10.10.0.1"}})) == []


@pytest.mark.parametrize(
    "name",
    [
        "localhost",
        "localhost4",
        "localhost6",
        "localdomain",
        "ip6-localhost",
        "ip6-loopback",
        "ip6-allnodes",
        "ip6-localnet",
        "ip6-mcastprefix",
        "broadcasthost",
        "loopback",
        "local",
        "invalid",
    ],
)
def test_a_name_that_every_host_has_is_refused(name: str) -> None:
    (problem,) = _problems(_mesh(nodes={name: {"address": "10.10.0.1"}}))
    assert problem.startswith(f"mesh.nodes.{name}: is a name that every host uses")


@pytest.mark.parametrize(
    "name", ["yes", "no", "null", "on", "e1", "1a", "x0", "node1e3", "2-1", "0x", "deadbeef"]
)
def test_ordinary_names_stay_names(name: str) -> None:
    assert _problems(_mesh(nodes={name: {"address": "10.10.0.1"}})) == []


@pytest.mark.parametrize(
    "name",
    [
        "eth0",
        "eth0.10",
        "eth1",
        "eno1",
        "ens3",
        "enp1s0",
        "enx001122334455",
        "wlan0",
        "wlp2s0",
        "wwan0",
        "bond0",
        "team0",
        "ib0",
        "ibp4s0",
        "em1",
        "p1p1",
        "usb0",
        "ppp0",
        "venet0",
        "vlan10",
        "e*",
        "en*",
        "eth*",
        "enp*",
        "w*",
        "wl*",
        "b*",
        "bo*",
        "bond*",
        "t*",
        "p*",
        "p1*",
        "p1p*",
        "v*",
        "i*",
        "l*",
    ],
)
def test_an_interface_that_the_internet_is_behind_is_never_trusted(name: str) -> None:
    node = {"address": "10.10.0.1", "trustedInterfaces": ["docker0", name]}
    (problem,) = _problems(_mesh(nodes={"web-1": node}))
    assert problem.startswith(f"mesh.nodes.web-1.trustedInterfaces[1]: {name} ")
    assert "name the bridges of containers" in problem
    (default,) = _problems(_mesh(defaults={"trustedInterfaces": [name]}))
    assert default.startswith("mesh.defaults.trustedInterfaces[0]: ")


@pytest.mark.parametrize("name", ["eth1", "ens10", "enp7s0", "eth1.20", "bond0", "vlan10", "p1p1"])
def test_a_node_that_forwards_may_trust_the_card_of_a_network_behind_it(name: str) -> None:
    node = {"address": "10.10.0.1", "forward": True, "trustedInterfaces": [name]}
    assert _problems(_mesh(nodes={"web-1": node})) == []
    (problem,) = _problems(_mesh(nodes={"web-1": {**node, "forward": False}}))
    assert problem.startswith(f"mesh.nodes.web-1.trustedInterfaces[0]: {name} is the usual name of")


@pytest.mark.parametrize(
    "name", ["eth0", "eth0.10", "ens3", "enp1s0", "eno1", "wlan0", "e*", "eth*", "ens1*"]
)
def test_not_even_such_a_node_may_trust_the_first_card_or_any(name: str) -> None:
    node = {"address": "10.10.0.1", "forward": True, "trustedInterfaces": [name]}
    (problem,) = _problems(_mesh(nodes={"web-1": node}))
    assert "the internet is behind this card" in problem


def test_a_card_among_the_defaults_is_told_once() -> None:
    nodes = {name: {"address": f"10.10.0.{index}"} for index, name in enumerate(("a", "b"), 1)}
    (problem,) = _problems(_mesh(nodes=nodes, defaults={"trustedInterfaces": ["docker0", "eth1"]}))
    assert problem.startswith("mesh.defaults.trustedInterfaces[1]: eth1 is the usual name of")


@pytest.mark.parametrize(
    "name",
    [
        "docker0",
        "docker*",
        "br-*",
        "br-0a1b2c",
        "cni0",
        "cni*",
        "cali*",
        "flannel.1",
        "lxcbr0",
        "lxd*",
        "virbr0",
        "podman0",
        "podman*",
        "veth*",
        "ve-*",
        "vb-*",
        "vnet*",
        "cilium_*",
        "kube-*",
        "nerdctl0",
        "tun0",
        "tap*",
    ],
)
def test_bridges_of_containers_are(name: str) -> None:
    assert _problems(_mesh(defaults={"trustedInterfaces": [name]})) == []


@pytest.mark.parametrize(
    ("source", "remedy"),
    [
        ("fe80::1%eth0", "give your public address"),
        ("2001:db8::1%eth0", "give your public address"),
        ("fe80::1%\neth0", "give your public address"),
        ("::ffff:203.0.113.5", "write 203.0.113.5"),
        ("::ffff:203.0.113.0/120", "write 203.0.113.0/24"),
        ("::ffff:cb00:7105", "write 203.0.113.5"),
        ("::203.0.113.5", "write 203.0.113.5"),
        ("fe80::/64", "give your public address"),
        ("127.0.0.1", "give your public address"),
        ("127.0.0.0/8", "give your public address"),
        ("::1", "give your public address"),
        ("::", "give your public address"),
        ("0.0.0.0", "give your public address"),
        ("169.254.10.0/24", "give your public address"),
        ("224.0.0.1", "give your public address"),
        ("255.255.255.255", "give your public address"),
        ("ff02::1", "give your public address"),
        ("203.0.113.7/24", "write 203.0.113.7 for this one address, or 203.0.113.0/24 for all 256"),
        ("203.0.113.7/31", "write 203.0.113.7 for this one address, or 203.0.113.6/31 for all 2"),
        (
            "203.0.113.7/255.255.255.0",
            "write 203.0.113.7 for this one address, or 203.0.113.0/24 for all 256",
        ),
    ],
)
def test_a_source_that_never_matches_is_refused_with_what_does(source: str, remedy: str) -> None:
    (problem,) = _problems(_mesh(ssh={"from": ["198.51.100.0/24", source]}))
    assert problem.startswith("mesh.ssh.from[1]: ")
    assert problem.endswith(remedy)
    assert "\n" not in problem


@pytest.mark.parametrize(
    "source",
    ["0.0.0.0/0", "::/0", "10.0.0.0/8", "203.0.113.7", "203.0.113.7/32", "2001:db8::/32", "100.64.0.0/10"],
)
def test_a_source_that_can_come_is_accepted(source: str) -> None:
    assert _problems(_mesh(ssh={"from": [source, "198.51.100.0/24"]})) == []


def _nodes(cidr: str, trusted: list[str]) -> dict[str, Any]:
    first = cidr.rpartition(".")[0] + ".1"
    return {"cidr": cidr, "nodes": {"web-1": {"address": first, "trustedInterfaces": trusted}}}


@pytest.mark.parametrize(
    ("cidr", "trusted"),
    [
        ("172.17.0.0/24", "docker0"),
        ("172.16.0.0/12", "docker*"),
        ("10.42.0.0/16", "cni0"),
        ("10.43.8.0/24", "cni*"),
        ("10.244.0.0/24", "cni0"),
        ("10.96.0.0/24", "cni0"),
        ("10.88.0.0/24", "podman0"),
        ("192.168.122.0/24", "virbr0"),
        ("10.0.3.0/24", "lxcbr0"),
        ("100.64.0.0/24", "tailscale0"),
    ],
)
def test_a_network_that_a_trusted_bridge_has_is_refused(cidr: str, trusted: str) -> None:
    if cidr.startswith("172.16"):
        raw = {"cidr": cidr, "nodes": {"web-1": {"address": "172.16.0.1", "trustedInterfaces": [trusted]}}}
        assert "gateway of every server at Hetzner" in _problems(raw)[0]
        return
    (problem,) = _problems(_nodes(cidr, [trusted]))
    assert problem.startswith(f"mesh.cidr: {cidr} overlaps ")
    assert f"web-1 trusts {trusted}" in problem
    assert "take another network" in problem
    other = "br-*" if trusted != "br-*" else "docker0"
    assert _problems(_nodes(cidr, [other])) == []
    (warning,) = warnings_of(parse_settings(_nodes(cidr, [])))
    assert str(warning).startswith(f"mesh.cidr: {cidr} overlaps ")


@pytest.mark.parametrize("cidr", ["172.31.1.0/24", "172.31.0.0/16"])
def test_the_gateway_of_every_server_is_in_no_mesh(cidr: str) -> None:
    (problem,) = _problems(_nodes(cidr, []))
    assert "172.31.1.1, the gateway of every server" in problem


@pytest.mark.parametrize("cidr", ["169.254.0.0/16", "127.0.0.0/8", "224.0.0.0/24", "203.0.113.0/24"])
def test_a_network_that_is_no_private_one_is_refused(cidr: str) -> None:
    (problem,) = _problems(_nodes(cidr, []))[:1]
    assert problem.startswith(f"mesh.cidr: {cidr} is ")
    assert "take a network inside 10.0.0.0/8" in problem


def test_ordinary_meshes_are_told_nothing() -> None:
    assert warnings_of(parse_settings(_mesh())) == ()


@pytest.mark.parametrize(("sources", "told"), [(["203.0.113.7"], 1), (["2001:db8::7/128", "10.10.0.0/24"], 1),
    (["203.0.113.7", "203.0.113.8"], 0), (["203.0.113.0/24"], 0)])  # fmt: skip
def test_a_single_address_that_may_log_in_is_told(sources: list[str], told: int) -> None:
    found = warnings_of(parse_settings(_mesh(ssh={"from": sources})))
    assert len(found) == told
    assert all(str(each).startswith("mesh.ssh.from: ") for each in found)


def test_more_rules_than_a_firewall_has_room_for_are_refused() -> None:
    def public(count: int) -> dict[str, Any]:
        ports = [f"tcp/{1000 + 2 * number}" for number in range(count)]
        return _mesh(nodes={"db-1": {"address": "10.10.0.1", "public": ports}})

    assert _problems(public(45)) == []
    (problem,) = _problems(public(60))
    assert problem.startswith("mesh.nodes.db-1.public: comes to 60 rules")
    assert "give ranges, such as tcp/1000-1018, or fewer ports" in problem


def test_more_firewalls_than_a_project_has_room_for_are_refused() -> None:
    nodes = {
        f"n-{number}": {"address": f"10.10.0.{number}", "public": [f"tcp/{1000 + number}"]}
        for number in range(1, 52)
    }
    (problem,) = _problems(_mesh(nodes=nodes))
    assert problem.startswith("mesh.nodes: have 51 different sets of public ports")


def test_more_placement_groups_than_a_project_has_room_for_are_refused() -> None:
    nodes = {f"n-{number}": {"address": f"10.10.{number}.1"} for number in range(51)}
    (problem,) = _problems({"cidr": "10.10.0.0/16", "nodes": nodes})
    assert problem.startswith("mesh.nodes: have addresses in 51 blocks of ten")


_RANGES = st.builds(
    lambda protocol, first, more: PortRange(protocol=protocol, first=first, last=min(first + more, 65535)),
    st.sampled_from(["tcp", "udp"]),
    st.integers(1, 300),
    st.integers(0, 20),
)


def _each(ports: Any) -> set[tuple[str, int]]:
    return {(port.protocol, number) for port in ports for number in range(port.first, port.last + 1)}


@given(st.lists(_RANGES, max_size=30))
def test_merging_keeps_every_port_and_adds_none(ports: list[PortRange]) -> None:
    found = merged(ports)
    assert _each(found) == _each(ports)
    for one, other in pairwise(found):
        assert one.protocol != other.protocol or one.last + 1 < other.first


@pytest.mark.parametrize(
    ("where", "key", "says"),
    [
        ("mesh", "peers", "write each server under nodes, and each person's device under clients"),
        ("mesh", "dns", "there is no DNS server"),
        ("mesh", "topology", "links says which nodes have a tunnel to each other"),
        ("mesh", "network", "did you mean cidr?"),
        ("node", "publicKey", "`up` makes the keys"),
        ("node", "host", "such a node also has `provider: static`"),
        ("node", "userData", "a server gets no user data from the stack file"),
        ("node", "region", "did you mean location?"),
        ("node", "size", "did you mean type?"),
        ("node", "ip", "did you mean address?"),
        ("ssh", "user", "everything on a node is done as root"),
        ("rule", "deny", "there are no deny rules"),
    ],
)
def test_a_key_from_elsewhere_is_told_how_it_is_done_here(where: str, key: str, says: str) -> None:
    raw = _mesh()
    rule = {"from": ["web-1"], "to": ["all"], "allow": ["all"]}
    if where == "rule":
        raw["policy"] = [{**rule, key: ["tcp/22"]}]
    elif where == "node":
        raw["nodes"]["web-1"][key] = "x"
    elif where == "ssh":
        raw["ssh"] = {key: "x"}
    else:
        raw[key] = "x"
    found = [problem for problem in _problems(raw) if key in problem]
    assert len(found) == 1
    assert says in found[0]
