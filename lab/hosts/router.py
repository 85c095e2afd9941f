"""The network between the hosts: a namespace that routes, one link per host, the cloud's firewalls.

    this machine -- link -- router namespace -- link per host -- host

Every host has one public IPv4 address (/32) and reaches everything through 172.31.1.1, as at Hetzner.
Nothing is forwarded to the outside: the router knows the pool and nothing else.
"""

import fcntl
import hashlib
import json
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from ipaddress import IPv4Network
from pathlib import Path
from typing import Final, Literal

from lab.hosts.errors import HostError, run, succeeds

__all__ = ["GATEWAY", "Router", "Rule"]

GATEWAY: Final = "172.31.1.1"  # the gateway of every Hetzner Cloud server
# RFC 2544: for benchmarks of network devices, so nobody's real address.
_POOLS: Final = IPv4Network("198.18.0.0/15")
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

    def _free_pool(self) -> IPv4Network:
        used = _routed()
        pools = list(_POOLS.subnets(new_prefix=24))
        start = int(self.id[3:], 16) % len(pools)  # so that two labs seldom try the same first
        for pool in pools[start:] + pools[:start]:
            if not any(pool.overlaps(network) for network in used):
                return pool
        raise HostError(f"network: every part of {_POOLS} is routed on this machine already")

    def up(self) -> None:
        """Make the namespace and the link to this machine; does nothing when both are there."""
        with self.locked():
            if not self.exists:
                self._remove()
                run("ip", "netns", "add", self.namespace, where="network")
            if not self._connected():
                self._unlink()
                self._connect()
            self._sysctl()

    def _connected(self) -> bool:
        """Whether `_connect` came to its end: the route back is the last thing it makes."""
        back = f"{self.pool[1]}/32"
        return run("ip", "-n", self.namespace, "-4", "route", "show", back, where="network").strip() != ""

    def _sysctl(self) -> None:
        for name in ("ip_forward=1", "conf.all.send_redirects=0", "conf.default.send_redirects=0"):
            self.run("sysctl", "-qw", f"net.ipv4.{name}")

    def _connect(self) -> None:
        pool, machine = self.pool, str(self.pool[1])
        taken = [str(network) for network in _routed() if network.overlaps(pool)]
        if taken:
            raise HostError(
                f"network: this lab's addresses come from {pool}, and by now this machine has a route to "
                f"{taken[0]}; remove that route, or the lab with {self._state} to have others chosen"
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

    def down(self) -> None:
        """Remove namespace and link, whatever is left of them."""
        with self.locked():
            self._unlink()
            self._remove()

    def _unlink(self) -> None:
        _delete_link(["ip"], self._uplink)

    def _remove(self) -> None:
        if self.namespace_path.exists():
            run("ip", "netns", "del", self.namespace, where="network")

    def run(self, *words: str, stdin: str | None = None) -> str:
        """Run a command in the router. Raises `HostError`."""
        return run("nsenter", f"--net={self.namespace_path}", *words, where="router", stdin=stdin)

    def attach(self, link: str, address: str) -> bool:
        """Route a host's address to its link; False while the link is not there yet."""
        if not succeeds(["ip", "-n", self.namespace, "link", "show", link]):
            return False
        ours = ("ip", "-n", self.namespace)
        run(*ours, "addr", "replace", f"{GATEWAY}/32", "dev", link, where=link)
        run(*ours, "link", "set", link, "up", where=link)
        run(*ours, "route", "replace", f"{address}/32", "dev", link, where=link)
        return True

    def detach(self, link: str) -> None:
        """Remove a link that a dead host left behind."""
        if self.namespace_path.exists():
            _delete_link(["ip", "-n", self.namespace], link)

    def set_firewalls(self, firewalls: Callable[[], Mapping[str, Sequence[Rule] | None]]) -> None:
        """Enforce the rules of each link, all at once; a link without rules lets everything through.

        `firewalls` is asked once no other change is under way, so that the last one asked is right.
        """
        with self.locked():
            known = {link: rules for link, rules in firewalls().items() if rules is not None}
            self.run("nft", "-f", "-", stdin=ruleset(known))


def _routed() -> list[IPv4Network]:
    """Return what this machine has routes to, the default route apart."""
    routes = json.loads(run("ip", "-j", "-4", "route", "show", "table", "all", where="network"))
    return [IPv4Network(route["dst"]) for route in routes if route["dst"] != "default"]


def _delete_link(ip: Sequence[str], link: str) -> None:
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
        v4 = [network for network in rule.networks if ":" not in network]
        if not v4:
            continue
        what = {"icmp": "meta l4proto icmp", "gre": "meta l4proto gre", "esp": "meta l4proto esp"}.get(
            rule.protocol
        )
        if what is None:
            what = f"{rule.protocol} dport {rule.port or '0-65535'}"
        lines.append(f"ip {side} {{ {', '.join(v4)} }} {what} return")
    return [*lines, "drop", "}"]
