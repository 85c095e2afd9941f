"""Packets that move to the second interface and back, through real tunnels. Needs root, for namespaces."""

import json
import re
import signal
import sys
from collections.abc import Iterator
from typing import Final

import pytest

from tests.tunnels.agent import NEEDS_TUNNELS, PROGRAM
from tests.tunnels.rotating import HERE, NEXT, Rotating, rotating
from tests.tunnels.world import until

pytestmark = NEEDS_TUNNELS

BEYOND: Final = "203.0.113.9"
"""An address that everybody reaches through `hub`, and that only `hub` has."""
# Sends 500 datagrams in each second and takes those of the other end; late ones have time to come.
_TRAFFIC: Final = """
import select, signal, socket, struct, sys, time
own, other, device = sys.argv[1:]
number, pause = 1500, 0.002
here = socket.socket(socket.AF_INET6 if ":" in own else socket.AF_INET, socket.SOCK_DGRAM)
here.setsockopt(socket.SOL_SOCKET, 33, 1 << 23)  # SO_RCVBUFFORCE
here.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode())
here.bind((own, 5000))
here.setblocking(False)
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
print("ready", flush=True)
signal.sigwait({signal.SIGUSR1})
sent, seen, began = 0, set(), time.monotonic()
last = began
while len(seen) < number or sent < number:
    now = time.monotonic()
    while sent < number and began + sent * pause <= now:
        here.sendto(struct.pack("!I", sent), (other, 5000))
        sent, last = sent + 1, now
    if select.select([here], [], [], pause)[0]:
        seen.add(here.recv(100))
        last = now
    if now - last > 3:
        break
print(sent - len(seen), flush=True)
"""
_TO_AND_FRO: Final = """
import time
from mesh.host.rotation.redirect import reconcile
peers, moved = json.loads(sys.argv[1]), frozenset(sys.argv[2:])
for _ in range(25):
    for each in (moved, frozenset()):
        assert reconcile("wg0", peers, each) > 0
        time.sleep(0.02)
"""
_CUT: Final = """
table inet cut {
    chain in {
        type filter hook input priority 0;
        udp dport 51820 drop
    }
    chain out {
        type filter hook output priority 0;
        udp dport 51820 drop
    }
}
"""


@pytest.fixture(scope="module")
def nodes() -> Iterator[dict[str, Rotating]]:
    with rotating(PROGRAM, ("web", "db", "hub"), {"hub": ["0.0.0.0/0"], "db": ["10.77.0.0/16"]}) as made:
        made["hub"].run("ip", "addr", "add", f"{BEYOND}/32", "dev", "lo")
        yield made


@pytest.fixture
def web(nodes: dict[str, Rotating]) -> Iterator[Rotating]:
    """A node none of whose packets take the second interface, before and afterwards."""
    yield nodes["web"]
    for node in nodes.values():
        node.move()


def _lost(ways: list[tuple[Rotating, str, str]], device: str) -> list[int]:
    """Have both ends (node, own address, the other's name) send to each other while both move to and fro.

    Returns how many packets did not come to each end.
    """
    (_, first, _), (_, second, _) = ways
    argv = (sys.executable, "-S", "-u", "-c")
    ends = [
        node.start(*argv, _TRAFFIC, own, second if own == first else first, device) for node, own, _ in ways
    ]
    for end in ends:
        assert end.stdout is not None
        assert end.stdout.readline() == "ready\n"
    for end in ends:
        end.send_signal(signal.SIGUSR1)
    moving = [node.start(*argv, HERE + _TO_AND_FRO, json.dumps(node.allowed), peer) for node, _, peer in ways]
    assert [each.wait() for each in moving] == [0, 0]
    return [int(end.communicate()[0]) for end in ends]


