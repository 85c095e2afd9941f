"""Addresses inside the mesh that change: three runs, and what each of them says."""

import re
from collections.abc import Iterator
from ipaddress import ip_address
from typing import Any

import asyncssh
import pytest

from mesh.host.files.document import FIREWALL, HOSTS, SYSCTL, WG_CONF, parse_document
from mesh.program.access import doors_of, plan_access
from mesh.program.renumbering import plan_renumbering
from mesh.review.evaluate import Firewall
from mesh.review.rules import Packet
from tests.unit.meshes import plan_of
from tests.unit.program.recording import Recording, previous_of, run

KEY = " ".join(asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode().split()[:2])
NODES: dict[str, Any] = {
    "a": {"address": "10.10.0.1"},
    "b": {"address": "10.10.0.2"},
    "c": {"address": "10.10.0.3"},
}
MOVED: dict[str, Any] = {
    name: {"address": node["address"].replace("10.10", "10.20")} for name, node in NODES.items()
}


def _mesh(nodes: dict[str, Any] = NODES, cidr: str = "10.10.0.0/24", **more: Any) -> dict[str, Any]:
    return {"cidr": cidr, "nodes": nodes, **more}


def _with(**changes: str) -> dict[str, Any]:
    return {**NODES, **{name: {"address": address} for name, address in changes.items()}}


def _files(recording: Recording, node: str) -> dict[str, str]:
    return dict(parse_document(str(recording[f"{node}-apply"].inputs["stdin"]).encode()).files)


def _own(recording: Recording, node: str) -> str:
    (found,) = re.findall(r"^Address = (.*)$", _files(recording, node)[WG_CONF], re.MULTILINE)
    return str(found)


def _allowed(recording: Recording, node: str) -> list[str]:
    return re.findall(r"^AllowedIPs = (.*)$", _files(recording, node)[WG_CONF], re.MULTILINE)


def _names(recording: Recording, node: str) -> list[str]:
    return _files(recording, node)[HOSTS].splitlines()


def _said(caplog: pytest.LogCaptureFixture) -> str:
    found = [record.getMessage() for record in caplog.records]
    caplog.clear()
    return "\n".join(found)


def _ends(wish: dict[str, Any], before: Recording) -> dict[str, list[str]]:
    plan = plan_of(wish)
    committed = doors_of(plan_access(plan, previous_of(before)))
    ends = plan_renumbering(plan, committed).ends
    return {name: [str(each) for each in addresses] for name, addresses in ends.items()}


def _runs(*wishes: dict[str, Any], first: dict[str, Any] | None = None) -> Iterator[Recording]:
    last = run(first or _mesh())
    yield last
    for wish in wishes:
        last = run(wish, existing=last)
        yield last


def test_a_mesh_gets_another_network_in_three_runs(caplog: pytest.LogCaptureFixture) -> None:
    wish = _mesh(MOVED, "10.20.0.0/24")
    first = run(_mesh())
    caplog.clear()
    second = run(wish, existing=first)
    assert _said(caplog) == (
        "a, b, c: new address in the mesh. The nodes keep the former address beside the new one, and names "
        "lead to the former one. The next `up` makes names lead to the new address, and the `up` after that "
        "takes the former address away. Clients that call these nodes need their configuration again before "
        "that."
    )
    assert _own(second, "a") == "10.10.0.1/24, 10.20.0.1/24"
    assert _allowed(second, "a") == ["10.20.0.2/32, 10.10.0.2/32", "10.20.0.3/32, 10.10.0.3/32"]
    assert _names(second, "a") == ["10.10.0.1 a", "10.10.0.2 b", "10.10.0.3 c"]
    third = run(wish, existing=second)
    assert _said(caplog) == (
        "a, b, c: names now lead to the new address in the mesh. The next `up` takes the former address "
        "away: end connections to the former address before."
    )
    assert _own(third, "a") == "10.20.0.1/24, 10.10.0.1/24"
    assert _allowed(third, "a") == _allowed(second, "a")
    assert _names(third, "a") == ["10.20.0.1 a", "10.20.0.2 b", "10.20.0.3 c"]
    fourth = run(wish, existing=third)
    assert _said(caplog) == ""
    assert _ends(wish, third) == {"a": ["10.10.0.1"], "b": ["10.10.0.2"], "c": ["10.10.0.3"]}
    assert _ends(wish, first) == _ends(wish, second) == {}
    fresh = run(wish)
    for node in "abc":
        settled = {
            path: text for path, text in _files(fresh, node).items() if path in {FIREWALL, SYSCTL, HOSTS}
        }
        assert settled.items() <= _files(fourth, node).items()
        assert (_own(fourth, node), _allowed(fourth, node)) == (_own(fresh, node), _allowed(fresh, node))
    caplog.clear()
    fifth = run(wish, existing=fourth)
    assert (_said(caplog), _ends(wish, fourth)) == ("", {})
    assert _files(fifth, "a") == _files(fourth, "a")


