"""The lab's router with namespaces in the place of hosts."""

from pathlib import Path

from lab.hosts.router import GATEWAY, Router
from tests.spaces import Space

__all__ = ["Network"]


class Network:
    """The lab's router, and two namespaces at its links: one and two."""

    def __init__(self, state: Path) -> None:
        self.router = Router(state)
        self.router.up()
        self.spaces = {"one": Space(), "two": Space()}
        self.address = {name: str(self.router.pool[10 + n]) for n, name in enumerate(self.spaces)}
        self.outside = [str(self.router.pool[250]), str(self.router.pool[251])]
        for name, space in self.spaces.items():
            link, address = self.link(name), self.address[name]
            self.router.run(
                *("ip", "link", "add", link, "type", "veth"),
                *("peer", "name", "eth0", "netns", str(space.pid)),
            )  # fmt: skip
            assert self.router.attach(link, address, None)
            space.run("ip", "addr", "add", f"{address}/32", "dev", "eth0")
            space.run("ip", "link", "set", "eth0", "up")
            space.run("ip", "route", "add", "default", "via", GATEWAY, "dev", "eth0", "onlink")

    def link(self, name: str) -> str:
        return f"{self.router.id}-{name}"

    def end(self) -> None:
        for space in self.spaces.values():
            space.end()
        self.router.down()
