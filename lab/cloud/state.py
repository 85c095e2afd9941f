"""What the handlers of all resources share."""

import asyncio
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

from lab.cloud.actions import Actions
from lab.cloud.driver import Driver
from lab.cloud.errors import ApiError
from lab.cloud.faults import Faults
from lab.cloud.store import Record, Store

__all__ = ["Cloud"]

_KEPT_ADDRESSES: Final = 8
"""How many of the pool no server gets: the first is this machine's own, the others are in reserve."""


@dataclass(frozen=True, kw_only=True)
class Cloud:
    """The store, the actions, the hosts."""

    store: Store
    actions: Actions
    hosts: Driver
    faults: Faults
    enforcing: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held while hosts are told of firewalls and networks, so that the last change is the last told."""

    def next_address(self) -> str:
        """Return a free public IPv4 address. Raises `ApiError` when there is none."""
        used = self._used()
        for address in list(self.hosts.pool.hosts())[_KEPT_ADDRESSES:]:
            if str(address) not in used:
                return str(address)
        raise ApiError("resource_limit_exceeded", "no free public IPv4 address is left")

    def next_network(self) -> str:
        """Return a free public IPv6 network, a /64."""
        used, networks = self._used(), self.hosts.pool6.subnets(new_prefix=64)
        return next(str(net) for net in islice(networks, 1, None) if str(net) not in used)

    def _used(self) -> set[str]:
        return {record["ip"] for record in self.store.all("primary_ips")}

    def server_of_ip(self, record: Record) -> Record | None:
        """Return the server that has a primary IP."""
        return self.store.find("servers", record["assignee_id"])
