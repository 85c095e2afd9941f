"""What the handlers of all resources share."""

from dataclasses import dataclass

from lab.cloud.actions import Actions
from lab.cloud.driver import Driver
from lab.cloud.errors import ApiError
from lab.cloud.faults import Faults
from lab.cloud.store import Record, Store

__all__ = ["Cloud"]


@dataclass(frozen=True, kw_only=True)
class Cloud:
    """The store, the actions, the hosts."""

    store: Store
    actions: Actions
    hosts: Driver
    faults: Faults

    def next_address(self) -> str:
        """Return a free public IPv4 address. Raises `ApiError` when there is none."""
        used = {record["ip"] for record in self.store.all("primary_ips")}
        # the first two belong to the machine itself
        for address in list(self.hosts.pool.hosts())[8:]:
            if str(address) not in used:
                return str(address)
        raise ApiError("resource_limit_exceeded", "no free public IPv4 address is left")

    def server_of_ip(self, record: Record) -> Record | None:
        """Return the server that has a primary IP."""
        return self.store.find("servers", record["assignee_id"])