@pytest.mark.parametrize("device", ["", "wg0"], ids=["by route", "bound to wg0"])
@pytest.mark.parametrize("family", [4, 6])
def test_no_packet_is_lost_while_both_ends_move_there_and_back(
    nodes: dict[str, Rotating], web: Rotating, family: int, device: str
) -> None:
    db = nodes["db"]
    before = [node.bytes_sent(NEXT) for node in (web, db)]
    one, other = (web.inner, db.inner) if family == 4 else (web.inner6, db.inner6)
    assert _lost([(web, one, "db"), (db, other, "web")], device) == [0, 0]
    moved = [node.bytes_sent(NEXT) - earlier for node, earlier in zip((web, db), before, strict=True)]
    assert all(each > 100 * 64 for each in moved), "that many packets took the second interface"


@pytest.mark.parametrize("device", ["", "wg0"], ids=["by route", "bound to wg0"])
@pytest.mark.parametrize("family", [4, 6])
def test_packets_come_through_when_the_ways_of_wg0_are_cut(
    nodes: dict[str, Rotating], web: Rotating, family: int, device: str
) -> None:
    db = nodes["db"]
    address = db.inner if family == 4 else db.inner6
    assert web.move("db") > 0
    assert db.move("web") > 0
    web.run("nft", "-f", "-", stdin=_CUT)
    try:
        assert web.hears_from(address, device)
        web.move()
        assert not web.hears_from(address, device)
    finally:
        web.run("nft", "delete", "table", "inet", "cut")


def test_what_a_peer_that_did_not_move_holds_stays_while_everything_else_moves(
    nodes: dict[str, Rotating], web: Rotating
) -> None:
    """`hub` has 0.0.0.0/0, and `db` an address and a network within it."""
    hub, db = nodes["hub"], nodes["db"]
    db.run("ip", "addr", "replace", "10.77.0.1/32", "dev", "lo")
    for network in (BEYOND, "10.77.0.0/16"):
        web.run("ip", "route", "replace", network, "dev", "wg0")
    web.move("hub")
    assert _next_carries(web, BEYOND)
    assert _next_carries(web, hub.inner)
    assert not _next_carries(web, db.inner)
    assert not _next_carries(web, "10.77.0.1")
    web.move("hub", "db")
    assert _next_carries(web, "10.77.0.1")
    web.move("db")
    assert not _next_carries(web, BEYOND)
    assert _next_carries(web, db.inner)


def _next_carries(node: Rotating, address: str) -> bool:
    """Tell whether the echo request to an address, which is answered, leaves by the second interface."""
    before = node.bytes_sent(NEXT)
    assert node.hears_from(address)
    return node.bytes_sent(NEXT) - before > 1000


def test_others_filters_stay_and_ours_are_put_right(web: Rotating) -> None:
    theirs = (
        "filter add dev wg0 egress pref 77 protocol ip u32 match u32 0x0a0a00c8 0xffffffff at 16 classid 1:1"
    )
    web.run("tc", *theirs.split())
    there = web.filters()
    web.move("db", "hub")
    wanted = web.filters()
    assert web.move("db", "hub") == 0
    # A kill between two commands: one filter is missing, and one is twice there.
    handle = next(
        line.split("fh ")[1].split()[0]
        for line in wanted.splitlines()
        if "pref 20200" in line and "::8" in line
    )
    web.run("tc", *f"filter del dev wg0 egress pref 20200 protocol ipv6 handle {handle} u32".split())
    again = "filter add dev wg0 egress pref 20100 protocol ip u32 match ip dst 10.10.0.2/32"
    web.run("tc", *again.split(), *f"action mirred egress redirect dev {NEXT}".split())
    # The record does not have this peer any more.
    gone = "filter add dev wg0 egress pref 20100 protocol ip u32 match ip dst 10.10.0.9/32"
    web.run("tc", *gone.split(), *f"action mirred egress redirect dev {NEXT}".split())
    assert web.move("db", "hub") == 3
    assert _without_numbers(web.filters()) == _without_numbers(wanted)
    web.move()
    assert web.filters() == there
    assert "qdisc clsact" in web.run("tc", "qdisc", "show", "dev", "wg0")
    web.run("tc", "filter", "del", "dev", "wg0", "egress", "pref", "77")


def _without_numbers(shown: str) -> list[str]:
    """Return what filters compare and do, in any order, without the numbers that the kernel gives."""
    return sorted(
        re.sub(r"fh \S+ order \d+|fh \S+|key ht \S+|index \d+", "", line) for line in shown.splitlines()
    )


