"""A trial of packets: the host's whole ruleset in a scratch namespace, and knocks at its doors."""

from __future__ import annotations

import contextlib
import ipaddress
import json
import os
import re
import select
import socket
import time
from pathlib import Path

from ..answers import AgentError
from ..live.foreign import Ruleset, load
from ..records import dataclass, replace
from ..system.netlink import traces
from ..system.run import attempt, log, run
from ..system.scratch import isolated, new_network
from .tracing import TRACER, Drop, Packet, Tracer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any, Optional, Union

    from ..tunnel import Tunnel
    from .knocks import Door, Knock

    _Socket = Union[socket.socket, int]

__all__ = ["Outcome", "try_packets"]

_CONNECT = 2.0
_SAY_AGAIN = 0.8
# Once everybody who must come in has, a stranger who may come in is late at most this long.
_STRANGER = 0.3
_ALL = 20.0
_CLIENT_LINK = "wgmesh-proof"
_CHUNK = 1 << 16
_FORWARDING = {4: Path("/proc/sys/net/ipv4/ip_forward"), 6: Path("/proc/sys/net/ipv6/conf/all/forwarding")}


@dataclass(frozen=True)
class Outcome:
    """What came of it: who got in, what stopped the others (in words; its table), what did not load."""

    entered: Mapping[Knock, bool]
    stopped_by: Mapping[Knock, str]
    table: Mapping[Knock, tuple[str, str]]
    untried: Sequence[tuple[str, str]]

    def failed(self) -> list[Knock]:
        """Return the knocks that did not end as they should."""
        return [knock for knock, entered in self.entered.items() if entered != knock.welcome]


def try_packets(
    tunnel: Tunnel, knocks: Sequence[Knock], others: Sequence[Ruleset], ours: str
) -> Optional[Outcome]:
    """Load the rules of others and our table in a namespace made for it, and knock.

    A knock has come in when its answer has come back. None where this cannot be tried on this host; the
    journal says why.
    """
    outcome = _try_once(tunnel, knocks, others, ours)
    return outcome and _named(tunnel, outcome, others, ours)


def _named(tunnel: Tunnel, outcome: Outcome, others: Sequence[Ruleset], ours: str) -> Outcome:
    """Name what is never traced, and so stopped knocks silently: without which rules do they come in?"""
    nameless = [knock for knock in outcome.failed() if knock.welcome and knock not in outcome.table]
    stopped_by, table = dict(outcome.stopped_by), dict(outcome.table)
    for ruleset in others if nameless else ():
        if not ruleset.untraced:
            continue
        without = _try_once(tunnel, nameless, [other for other in others if other != ruleset], ours)
        for knock in without.entered if without else ():
            if without and without.entered[knock]:
                stopped_by[knock] = ruleset.name
                table[knock] = ("", ruleset.name)
    return replace(outcome, stopped_by=stopped_by, table=table)


def _try_once(
    tunnel: Tunnel, knocks: Sequence[Knock], others: Sequence[Ruleset], ours: str
) -> Optional[Outcome]:
    found = isolated(lambda: _play(tunnel, knocks, others, ours), seconds=_ALL)
    if not isinstance(found, dict):
        return None
    stops = {int(index): stop for index, stop in found["stops"].items()}
    return Outcome(
        entered=dict(zip(knocks, found["entered"])),
        stopped_by={knocks[index]: words for index, (words, _family, _table) in stops.items()},
        table={knocks[index]: (family, table) for index, (_words, family, table) in stops.items()},
        untried=[(name, reason) for name, reason in found["untried"]],
    )


