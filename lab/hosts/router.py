"""The network between the hosts: a namespace that routes, one link per host, the cloud's firewalls.

    this machine -- link -- router namespace -- link per host -- host

Every host has one public IPv4 address (/32) and an IPv6 network (/64), and reaches everything through
172.31.1.1 and fe80::1, as at Hetzner. Nothing is forwarded to the outside: the router knows the pools
and nothing else.
"""

import ctypes
import fcntl
import hashlib
import json
import socket
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, collapse_addresses, ip_network
from pathlib import Path
from typing import Final, Literal

from lab.hosts.errors import HostError, run, succeeds
from lab.hosts.nat import FORGET_CONNECTIONS, Nat, nat_ruleset
from lab.hosts.sizes import SILENCE

__all__ = ["GATEWAY", "GATEWAY6", "Router", "Rule", "delete_link"]

GATEWAY: Final = "172.31.1.1"  # the gateway of every Hetzner Cloud server
GATEWAY6: Final = "fe80::1"
METADATA: Final = "169.254.169.254"
# RFC 2544: for benchmarks of network devices, so nobody's real address.
_POOLS: Final = IPv4Network("198.18.0.0/15")
_PREFIX6: Final = IPv6Network("2001:db8::/32")  # RFC 3849: for documentation, likewise
_SIZE6: Final = 56
_HAS_IPV6: Final = Path("/proc/sys/net/ipv6").exists()
_CLONE_NEWNET: Final = 0x40000000  # setns(2)
_TABLE: Final = "cloud_firewall"
_DOWNLINK: Final = "machine"  # the router's link to this machine


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One rule of a cloud firewall: what it lets through.

    `port` is `80`, `80-85` or None for all; `networks` are the sources of an inbound rule or the
    destinations of an outbound one.
    """

    direction: Literal["in", "out"]
    protocol: Literal["tcp", "udp", "icmp", "gre", "esp"]
    port: str | None
    networks: tuple[str, ...]


class Router:
    """The router namespace of one state folder."""

    def __init__(self, state: Path) -> None:
        self._state = state
        digest = hashlib.sha256(str(state.resolve()).encode()).hexdigest()[:6]
        self.id = f"wgl{digest}"
        """Starts the name of everything this lab makes on the machine."""
        self.namespace = f"{self.id}-router"
        self._uplink = f"{self.id}0"  # on this machine

    @property
    def namespace_path(self) -> Path:
        """Where the namespace can be opened."""
        return Path("/run/netns", self.namespace)

    @property
    def exists(self) -> bool:
        """Whether the namespace can be entered; a name of one may be left of a run that was killed."""
        return succeeds(["ip", "-n", self.namespace, "link", "show", "lo"])

    @contextmanager
    def locked(self) -> Iterator[None]:
        """One change of the network at a time, across processes."""
        self._state.mkdir(parents=True, exist_ok=True)
        with (self._state / "network.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    @property
    def pool(self) -> IPv4Network:
        """The /24 the hosts' public addresses come from: chosen once, free of this machine's routes."""
        kept = self._state / "pool"
        if not kept.exists():
            kept.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile("w", dir=kept.parent) as fresh:
                fresh.write(str(self._free_pool()))
                fresh.flush()
                with suppress(FileExistsError):  # another thread or process was faster: its choice counts
                    kept.hardlink_to(fresh.name)
        return IPv4Network(kept.read_text())

    @property
    def pool6(self) -> IPv6Network:
        """The /56 the hosts' public IPv6 networks come from; the first address of it is this machine's."""
        place = int(self.id[3:], 16) << (128 - _SIZE6)
        return IPv6Network((int(_PREFIX6[0]) | place, _SIZE6))

    def _free_pool(self) -> IPv4Network:
        used = _routed()
        pools = list(_POOLS.subnets(new_prefix=24))
        start = int(self.id[3:], 16) % len(pools)  # so that two labs seldom try the same first
        for pool in pools[start:] + pools[:start]:
            if not any(pool.overlaps(network) for network in used):
                return pool
        raise HostError(
            f"network: this machine already has routes to every part of {_POOLS}, so none is free"
        )

    def up(self) -> None:
        """Make the namespace and the link to this machine; does nothing when both are there."""
        with self.locked():
            if not self.exists:
                self._remove()
                run("ip", "netns", "add", self.namespace, where="network")
            if not self._connected():
                self._unlink()
                self._connect()
            if _HAS_IPV6:
                self._connect6()
            self._sysctl()

    def _connected(self) -> bool:
        """Whether `_connect` came to its end: the route back is the last thing it makes."""
        back = f"{self.pool[1]}/32"
        return run("ip", "-n", self.namespace, "-4", "route", "show", back, where="network").strip() != ""

    def _sysctl(self) -> None:
        names = ["ipv4.ip_forward=1", "ipv4.conf.all.send_redirects=0", "ipv4.conf.default.send_redirects=0"]
        for name in [*names, "ipv6.conf.all.forwarding=1"] if _HAS_IPV6 else names:
            self.run("sysctl", "-qw", f"net.{name}")
        self.run("ip", "addr", "replace", f"{METADATA}/32", "dev", "lo")

    def _connect(self) -> None:
        pool, machine = self.pool, str(self.pool[1])
        taken = [str(network) for network in _routed() if network.overlaps(pool)]
        if taken:
            raise HostError(
                f"network: this lab uses the addresses {pool}, but this machine now has a route to "
                f"{taken[0]}: remove this route, or remove the lab's folder "
                f"{self._state} to get other addresses"
            )
        self.run("ip", "link", "set", "lo", "up")
        ours = ("ip", "-n", self.namespace)
        for command in (
            (
                *("ip", "link", "add", self._uplink, "type", "veth"),
                *("peer", "name", _DOWNLINK, "netns", self.namespace),
            ),
            (*ours, "addr", "add", f"{GATEWAY}/32", "dev", _DOWNLINK),
            (*ours, "link", "set", _DOWNLINK, "up"),
            ("ip", "addr", "add", f"{machine}/32", "dev", self._uplink),
            ("ip", "link", "set", self._uplink, "up"),
            ("ip", "route", "add", str(pool), "via", GATEWAY, "dev", self._uplink, "onlink", "src", machine),
            (*ours, "route", "add", f"{machine}/32", "dev", _DOWNLINK),
        ):  # fmt: skip
            run(*command, where="network")

    def _connect6(self) -> None:
        ours, machine, up = ("ip", "-n", self.namespace), f"{self.pool6[1]}/128", self._uplink
        for command in (
            (*ours, "addr", "replace", f"{GATEWAY6}/64", "dev", _DOWNLINK, "nodad"),
            ("ip", "addr", "replace", machine, "dev", up, "nodad"),
            (
                "ip",
                "route",
                "replace",
                str(self.pool6),
                "via",
                GATEWAY6,
                "dev",
                up,
                "src",
                str(self.pool6[1]),
            ),
            (*ours, "route", "replace", machine, "dev", _DOWNLINK),
        ):
            run(*command, where="network")

    def down(self) -> None:
        """Remove namespace and link, whatever is left of them."""
        with self.locked():
            self._unlink()
            self._remove()

    def _unlink(self) -> None:
        delete_link(["ip"], self._uplink)

    def _remove(self) -> None:
        if self.namespace_path.exists():
            run("ip", "netns", "del", self.namespace, where="network")

    def run(self, *words: str, stdin: str | None = None) -> str:
        """Run a command in the router. Raises `HostError`."""
        return run("nsenter", f"--net={self.namespace_path}", *words, where="router", stdin=stdin)

    def attach(self, link: str, address: str | None, network6: str | None) -> bool:
        """Route a host's addresses to its link; False while the link is not there yet."""
        if not succeeds(["ip", "-n", self.namespace, "link", "show", link]):
            return False
        ours = ("ip", "-n", self.namespace)
        run(*ours, "link", "set", link, "up", where=link)
        if address is not None:
            run(*ours, "addr", "replace", f"{GATEWAY}/32", "dev", link, where=link)
            run(*ours, "route", "replace", f"{address}/32", "dev", link, where=link)
        if network6 is not None and _HAS_IPV6:
            run(*ours, "addr", "replace", f"{GATEWAY6}/64", "dev", link, "nodad", where=link)
            run(*ours, "route", "replace", network6, "dev", link, where=link)
        return True

    def set_link_size(self, link: str, size: int) -> None:
        """Let a host's link carry packets of at most `size` bytes; larger ones are lost in both directions.

        The host is not told: its own interface has the MTU that it had.
        """
        with self.locked():
            self.run("nft", "-f", "-", stdin=SILENCE)
            run("ip", "-n", self.namespace, "link", "set", link, "mtu", str(size), where=link)

    def listener(self, port: int) -> socket.socket:
        """Return a socket that hosts reach at 169.254.169.254. Raises `HostError`."""
        found: list[socket.socket] = []

        def work() -> None:  # in a thread of its own, as setns(2) moves the thread that calls it
            with self.namespace_path.open() as namespace:
                if ctypes.CDLL(None, use_errno=True).setns(namespace.fileno(), _CLONE_NEWNET) != 0:
                    return
            listener = socket.socket()
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((METADATA, port))
            listener.listen(128)
            found.append(listener)

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        if not found:
            raise HostError(f"network: cannot listen at {METADATA}:{port} in {self.namespace}")
        return found[0]

    def detach(self, link: str) -> None:
        """Remove a link that a dead host left behind."""
        if self.namespace_path.exists():
            delete_link(["ip", "-n", self.namespace], link)

    def set_firewalls(self, firewalls: Callable[[], Mapping[str, Sequence[Rule] | None]]) -> None:
        """Enforce the rules of each link, all at once; a link without rules lets everything through.

        `firewalls` is asked once no other change is under way, so that the last one asked is right.
        """
        with self.locked():
            known = {link: rules for link, rules in firewalls().items() if rules is not None}
            self.run("nft", "-f", "-", stdin=ruleset(known))

    def set_nats(self, nats: Callable[[], Mapping[str, tuple[str, Nat]]]) -> None:
        """Put hosts behind NAT, by link, each with its address; mappings of before are forgotten."""
        with self.locked():
            self.run("nft", "-f", "-", stdin=nat_ruleset(nats(), _DOWNLINK))
            self.run(sys.executable, "-S", "-c", FORGET_CONNECTIONS)


