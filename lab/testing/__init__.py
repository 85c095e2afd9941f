"""What tests and measurements share: rehearsals in folders of their own, hosts, traffic, and waiting."""

from lab.testing.hosts import Console, Host, Hosts, Pings
from lab.testing.traffic import Traffic, traffic
from lab.testing.waiting import free_port, wait
from lab.testing.world import REPOSITORY, Run, World, interrupt

__all__ = [
    "REPOSITORY", "Console", "Host", "Hosts", "Pings", "Run", "Traffic", "World", "free_port", "interrupt",
    "traffic", "wait",
]  # fmt: skip
