"""Private networks: a namespace that routes for each, apart from the public network and its firewalls.

As at Hetzner, a server in a network has one address (/32), reaches the rest through the network's
gateway, and packets have room for 1450 bytes (https://docs.hetzner.com/cloud/networks/faq).
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from lab.hosts.errors import HostError, run, succeeds
from lab.hosts.router import Router, delete_link

__all__ = ["MTU", "Interface", "PrivateNetwork", "PrivateNetworks"]

MTU: Final = 1450
_ROUTES: Final = "99"  # marks a network's own routes in its namespace; no routing daemon has this number


@dataclass(frozen=True, kw_only=True)
class PrivateNetwork:
    """What a network has of its own: routes to hosts in it, as (destination, gateway)."""

    routes: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, kw_only=True)
class Interface:
    """A host's interface `name` in a private network; the host itself has to configure the aliases."""

    network: str
    name: str
    mac: str
    address: str
    ip_range: str
    gateway: str
    aliases: tuple[str, ...] = ()

    def config(self) -> str:
        """Return networkd's file, in place of the DHCP that tells a real server the same."""
        return "\n".join(
            (
                *("[Match]", f"MACAddress={self.mac}", "[Link]", f"MTUBytes={MTU}", "RequiredForOnline=no"),
                *("[Network]", "LinkLocalAddressing=no", "IPv6AcceptRA=no", f"Address={self.address}/32"),
                *("[Route]", f"Destination={self.gateway}/32", "Scope=link"),
                *("[Route]", f"Destination={self.ip_range}", f"Gateway={self.gateway}", "GatewayOnLink=yes"),
                "",
            )
        )


class PrivateNetworks:
    """The private networks of one state folder."""

    def __init__(self, state: Path, router: Router) -> None:
        self._folder = state / "networks"
        self._router = router

    def namespace(self, key: str) -> str:
        """Return the name of a network's namespace."""
        return f"{self._router.id}-n{key}"

    def up(self) -> None:
        """Make the namespaces of all networks there are."""
        with self._router.locked():
            for path in self._folder.glob("*.json"):
                self._make(path.stem)

    def down(self) -> None:
        """Remove every namespace; the networks are still known."""
        with self._router.locked():
            for path in Path("/run/netns").glob(self.namespace("*")):
                run("ip", "netns", "del", path.name, where="network")

    def set(self, key: str, network: PrivateNetwork) -> None:
        """Make a network, or change its routes."""
        with self._router.locked():
            self._folder.mkdir(parents=True, exist_ok=True)
            fresh = self._folder / f".{key}.new"
            fresh.write_text(json.dumps(asdict(network)))
            fresh.rename(self._folder / f"{key}.json")
            self._make(key)
            self._set_routes(key)

    def remove(self, key: str) -> None:
        """Remove a network with the links in it."""
        with self._router.locked():
            (self._folder / f"{key}.json").unlink(missing_ok=True)
            if Path("/run/netns", self.namespace(key)).exists():
                run("ip", "netns", "del", self.namespace(key), where=f"network {key}")

    def _network(self, key: str) -> PrivateNetwork:
        try:
            value = json.loads((self._folder / f"{key}.json").read_text())
        except FileNotFoundError:
            raise HostError(f"private network {key} does not exist") from None
        return PrivateNetwork(routes=tuple((route[0], route[1]) for route in value["routes"]))

    def _make(self, key: str) -> None:
        namespace, where = self.namespace(key), f"network {key}"
        if not succeeds(["ip", "-n", namespace, "link", "show", "lo"]):
            if Path("/run/netns", namespace).exists():  # what is left of a run that was killed
                run("ip", "netns", "del", namespace, where=where)
            run("ip", "netns", "add", namespace, where=where)
        inside = ("nsenter", f"--net=/run/netns/{namespace}")
        run(*inside, "ip", "link", "set", "lo", "up", where=where)
        for name in ("ip_forward=1", "conf.all.send_redirects=0", "conf.default.send_redirects=0"):
            run(*inside, "sysctl", "-qw", f"net.ipv4.{name}", where=where)

    def plug(self, link: str, interface: Interface, leader: int) -> None:
        """Put an interface into the host whose first process is `leader`; its other end is `link`."""
        key = interface.network
        with self._router.locked():
            ours, where = ("ip", "-n", self.namespace(key)), f"network {key}"
            delete_link(ours, link)
            run(
                *(*ours, "link", "add", link, "mtu", str(MTU), "type", "veth", "peer", "name"),
                *(interface.name, "address", interface.mac, "mtu", str(MTU), "netns", str(leader)),
                where=where,
            )
            run(*ours, "addr", "add", f"{interface.gateway}/32", "dev", link, where=where)
            run(*ours, "link", "set", link, "up", where=where)
            self._set_addresses(link, interface)
            self._set_routes(key)

    def unplug(self, link: str, key: str) -> None:
        """Take an interface out of its host."""
        if Path("/run/netns", self.namespace(key)).exists():
            with self._router.locked():
                delete_link(("ip", "-n", self.namespace(key)), link)

    def set_addresses(self, link: str, interface: Interface) -> None:
        """Route an interface's address and its aliases to it, and no others."""
        with self._router.locked():
            self._set_addresses(link, interface)

    def _set_addresses(self, link: str, interface: Interface) -> None:
        ours, where = ("ip", "-n", self.namespace(interface.network)), f"network {interface.network}"
        run(*ours, "route", "flush", "dev", link, "scope", "link", "proto", "boot", where=where)
        for address in (interface.address, *interface.aliases):
            run(*ours, "route", "replace", f"{address}/32", "dev", link, where=where)

    def _set_routes(self, key: str) -> None:
        """Put a network's own routes in force; one whose gateway is off comes back with it."""
        ours, where = ("ip", "-n", self.namespace(key)), f"network {key}"
        run(*ours, "route", "flush", "proto", _ROUTES, where=where)
        for destination, via in self._network(key).routes:
            if run(*ours, "route", "show", f"{via}/32", where=where).strip():
                run(*ours, "route", "add", destination, "via", via, "proto", _ROUTES, where=where)


def stale(present: Iterable[Interface], wanted: Sequence[Interface]) -> list[Interface]:
    """Return the interfaces that are to be taken out: unwanted, or changed in more than aliases."""
    kept = {(each.network, each.config(), each.name) for each in wanted}
    return [each for each in present if (each.network, each.config(), each.name) not in kept]