def _routed() -> list[IPv4Network]:
    """Return what this machine has routes to, the default route apart."""
    routes = json.loads(run("ip", "-j", "-4", "route", "show", "table", "all", where="network"))
    return [IPv4Network(route["dst"]) for route in routes if route["dst"] != "default"]


def delete_link(ip: Sequence[str], link: str) -> None:
    """Delete a link if it is there; the kernel may be doing it already, as its host's namespace ends."""
    there = [*ip, "link", "show", link]
    if succeeds(there) and not succeeds([*ip, "link", "del", link]) and succeeds(there):
        run(*ip, "link", "del", link, where="network")


def ruleset(firewalls: Mapping[str, Sequence[Rule]]) -> str:
    """Return the router's ruleset: inbound is closed but for the rules, outbound open unless it has rules.

    Replies to what was let through pass, as connections are tracked. A packet between two hosts has to
    pass both firewalls, so a rule that fits hands on to the next chain. Hosts open no connection to this
    machine.
    """
    lines = [f"table inet {_TABLE}", f"delete table inet {_TABLE}", f"table inet {_TABLE} {{"]
    jumps = []
    for link, rules in sorted(firewalls.items()):
        inbound = [rule for rule in rules if rule.direction == "in"]
        outbound = [rule for rule in rules if rule.direction == "out"]
        lines += _chain(f"{link}_in", inbound, "saddr")
        jumps.append(f'oifname "{link}" jump {link}_in')
        if outbound:
            lines += _chain(f"{link}_out", outbound, "daddr")
            jumps.append(f'iifname "{link}" jump {link}_out')
    lines += [
        "chain forward {",
        "type filter hook forward priority filter; policy accept;",
        "ct state established,related accept",
        *jumps,
        f'oifname "{_DOWNLINK}" drop',
        "}",
        "}",
    ]
    return "\n".join(lines) + "\n"


def _chain(name: str, rules: Sequence[Rule], side: str) -> list[str]:
    lines = [f"chain {name} {{"]
    for rule in rules:
        for family in ("ip", "ip6"):
            networks = [
                ip_network(network, strict=False)
                for network in rule.networks
                if (":" in network) == (family == "ip6")
            ]
            if networks:  # merged, as a set takes no interval that is part of another
                merged = ", ".join(map(str, collapse_addresses(networks)))  # type: ignore[type-var]
                lines.append(f"{family} {side} {{ {merged} }} {_protocol(rule, family)} return")
    return [*lines, "drop", "}"]


def _protocol(rule: Rule, family: str) -> str:
    if rule.protocol in {"tcp", "udp"}:
        return f"{rule.protocol} dport {rule.port or '0-65535'}"
    ping = "icmp" if family == "ip" else "ipv6-icmp"
    return f"meta l4proto {ping if rule.protocol == 'icmp' else rule.protocol}"