def _play(tunnel: Tunnel, knocks: Sequence[Knock], others: Sequence[Ruleset], ours: str) -> dict[str, Any]:
    """Be the host, in a scratch namespace; the network around it is a second one.

    Three processes, of which each `fork` is drawn as a step to the right, and two pipes:

        the agent                 the scratch host (this)              the network around it
        ---------                 -----------------------              ---------------------
        isolated ---- fork -----> new network, die with the agent
        waits, 20 s at most       _play ------------- fork ----------> new network, die with the host
           |                         | <---- result pipe: "?" ------------ it exists
           |                      builds interfaces between the two,       waits
           |                      loads others' rules and ours, listens      |
           |                         | ------- start pipe: "!" -----------> _knock: dials from everywhere,
           |                      greets whoever comes in                    2 s at most
           |                         | <---- result pipe: JSON ------------ who heard a word; ends
           | <--- JSON ----------- who came in, what stopped the others; ends
        kills what is left

    The network's side dies with the host's, by a signal; where it dies first, the result pipe ends.
    """
    start_out, start_in = os.pipe()
    result_out, result_in = os.pipe()
    host = os.getpid()
    client = os.fork()
    if client == 0:
        os.close(start_in)
        os.close(result_out)
        try:
            new_network(host)
            os.write(result_in, b"?")
            os.read(start_out, 1)
            with os.fdopen(result_in, "wb") as out:
                out.write(json.dumps(_knock(knocks)).encode())
        except (AgentError, OSError) as error:
            log(f"lock-out proof: {error}")
        finally:
            os._exit(0)
    os.close(result_in)
    os.read(result_out, 1)
    links = _links(knocks)
    _build_host(tunnel, knocks, links, client, others)
    untried = load(others)
    run(["nft", "-f", "-"], stdin=ours + TRACER)
    tracer = Tracer()
    with contextlib.ExitStack() as stack:
        doors = [stack.enter_context(each) for each in _open(knocks)]
        heard = stack.enter_context(traces())
        os.write(start_in, b"!")
        _greet_all(doors, heard, tracer, until=result_out)
    raw = b"".join(iter(lambda: os.read(result_out, _CHUNK), b""))
    os.waitpid(client, 0)
    stops = _stops(knocks, tracer)
    entered = [
        came_in if knock.behind is None else index not in stops
        for index, (knock, came_in) in enumerate(zip(knocks, json.loads(raw)))
    ]
    return {"entered": entered, "stops": stops, "untried": untried}


def _stops(knocks: Sequence[Knock], tracer: Tracer) -> dict[int, tuple[str, str, str]]:
    """Say what dropped each knock, or the answer to it."""
    found: dict[tuple[str, str, str, int], Drop] = {}
    for packet, drop in tracer.drops.items():
        for way in _ways(packet):
            found.setdefault(way, drop)
    others = {packet.source: drop for packet, drop in tracer.drops.items() if not packet.protocol}
    words: dict[Drop, str] = {}
    stops = {}
    for index, knock in enumerate(knocks):
        stop = found.get((knock.protocol, knock.source, knock.target, knock.port))
        # IPv6 asks for a neighbour by ICMP before anything else
        stop = stop or others.get(knock.source)
        if stop is not None:
            if stop not in words:
                words[stop] = stop.words()
            stops[index] = (words[stop], *stop.place)
    return stops


def _ways(packet: Packet) -> list[tuple[str, str, str, int]]:
    """Return what a packet may belong to: a knock, or the answer to one."""
    return [
        (packet.protocol, packet.source, packet.target, packet.target_port),
        (packet.protocol, packet.target, packet.source, packet.source_port),
    ]


def _links(knocks: Iterable[Knock]) -> dict[str, str]:
    """Return the client's end of each of the host's interfaces, by the host's."""
    names = dict.fromkeys(knock.door.interface for knock in knocks)
    return {name: f"{_CLIENT_LINK}{number}" for number, name in enumerate(names)}


def _ip(lines: Iterable[str]) -> None:
    run(["ip", "-batch", "-"], stdin="".join(f"{line}\n" for line in dict.fromkeys(lines)))


def _address(address: str) -> str:
    """Return an address of its own for `ip address`, usable at once."""
    return f"{_prefix(address)} nodad" if ":" in address else _prefix(address)


def _prefix(address: str) -> str:
    return f"{address}/{ipaddress.ip_address(address).max_prefixlen}"


