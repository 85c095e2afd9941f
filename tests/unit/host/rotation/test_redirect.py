"""Filters of tc as the kernel's come out of `tc filter show`, and what changes them."""

from collections.abc import Sequence
from ipaddress import ip_address, ip_network
from itertools import count
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.host.answers import AgentError
from mesh.host.rotation import redirect
from mesh.host.rotation.redirect import (
    Filter,
    Live,
    changes,
    parse_filters,
    wanted_egress,
    wanted_ingress,
    why_not,
)

PLACE: Final = "dev wg0 egress"
PEERS: Final = {
    "web-1": ["10.10.0.2/32", "fd00::2/128"],
    "web-2": ["10.10.0.3/32", "10.20.0.0/16"],
    "hub": ["10.10.0.4/32", "10.0.0.0/8", "0.0.0.0/0"],
    "phone": ["10.10.0.99/32"],
}
# By iproute2 6.1, as Debian 12 and Ubuntu 24.04 have it; filters of others first. 6.1 puts a star before
# `flowid`, 6.15 of Debian 13 does not.
SHOWN: Final = """\
filter protocol all pref 5 u32 chain 0 
filter protocol all pref 5 u32 chain 0 fh 803: ht divisor 1 
filter protocol all pref 5 u32 chain 0 fh 803::800 order 2048 key ht 803 bkt 0 terminal flowid not_in_hw 
  match 00000000/00000000 at 0
	action order 1: mirred (Egress Mirror to device eth1) pipe
	index 9 ref 1 bind 1

filter protocol ip pref 6 bpf chain 0 
filter protocol ip pref 6 bpf chain 0 handle 0x1 not_in_hw bytecode '1,6 0 0 0'
filter protocol ip pref 20000 u32 chain 0 
filter protocol ip pref 20000 u32 chain 0 fh 800: ht divisor 1 
filter protocol ip pref 20000 u32 chain 0 fh 800::800 order 2048 key ht 800 bkt 0 *flowid 1:1 not_in_hw 
  match 45000000/ff000000 at 0
  match 00010000/00ff0000 at 8
  match 08000000/ff000000 at 20
  match 57680000/ffff0000 at 24
  match 77676d65/ffffffff at 28
  match 73685231/ffffffff at 32
filter protocol ip pref 20100 u32 chain 0 
filter protocol ip pref 20100 u32 chain 0 fh 801: ht divisor 1 
filter protocol ip pref 20100 u32 chain 0 fh 801::800 order 2048 key ht 801 bkt 0 terminal flowid not_in_hw 
  match 0a0a0002/ffffffff at 16
	action order 1: mirred (Egress Redirect to device wg0-next) stolen
	index 1 ref 1 bind 1

filter protocol ipv6 pref 20200 u32 chain 0 
filter protocol ipv6 pref 20200 u32 chain 0 fh 802: ht divisor 1 
filter protocol ipv6 pref 20200 u32 chain 0 fh 802::80f order 2063 key ht 802 bkt 0 terminal flowid not_in_hw 
  match fd000000/ffffffff at 24
  match 00000000/ffffffff at 28
  match 00000000/ffffffff at 32
  match 00000002/ffffffff at 36
	action order 1: mirred (Egress Redirect to device wg0-next) stolen
	index 3 ref 1 bind 1

"""  # noqa: W291 - as tc prints it
NEWER: Final = SHOWN.replace("*flowid", "flowid").replace("not_in_hw \n", "not_in_hw\n")


def _live(filters: Sequence[Filter]) -> list[Live]:
    numbers = count(0x800)
    return [Live(f"800::{next(numbers):x}", each) for each in filters]


@pytest.mark.parametrize("shown", [SHOWN, NEWER], ids=["6.1", "6.15"])
def test_what_the_kernel_has_is_what_was_wanted(shown: str) -> None:
    live = parse_filters(shown)
    assert [each.handle for each in live] == ["800::800", "801::800", "802::80f"]
    assert changes(PLACE, live, wanted_egress(PEERS, frozenset({"web-1"}))) == []


