"""What the cloud needs of hosts, and the two kinds there are: real ones, and a record of them."""

import asyncio
import socket
from collections.abc import Mapping, Sequence
from ipaddress import IPv4Network, IPv6Network
from typing import Literal, Protocol

from lab.hosts import HostSpec, Interface, Lab, PrivateNetwork, Rule

__all__ = ["Driver", "RealHosts", "SimulatedHosts"]

States = Mapping[str, Literal["running", "off"]]


class Driver(Protocol):
    """Hosts behind servers; every method returns when it is done. Raises `HostError`."""

    @property
    def pool(self) -> IPv4Network:
        """Where public addresses come from."""

    @property
    def pool6(self) -> IPv6Network:
        """Where public IPv6 networks come from."""

    async def up(self) -> None:
        """Make the network."""

    def refuse_image(self, name: str) -> None:
        """Refuse an image that hosts cannot be made from."""

    async def create(self, spec: HostSpec) -> None:
        """Make a host; does not boot it."""

    async def start(self, key: str) -> None:
        """Switch it on."""

    async def stop(self, key: str, *, graceful: bool) -> None:
        """Switch it off."""

    async def readdress(self, key: str, address: str | None, network6: str | None) -> None:
        """Give it other public addresses while it is off."""

    async def destroy(self, key: str) -> None:
        """Remove it."""

    async def set_firewall(self, key: str, rules: Sequence[Rule] | None) -> None:
        """Enforce a cloud firewall."""

    async def set_network(self, key: str, network: PrivateNetwork | None) -> None:
        """Make a private network or change its routes; None removes it."""

    async def set_interfaces(self, key: str, interfaces: Sequence[Interface]) -> None:
        """Let a host have these interfaces in private networks, whether it runs or not."""

    async def states(self) -> States:
        """Return what every host really does."""

    def metadata_listener(self) -> socket.socket | None:
        """Return a socket on which hosts reach the metadata service; None where there are no hosts."""


class RealHosts:
    """The lab's hosts; their blocking calls run in threads."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab

    @property
    def pool(self) -> IPv4Network:
        """Where public addresses come from."""
        return self._lab.pool

    @property
    def pool6(self) -> IPv6Network:
        """Where public IPv6 networks come from."""
        return self._lab.pool6

    async def up(self) -> None:
        """Make the network."""
        await asyncio.to_thread(self._lab.up)

    def refuse_image(self, name: str) -> None:
        """Refuse an image that is not built."""
        self._lab.refuse_image(name)

    async def create(self, spec: HostSpec) -> None:
        """Make a host; does not boot it."""
        await asyncio.to_thread(self._lab.create, spec)

    async def start(self, key: str) -> None:
        """Switch it on."""
        await asyncio.to_thread(self._lab.start, key)

    async def stop(self, key: str, *, graceful: bool) -> None:
        """Switch it off."""
        await asyncio.to_thread(self._lab.stop, key, graceful=graceful)

    async def readdress(self, key: str, address: str | None, network6: str | None) -> None:
        """Give it other public addresses while it is off."""
        await asyncio.to_thread(self._lab.readdress, key, address, network6)

    async def destroy(self, key: str) -> None:
        """Remove it."""
        await asyncio.to_thread(self._lab.destroy, key)

    async def set_firewall(self, key: str, rules: Sequence[Rule] | None) -> None:
        """Enforce a cloud firewall."""
        await asyncio.to_thread(self._lab.set_firewall, key, rules)

    async def set_network(self, key: str, network: PrivateNetwork | None) -> None:
        """Make a private network or change its routes; None removes it."""
        await asyncio.to_thread(self._lab.set_network, key, network)

    async def set_interfaces(self, key: str, interfaces: Sequence[Interface]) -> None:
        """Let a host have these interfaces in private networks."""
        await asyncio.to_thread(self._lab.set_interfaces, key, interfaces)

    async def states(self) -> States:
        """Return what every host really does."""
        return await asyncio.to_thread(self._lab.states)

    def metadata_listener(self) -> socket.socket | None:
        """Return a socket on which hosts reach the metadata service."""
        return self._lab.metadata_listener()


class SimulatedHosts:
    """No hosts at all: for tests of the API, and to see how things grow beyond what a machine can boot."""

    pool = IPv4Network("198.18.0.0/20")  # RFC 2544
    pool6 = IPv6Network("2001:db8::/48")  # RFC 3849

    def __init__(self) -> None:
        self._states: dict[str, Literal["running", "off"]] = {}

    async def up(self) -> None:
        """Nothing to make."""

    def refuse_image(self, name: str) -> None:
        """Every image will do."""

    async def create(self, spec: HostSpec) -> None:
        """Remember it as off."""
        self._states[spec.key] = "off"

    async def start(self, key: str) -> None:
        """Remember it as running."""
        self._states[key] = "running"

    async def stop(self, key: str, *, graceful: bool) -> None:  # noqa: ARG002
        """Remember it as off."""
        self._states[key] = "off"

    async def readdress(self, key: str, address: str | None, network6: str | None) -> None:
        """Nothing to change."""

    async def destroy(self, key: str) -> None:
        """Forget it."""
        self._states.pop(key, None)

    async def set_firewall(self, key: str, rules: Sequence[Rule] | None) -> None:
        """Nothing to enforce."""

    async def set_network(self, key: str, network: PrivateNetwork | None) -> None:
        """Nothing to make."""

    async def set_interfaces(self, key: str, interfaces: Sequence[Interface]) -> None:
        """Nothing to plug in."""

    async def states(self) -> States:
        """Return what was started."""
        return dict(self._states)

    def metadata_listener(self) -> socket.socket | None:
        """Nobody is there to ask."""
        return None
