"""What tests and measurements share: rehearsals in folders of their own, and waiting."""

from lab.testing.waiting import free_port, wait
from lab.testing.world import REPOSITORY, Run, World, interrupt

__all__ = ["REPOSITORY", "Run", "World", "free_port", "interrupt", "wait"]