def test_one_node_gets_another_address_and_only_that_is_held() -> None:
    wish = _mesh(_with(b="10.10.0.20"))
    _first, second, third, fourth = _runs(wish, wish, wish)
    assert _own(second, "b") == "10.10.0.2/24, 10.10.0.20/24"
    assert _own(second, "a") == "10.10.0.1/24"
    assert _allowed(second, "a") == ["10.10.0.3/32", "10.10.0.20/32, 10.10.0.2/32"]
    assert _names(second, "c") == ["10.10.0.1 a", "10.10.0.2 b", "10.10.0.3 c"]
    assert _names(third, "c") == ["10.10.0.1 a", "10.10.0.3 c", "10.10.0.20 b"]
    assert _allowed(fourth, "a") == ["10.10.0.3/32", "10.10.0.20/32"]


def _failed(before: Recording, after: Recording, *names: str) -> Recording:
    for name in names:
        after.state[after[name].urn] = before.state[before[name].urn]
    return after


def test_a_node_that_does_not_commit_keeps_all_others_at_the_same_step() -> None:
    wish = _mesh(MOVED, "10.20.0.0/24")
    first = run(_mesh())
    second = _failed(first, run(wish, existing=first), "c-apply")
    third = run(wish, existing=second)
    assert _names(third, "a") == ["10.10.0.1 a", "10.10.0.2 b", "10.10.0.3 c"], "nothing works over new ones"
    assert _own(third, "c") == "10.10.0.3/24, 10.20.0.3/24"
    fourth = _failed(third, run(wish, existing=third), "c-apply")
    assert _names(fourth, "a") == ["10.20.0.1 a", "10.20.0.2 b", "10.20.0.3 c"]
    fifth = run(wish, existing=fourth)
    assert _own(fifth, "a") == "10.20.0.1/24, 10.10.0.1/24", "programs on c still use former addresses"
    assert _own(run(wish, existing=fifth), "a") == "10.20.0.1/24"


def test_a_change_that_is_taken_back_goes_back_in_the_same_steps() -> None:
    wish = _mesh(MOVED, "10.20.0.0/24")
    *_, third, back, again, last = _runs(wish, wish, _mesh(), _mesh(), _mesh())
    assert _names(third, "a")[0] == "10.20.0.1 a"
    assert (_own(back, "a"), _names(back, "a")[0]) == ("10.10.0.1/24, 10.20.0.1/24", "10.10.0.1 a")
    assert _own(again, "a") == "10.10.0.1/24"
    assert _files(last, "a") == _files(again, "a")


def test_an_address_that_another_node_takes_over_is_not_held() -> None:
    wish = _mesh(_with(a="10.10.0.2", b="10.10.0.1"))
    first, second = _runs(wish)
    assert (_own(second, "a"), _own(second, "b")) == ("10.10.0.2/24", "10.10.0.1/24")
    assert _allowed(second, "c") == ["10.10.0.1/32", "10.10.0.2/32"]
    assert _ends(wish, first) == {"a": ["10.10.0.1"], "b": ["10.10.0.2"]}


@pytest.mark.parametrize(
    "claim",
    [
        {"nodes": {**MOVED, "c": {**MOVED["c"], "routes": ["10.10.0.0/16"]}}},
        {
            "networks": {"backbone": {"cidr": "10.10.0.0/16"}},
            "nodes": {**MOVED, "c": {**MOVED["c"], "network": "backbone"}},
        },
    ],
)
def test_an_address_in_a_network_that_is_claimed_is_not_held(claim: dict[str, Any]) -> None:
    _first, second = _runs(_mesh(**{"nodes": MOVED, "cidr": "10.20.0.0/24", **claim}))
    assert _own(second, "a") == "10.20.0.1/24"


