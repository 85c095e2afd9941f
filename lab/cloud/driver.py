"""What the cloud needs of hosts, and the two kinds there are: real ones, and a record of them."""

import asyncio
from collections.abc import Sequence
from ipaddress import IPv4Network
from typing import Protocol

from lab.hosts import HostSpec, Lab, Rule

__all__ = ["Driver", "RealHosts", "SimulatedHosts"]


class Driver(Protocol):
    """Hosts behind servers; every method returns when it is done. Raises `HostError`."""

    @property
    def pool(self) -> IPv4Network:
        """Where public addresses come from."""

    async def up(self) -> None:
        """Make the network."""

    async def create(self, spec: HostSpec) -> None:
        """Make a host and boot it."""

    async def start(self, key: str) -> None:
        """Switch it on."""

    async def stop(self, key: str, *, graceful: bool) -> None:
        """Switch it off."""

    async def readdress(self, key: str, address: str | None) -> None:
        """Give it another public address while it is off."""

    async def destroy(self, key: str) -> None:
        """Remove it."""

    async def set_firewall(self, key: str, rules: Sequence[Rule] | None) -> None:
        """Enforce a cloud firewall."""

    async def running(self) -> set[str]:
        """Return which hosts really run."""


class RealHosts:
    """The lab's hosts; their blocking calls run in threads."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab

    @property
    def pool(self) -> IPv4Network:
        """Where public addresses come from."""
        return self._lab.pool

    async def up(self) -> None:
        """Make the network."""
        await asyncio.to_thread(self._lab.up)

    async def create(self, spec: HostSpec) -> None:
        """Make a host and boot it."""
        await asyncio.to_thread(self._lab.create, spec)
        await asyncio.to_thread(self._lab.start, spec.key)

    async def start(self, key: str) -> None:
        """Switch it on."""
        await asyncio.to_thread(self._lab.start, key)

    async def stop(self, key: str, *, graceful: bool) -> None:
        """Switch it off."""
        await asyncio.to_thread(self._lab.stop, key, graceful=graceful)

    async def readdress(self, key: str, address: str | None) -> None:
        """Give it another public address while it is off."""
        await asyncio.to_thread(self._lab.readdress, key, address)

    async def destroy(self, key: str) -> None:
        """Remove it."""
        await asyncio.to_thread(self._lab.destroy, key)

    async def set_firewall(self, key: str, rules: Sequence[Rule] | None) -> None:
        """Enforce a cloud firewall."""
        await asyncio.to_thread(self._lab.set_firewall, key, rules)

    async def running(self) -> set[str]:
        """Return which hosts really run."""
        states = await asyncio.to_thread(self._lab.states)
        return {key for key, state in states.items() if state == "running"}


class SimulatedHosts:
    """No hosts at all: for tests of the API, and to see how things grow beyond what a machine can boot."""

    pool = IPv4Network("198.18.0.0/20")

    def __init__(self) -> None:
        self._running: set[str] = set()

    async def up(self) -> None:
        """Nothing to make."""

    async def create(self, spec: HostSpec) -> None:
        """Remember it as running."""
        self._running.add(spec.key)

    async def start(self, key: str) -> None:
        """Remember it as running."""
        self._running.add(key)

    async def stop(self, key: str, *, graceful: bool) -> None:  # noqa: ARG002
        """Remember it as off."""
        self._running.discard(key)

    async def readdress(self, key: str, address: str | None) -> None:
        """Nothing to change."""

    async def destroy(self, key: str) -> None:
        """Forget it."""
        self._running.discard(key)

    async def set_firewall(self, key: str, rules: Sequence[Rule] | None) -> None:
        """Nothing to enforce."""

    async def running(self) -> set[str]:
        """Return what was started."""
        return set(self._running)