def test_a_filter_goes_by_its_own_handle_and_the_last_one_with_its_pref() -> None:
    """An empty list would stay in the kernel otherwise."""
    renumbered = wanted_egress({"web-1": ["10.10.0.2", "fd00::9"]}, frozenset({"web-1"}))
    added, removed = changes(PLACE, parse_filters(SHOWN), renumbered)
    assert added.endswith(
        " pref 20200 protocol ipv6 u32 match u32 0xfd000000 0xffffffff at 24 "
        "match u32 0x00000000 0xffffffff at 28 match u32 0x00000000 0xffffffff at 32 "
        "match u32 0x00000009 0xffffffff at 36 "
        "action mirred egress redirect dev wg0-next"
    )
    assert removed == "filter del dev wg0 egress pref 20200 protocol ipv6 handle 802::80f u32"
    assert changes(PLACE, parse_filters(SHOWN), []) == [
        "filter del dev wg0 egress pref 20200 protocol ipv6",
        "filter del dev wg0 egress pref 20100 protocol ip",
        "filter del dev wg0 egress pref 20000 protocol ip",
    ]


@pytest.mark.parametrize(
    ("ours", "other"),
    [
        ("device wg0-next", "device *"),  # that interface is gone
        ("Egress Redirect", "Egress Mirror"),
        ("Egress Redirect", "Ingress Redirect"),
        ("0a0a0002/ffffffff at 16", "0a0a0002/ffffffff at 12"),
        ("0a0a0002/ffffffff at 16", "0a0a0002/ffffffff at nexthdr+0"),
        ("  match 0a0a0002", "  mark 0x0001 0xffff (success 0)\n  match 0a0a0002"),
    ],
)
def test_one_that_differs_is_replaced_and_the_new_one_comes_first(ours: str, other: str) -> None:
    live = parse_filters(SHOWN.replace(ours, other, 1))
    added, removed = changes(PLACE, live, wanted_egress(PEERS, frozenset({"web-1"})))
    assert added.startswith(
        "filter add dev wg0 egress pref 20100 protocol ip u32 match u32 0x0a0a0002 0xffffffff at 16"
    )
    assert removed.startswith("filter del dev wg0 egress pref 20100 ")
    assert removed.endswith(" handle 801::800 u32")


class Kernel:
    """Filters as the kernel keeps them: by pref, then by handle; the first that matches decides."""

    def __init__(self) -> None:
        self.live: list[Live] = []
        self._numbers = count(0x800)

    def run(self, command: str) -> None:
        _filter, verb, *words = command.split()
        pref = int(words[words.index("pref") + 1])
        if verb == "add":
            self.live.append(Live(f"800::{next(self._numbers):x}", _parsed(words)))
            return
        handle = words[words.index("handle") + 1] if "handle" in words else None
        left = [each for each in self.live if each.filter.pref != pref or handle not in (None, each.handle)]
        assert len(left) < len(self.live)
        self.live = left

    def leaves_by(self, header: bytes) -> str:
        protocol = "ip" if header[0] >> 4 == 4 else "ipv6"
        for each in sorted(self.live, key=lambda each: (each.filter.pref, int(each.handle[5:], 16))):
            words = (
                (int.from_bytes(header[at : at + 4], "big"), value, mask)
                for value, mask, at in each.filter.matches
            )
            if each.filter.protocol in (protocol, "all") and all(
                word & mask == value for word, value, mask in words
            ):
                return "wg0" if each.filter.deed == "classid 1:1" else each.filter.deed.split()[-1]
        return "wg0"


def _parsed(words: Sequence[str]) -> Filter:
    """Read a filter as tc does."""
    pref, protocol = (words[words.index(word) + 1] for word in ("pref", "protocol"))
    keys = [index for index, word in enumerate(words) if word == "match"]
    matches = tuple((int(words[key + 2], 16), int(words[key + 3], 16), int(words[key + 5])) for key in keys)
    return Filter(int(pref), protocol, matches, " ".join(words[keys[-1] + 6 :]))