def test_what_has_a_former_address_for_a_source_is_a_member_with_a_policy() -> None:
    policy = [{"from": ["a"], "to": ["b"], "allow": ["tcp/5432"]}]
    wish = _mesh(MOVED, "10.20.0.0/24", policy=policy)
    _first, second, _third, fourth = _runs(wish, wish, wish, first=_mesh(policy=policy))

    def lets(recording: Recording, source: str, target: str) -> bool:
        firewall = Firewall(_files(recording, "b")[FIREWALL])
        asked = Packet(interface="wg0", source=ip_address(source), target=ip_address(target))
        return firewall.let_in(asked).lets("tcp", 5432)

    for source, target in (
        ("10.10.0.1", "10.10.0.2"),
        ("10.20.0.1", "10.20.0.2"),
        ("10.10.0.1", "10.20.0.2"),
    ):
        assert lets(second, source, target)
    assert not lets(second, "10.10.0.3", "10.10.0.2")
    assert not lets(fourth, "10.10.0.1", "10.20.0.2")
    text = _files(second, "b")[FIREWALL]
    assert '        iifname != "wg0" ip saddr 10.10.0.0/24 counter drop' in text
    assert '        iifname != "wg0" ip daddr 10.10.0.0/24 fib saddr type != local counter drop' in text
    assert "10.10." not in _files(fourth, "b")[FIREWALL]


def test_ipv6_addresses_move_in_the_same_steps() -> None:
    one, other = _mesh(cidr6="fd00:10::/64"), _mesh(cidr6="fd00:20::/64")
    _first, second, third, fourth = _runs(other, other, other, first=one)
    assert _own(second, "a") == "10.10.0.1/24, fd00:10::1/64, fd00:20::1/64"
    assert _names(second, "a")[3:] == ["fd00:10::1 a", "fd00:10::2 b", "fd00:10::3 c"]
    assert _names(third, "a")[3:] == ["fd00:20::1 a", "fd00:20::2 b", "fd00:20::3 c"]
    assert _own(fourth, "a") == "10.10.0.1/24, fd00:20::1/64"


def test_a_family_that_goes_is_not_held() -> None:
    _first, second = _runs(_mesh(), first=_mesh(cidr6="fd00:10::/64"))
    assert _own(second, "a") == "10.10.0.1/24"


def test_a_device_may_come_with_either_address_until_the_third_run(caplog: pytest.LogCaptureFixture) -> None:
    def mesh(host: int) -> dict[str, Any]:
        return _mesh(clients={"laptop": {"address": f"10.10.0.{host}", "to": ["a"]}})

    first = run(mesh(100))
    caplog.clear()
    second = run(mesh(101), existing=first)
    assert _said(caplog) == (
        "laptop: new address in the mesh. Nodes let the device in with either address until the third `up`, "
        "counted with this one: give the device its new configuration before (`mesh client NAME`)."
    )
    assert _allowed(second, "a")[-1] == "10.10.0.101/32, 10.10.0.100/32"
    third = run(mesh(101), existing=second)
    assert _allowed(third, "a")[-1] == "10.10.0.101/32, 10.10.0.100/32"
    fourth = run(mesh(101), existing=third)
    assert _allowed(fourth, "a")[-1] == "10.10.0.101/32"
    assert _files(run(mesh(101), existing=fourth), "a") == _files(fourth, "a")


RELAYED: dict[str, Any] = {
    "hub": {"address": "10.10.0.1"},
    "home": {"address": "10.10.0.2", "endpoint": "none", "relay": "hub"},
    "shop": {"address": "10.10.0.3", "endpoint": "none", "relay": "hub"},
}


def test_a_relay_has_no_part_in_the_addresses_of_the_nodes_behind_it() -> None:
    first = run(_mesh(RELAYED))
    assert _ends(_mesh(RELAYED), first) == {}
    moved = {
        name: {**node, "address": node["address"].replace("10.10", "10.20")} for name, node in RELAYED.items()
    }
    wish = _mesh(moved, "10.20.0.0/24")
    second = run(wish, existing=first)
    assert _ends(wish, first) == {}
    assert _allowed(second, "home") == ["10.20.0.1/32, 10.20.0.3/32, 10.10.0.1/32, 10.10.0.3/32"]
    assert _names(second, "home") == ["10.10.0.1 hub", "10.10.0.2 home", "10.10.0.3 shop"]
    third = run(wish, existing=second)
    assert _names(third, "home") == ["10.20.0.1 hub", "10.20.0.2 home", "10.20.0.3 shop"]
    fourth = run(wish, existing=third)
    assert _allowed(fourth, "home") == ["10.20.0.1/32, 10.20.0.3/32"]
    assert _files(run(wish, existing=fourth), "hub") == _files(fourth, "hub")