def _build_host(
    tunnel: Tunnel,
    knocks: Sequence[Knock],
    links: Mapping[str, str],
    client: int,
    others: Iterable[Ruleset],
) -> None:
    """Set up the host's side: its interfaces and addresses, and the names that rules speak of."""
    doors = list(dict.fromkeys(knock.door for knock in knocks))
    through = [knock for knock in knocks if knock.door.interface == tunnel.interface]
    _ip(
        [
            "link set dev lo up",
            *(
                f"link add name {name} type veth peer name {far} netns {client}"
                for name, far in links.items()
            ),
            *(f"link set dev {name} up" for name in links),
            *(f"address add {_address(door.address)} dev {door.interface}" for door in doors),
            *(f"route add {_prefix(knock.source)} dev {tunnel.interface}" for knock in through),
            *(
                f"route add {_default(door)} dev {door.interface}"
                for door in doors
                if door.interface != tunnel.interface
            ),
        ]
    )
    _build_behind(knocks)
    text = "\n".join(ruleset.text for ruleset in others)
    there = (
        path.name for path in Path("/sys/class/net").iterdir()
    )  # the host's: /sys is still mounted there
    named = (name for name in there if re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", text))
    for number, name in enumerate(sorted({*named} - {*links, "lo"})):
        attempt(["ip", "link", "add", "name", name, "type", "veth", "peer", "name", f"wgmesh-other{number}"])


def _build_behind(knocks: Iterable[Knock]) -> None:
    """Set up the networks that packets are forwarded to; nobody is there, and what arrives is no matter."""
    networks = {knock.behind: knock.door.version for knock in knocks if knock.behind}
    for number, network in enumerate(networks):
        if not network.address:
            continue  # the internet, by a door that is there
        name, far = network.interface, f"wgmesh-lan{number}"
        attempt(["ip", "link", "add", "name", name, "type", "veth", "peer", "name", far])
        _ip(
            [f"link set dev {far} up", f"link set dev {name} up", f"address add {network.address} dev {name}"]
        )
    for version in set(networks.values()):
        _FORWARDING[version].write_text("1\n")


def _default(door: Door) -> str:
    return "default" if door.version == 4 else "::/0"


def _open(knocks: Sequence[Knock]) -> list[socket.socket]:
    """Listen on every port that is knocked at."""
    return [
        _listener(version, protocol, port)
        for version, protocol, port in dict.fromkeys(
            (knock.door.version, knock.protocol, knock.port) for knock in knocks
        )
    ]


def _new_socket(version: int, protocol: str) -> socket.socket:
    family = socket.AF_INET if version == 4 else socket.AF_INET6
    kind = socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM
    made = socket.socket(family, kind | socket.SOCK_NONBLOCK)
    if version == 6:
        made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    return made


def _listener(version: int, protocol: str, port: int) -> socket.socket:
    listener = _new_socket(version, protocol)
    listener.bind(("0.0.0.0" if version == 4 else "::", port))  # noqa: S104 - of a scratch namespace
    if protocol == "tcp":
        listener.listen(1024)
    return listener


def _greet_all(doors: Sequence[socket.socket], heard: socket.socket, tracer: Tracer, *, until: int) -> None:
    """Say a byte to everybody who comes in: only that shows that packets pass in both directions."""
    waiting: list[_Socket] = [*doors, heard, until]
    while True:
        ready = select.select(waiting, [], [])[0]
        tracer.hear(heard)
        for door in doors:
            if door in ready:
                with contextlib.suppress(OSError):
                    _greet(door)
        if until in ready:
            return


def _greet(door: socket.socket) -> None:
    if door.type == socket.SOCK_DGRAM:
        _word, guest = door.recvfrom(16)
        door.sendto(b"!", guest)
        return
    with door.accept()[0] as arrived:
        arrived.send(b"!")


def _knock(knocks: Sequence[Knock]) -> list[bool]:
    """Be the network: knock from everywhere at once, and tell who was let in and heard a word."""
    links = _links(knocks)
    _ip(
        [
            *(f"link set dev {far} up" for far in links.values()),
            *(f"address add {_address(knock.source)} dev {links[knock.door.interface]}" for knock in knocks),
            *(
                f"route add {_prefix(knock.door.address)} dev {links[knock.door.interface]}"
                for knock in knocks
            ),
            *(
                f"route add {_prefix(knock.target)} via {knock.door.address}"
                for knock in knocks
                if knock.behind
            ),
        ]
    )
    entered = [False] * len(knocks)
    dialled = {_dial(knock): index for index, knock in enumerate(knocks)}
    waiting = {each: index for each, index in dialled.items() if knocks[index].behind is None}
    end = time.monotonic() + _CONNECT
    again = time.monotonic() + _SAY_AGAIN
    while waiting and time.monotonic() < end:
        ready, _, _ = select.select(list(waiting), [], [], max(0.0, min(end, again) - time.monotonic()))
        for each in ready:
            with contextlib.suppress(OSError):
                entered[waiting[each]] = each.recv(1) == b"!"
            del waiting[each]
            each.close()
        if time.monotonic() >= again:
            again = end
            _ask_again(each for each in waiting if each.type == socket.SOCK_DGRAM)
        if waiting and not any(knocks[index].welcome for index in waiting.values()):
            end = min(end, time.monotonic() + _STRANGER)
    return entered


def _ask_again(sockets: Iterable[socket.socket]) -> None:
    for each in sockets:
        with contextlib.suppress(OSError):
            each.send(b"?")


def _dial(knock: Knock) -> socket.socket:
    made = _new_socket(knock.door.version, knock.protocol)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.bind((knock.source, knock.source_port))
    made.connect_ex((knock.target, knock.port))
    if knock.protocol == "udp":
        _ask_again([made])
    return made