def _packet(address: str, *, identifier: int = 0) -> bytes:
    """Return an echo request to this address, with what our messages begin with."""
    to = ip_address(address)
    if to.version == 6:
        return bytes([0x60, *bytes(23)]) + to.packed + bytes(36)
    payload = b"wgmeshR1" if identifier else b"12345678"
    header = bytes([0x45, *bytes(8), 1, *bytes(6)]) + to.packed
    return header + bytes([8, 0, 0, 0]) + identifier.to_bytes(2, "big") + bytes(2) + payload


def _owner(address: str) -> str:
    """Return the peer to which WireGuard sends what is for this address."""
    networks = [(ip_network(each), name) for name, each_of in PEERS.items() for each in each_of]
    to = ip_address(address)
    return max((network.prefixlen, name) for network, name in networks if to in network)[1]


ADDRESSES: Final = (
    "10.10.0.2",
    "fd00::2",
    "10.10.0.3",
    "10.20.9.9",
    "10.10.0.4",
    "10.9.9.9",
    "192.0.2.77",
    "10.10.0.99",
)
SETS: Final = st.frozensets(st.sampled_from(sorted(PEERS)))


@given(SETS, SETS)
def test_every_packet_takes_the_way_of_its_peer_after_each_single_command(
    before: frozenset[str], after: frozenset[str]
) -> None:
    kernel = Kernel()
    for command in changes(PLACE, [], wanted_egress(PEERS, before)):
        kernel.run(command)
    assert {to: kernel.leaves_by(_packet(to)) for to in ADDRESSES} == {
        to: "wg0-next" if _owner(to) in before else "wg0" for to in ADDRESSES
    }
    for command in changes(PLACE, kernel.live, wanted_egress(PEERS, after)):
        kernel.run(command)
        for to in ADDRESSES:
            ways = {"wg0-next" if _owner(to) in moved else "wg0" for moved in (before, after)}
            assert kernel.leaves_by(_packet(to)) in ways, command
    assert changes(PLACE, kernel.live, wanted_egress(PEERS, after)) == []


def test_without_anybody_on_the_second_interface_nothing_is_left() -> None:
    assert wanted_egress(PEERS, frozenset()) == []
    assert wanted_egress(PEERS, frozenset({"left-the-mesh"})) == []


def test_a_probe_on_wg0_stays_there_and_a_message_by_route_follows() -> None:
    kernel = Kernel()
    for command in changes(PLACE, [], wanted_egress(PEERS, frozenset(PEERS))):
        kernel.run(command)
    assert kernel.leaves_by(_packet("10.10.0.2", identifier=0x5768)) == "wg0"
    assert kernel.leaves_by(_packet("10.10.0.2", identifier=0x5767)) == "wg0-next"


def test_all_but_messages_go_on_from_the_second_interface() -> None:
    kernel = Kernel()
    for command in changes("dev wg0-next ingress", [], wanted_ingress("wg-new")):
        kernel.run(command)
    stays = "wg0"  # what the model calls the interface where a packet is
    for identifier in (0x5767, 0x5768):
        assert kernel.leaves_by(_packet("10.10.0.2", identifier=identifier)) == stays
        like_it = _packet("10.10.0.2", identifier=identifier).replace(b"wgmeshR1", b"wgmeshR2")
        assert kernel.leaves_by(like_it) == "wg-new", "somebody's ping, by chance with that identifier"
    assert kernel.leaves_by(_packet("10.10.0.2")) == "wg-new"
    assert kernel.leaves_by(_packet("fd00::2")) == "wg-new"


def test_a_host_without_tc_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redirect, "find_tool", {}.get)
    assert why_not() == "tc is not installed, and keys are rotated by filters of tc: install iproute2"


def test_an_interface_that_is_not_there_has_nothing_to_change() -> None:
    assert redirect.reconcile("no-such-wg", PEERS, frozenset(PEERS)) == 0
    redirect.clear("no-such-wg")
    with pytest.raises(AgentError):
        redirect.prepare_next()