def test_a_peer_that_moves_leaves_the_filters_of_three_hundred_others_alone(web: Rotating) -> None:
    many = {
        f"n{number}": [
            f"10.10.{number // 250 + 1}.{number % 250}/32",
            f"fd00:1::{number:x}/128",
            f"10.{number // 250 + 80}.{number % 250}.0/24",
        ]
        for number in range(300)
    }
    allowed, web.allowed = web.allowed, many
    try:
        assert web.move(*many) == 901, "each network, and messages that stay"
        for gone in ("n0", "n150", "n299"):
            before = web.filters()
            assert web.move(*(name for name in many if name != gone)) == 3
            left = set(before.split("filter ")) - set(web.filters().split("filter "))
            assert len(left) == 3
            assert web.move(*many) == 3
    finally:
        web.allowed = allowed
        web.move()


def test_an_interface_that_goes_or_is_made_anew_is_put_right() -> None:
    with rotating(PROGRAM, ("web", "db"), {}) as nodes:
        web, db = nodes["web"], nodes["db"]
        web.move("db")
        db.move("web")
        web.run("ip", "link", "delete", "wg0")
        assert web.move("db") == 0, "there is nothing to change"
        web.make(PROGRAM, "wg0")
        web.know("wg0", {"db": db})
        web.up()
        web.run("nft", "-f", "-", stdin=_CUT)
        assert not web.hears_from(db.inner)
        assert web.move("db") > 0
        assert web.hears_from(db.inner)
        web.run("nft", "delete", "table", "inet", "cut")
        db.move()
        web.run("ip", "link", "delete", NEXT)
        assert not web.hears_from(db.inner)
        assert web.move("db") > 0, "what led to the interface that is gone, goes"
        until(lambda: web.hears_from(db.inner))


def test_clearing_takes_away_just_ours(web: Rotating) -> None:
    web.move("db")
    web.agent("from mesh.host.rotation.redirect import clear; clear('wg0')")
    assert web.filters() == ""
    assert "qdisc clsact" in web.run("tc", "qdisc", "show", "dev", "wg0")


def test_a_host_tells_what_its_kernel_lacks_and_is_left_as_it_was(web: Rotating) -> None:
    asked = "from mesh.host.rotation import redirect\n{}\nprint(redirect.why_not())"
    assert web.agent(asked.format("")) == "None"
    unknown = "'filter add dev lo egress pref 1 protocol ip no-such-filter'"
    said = web.agent(asked.format(f"redirect._NEEDED = (*redirect._NEEDED[:1], ('cls_u32', {unknown}))"))
    assert re.fullmatch(r"the kernel \S+ has no cls_u32, and .* until `modprobe cls_u32` works", said)
    assert "clsact" not in web.run("tc", "qdisc", "show", "dev", "lo")


_CREATE: Final = """
from mesh.host.live.interface import create_link
from mesh.host.tunnel import tunnel_named
create_link(tunnel_named("wg7"))
"""


@pytest.mark.parametrize("tc", ["works", "fails"])
def test_a_link_that_the_agent_makes_has_its_place_for_filters_before_it_is_up(tc: str) -> None:
    """As far as the host can: the link is there in any case."""
    space = Rotating(9)
    try:
        space.run("mount", "-t", "sysfs", "none", "/sys")
        space.run("mount", "-t", "tmpfs", "none", "/usr/local/sbin")
        space.run("ln", "-s", PROGRAM, "/usr/local/sbin/wireguard-go")
        if tc == "fails":
            space.run("ln", "-s", "/bin/false", "/usr/local/sbin/tc")
        space.agent(_CREATE)
        (shown,) = json.loads(space.run("ip", "-j", "link", "show", "dev", "wg7"))
        assert "UP" not in shown["flags"]
        there = space.run("/usr/sbin/tc", "qdisc", "show", "dev", "wg7")
        assert ("qdisc clsact" in there) == (tc == "works")
    finally:
        space.works("ip", "link", "delete", "wg7")
        space.end()