def test_a_route_to_one_host_is_no_address_of_its_node() -> None:
    def mesh(host: int, *routes: str) -> dict[str, Any]:
        return _mesh({**NODES, "c": {"address": f"10.10.0.{host}", "routes": list(routes)}})

    first = run(mesh(3, "192.168.7.9/32"))
    assert _ends(mesh(3, "192.168.7.9/32"), first) == {}
    second = run(mesh(33), existing=first)
    assert _own(second, "c") == "10.10.0.3/24, 10.10.0.33/24"


@pytest.mark.parametrize("key", ["host", "hostIpv6"])
def test_a_network_in_which_a_server_is_reached_from_outside_is_not_held(key: str) -> None:
    """The firewall would drop what comes from there by another way than the tunnel."""
    rack = {"address": "10.20.0.9", "provider": "static", "hostKey": KEY, "host": "203.0.113.9"}
    inside = {"host": "10.10.0.50", "hostIpv6": "fd00:10::50"}
    wish = _mesh({**MOVED, "rack": {**rack, key: inside[key]}}, "10.20.0.0/24", cidr6="fd00:20::/64")
    _first, second = _runs(wish, first=_mesh(cidr6="fd00:10::/64"))
    gone, kept = ("10.10.0.1", "fd00:10::1") if key == "host" else ("fd00:10::1", "10.10.0.1")
    assert gone not in _own(second, "a")
    assert kept in _own(second, "a")


def _without(nodes: dict[str, Any], out: str) -> dict[str, Any]:
    return {name: {**node, "enabled": name not in out} for name, node in nodes.items()}


@pytest.mark.parametrize("out", ["c", "bc"])
def test_nodes_that_were_out_bring_no_former_network_back(out: str) -> None:
    """Nobody uses their former addresses, and what their files say of others is old."""
    wish = _mesh(MOVED, "10.20.0.0/24")
    without = _mesh(_without(MOVED, out), "10.20.0.0/24")
    before = run(_mesh())
    first = _failed(
        before, run(_mesh(_without(NODES, out)), existing=before), *(f"{name}-apply" for name in out)
    )
    *_, last = _runs_from(first, without, without, without)
    assert _own(last, "a") == "10.20.0.1/24"
    back = run(wish, existing=_failed(before, last, *(f"{name}-apply" for name in out)))
    for node in "abc":
        assert "10.10." not in str(_files(back, node)[WG_CONF])
        assert _names(back, node) == ["10.20.0.1 a", "10.20.0.2 b", "10.20.0.3 c"]


def _runs_from(first: Recording, *wishes: dict[str, Any]) -> Iterator[Recording]:
    last = first
    for wish in wishes:
        last = run(wish, existing=last)
        yield last


def test_a_network_that_becomes_narrower_holds_only_what_lies_in_it() -> None:
    wide = _mesh(_with(b="10.10.5.2"), "10.10.0.0/16")
    narrow = _mesh(_with(b="10.10.0.22"))
    first, second = _runs(narrow, first=wide)
    assert _own(second, "b") == "10.10.0.22/24"
    assert _ends(narrow, first) == {"b": ["10.10.5.2"]}
    first, second = _runs(_mesh(_with(b="10.10.5.2"), "10.10.0.0/16"))
    assert _own(second, "b") == "10.10.0.2/16, 10.10.5.2/16", "in the wider network"
    assert _own(second, "a") == "10.10.0.1/16"


def test_a_device_whose_address_is_taken_over_is_told(caplog: pytest.LogCaptureFixture) -> None:
    first = run(_mesh(clients={"laptop": {"address": "10.10.0.100", "to": ["a"]}}))
    caplog.clear()
    phone = {"address": "10.10.0.100", "to": ["b"]}
    run(_mesh(clients={"laptop": {"address": "10.10.0.101", "to": ["a"]}, "phone": phone}), existing=first)
    assert "laptop: nodes no longer let the device in with its former address 10.10.0.100." in _said(caplog)
