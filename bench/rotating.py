"""Nodes whose keys change: as many as one wants, each of which gets its files at a chosen moment."""

import base64
import random
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from nacl.public import PrivateKey

from bench.nodes import Node, Nodes
from lab.testing import Run, wait

__all__ = ["NAMES", "Rotating", "Skew"]

NAMES: Final = {f"web-{number}": f"10.10.0.{number}" for number in range(1, 6)}
"""Of all nodes that there may be, with their addresses inside the mesh."""
# Seconds within which a rotation is over on hosts that share a slow machine; 17 s were measured.
_SOON: Final = 180.0
# Between two questions: each starts a Python on a node, and a rotation takes many seconds.
_PAUSE: Final = 0.5

Skew = Mapping[str, float]
"""Seconds that each node's apply begins after the first one's."""


@dataclass
class Rotating:
    """Nodes with a mesh in force, and the keys that the stack has for them.

    `mesh` are the mesh's settings beside `cidr` and `nodes`: without `rotation`, other keys come at once.
    `each` are those of each node beside `address`.
    """

    hosts: Nodes
    nodes: dict[str, Node]
    mesh: dict[str, Any] = field(default_factory=lambda: {"rotation": {}})
    each: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, folder: Path, image: Path, count: int) -> "Rotating":
        """Boot hosts, with the agent and a mesh of them all."""
        names = dict(list(NAMES.items())[:count])
        hosts = Nodes(folder, image, names)
        hosts.lab.up()
        fleet = cls(hosts, {})
        try:
            with ThreadPoolExecutor(2) as pool:
                fleet.nodes = dict(zip(names, pool.map(hosts.boot, names), strict=True))
            for node in fleet.nodes.values():
                node.copy(hosts.agent)
            fleet.settle(fleet.apply())
        except BaseException:
            fleet.end()
            raise
        return fleet

    def end(self) -> None:
        """Have nothing left of the hosts."""
        self.hosts.end()

    @property
    def addresses(self) -> dict[str, str]:
        """The addresses inside the mesh."""
        return {name: self.hosts.addresses[name] for name in self.nodes}

    def others(self, *names: str) -> dict[str, Node]:
        """All nodes but these."""
        return {name: node for name, node in self.nodes.items() if name not in names}

    def new_identities(self, *names: str) -> None:
        """Give nodes another private key, in the stack's eyes: nothing is sent yet."""
        for name in names or self.nodes:
            self.hosts.keys.private[name] = bytes(PrivateKey.generate())

    def new_root(self) -> None:
        """Give all pairs another pre-shared key."""
        root = bytes(PrivateKey.generate())
        self.hosts.keys.root = root

    def document(self, name: str, members: Iterable[str] | None = None) -> str:
        """Render the files of a node as the stack has them now."""
        mesh = {f"mesh_{key}": value for key, value in self.mesh.items()}
        return self.hosts.document(name, list(members or self.nodes), **self.each, **mesh)

    def skew(self, seconds: float) -> Skew:
        """Draw when each node begins, within so many seconds: in any order."""
        return {name: random.uniform(0.0, seconds) for name in self.nodes}  # noqa: S311 - a moment

    def apply(
        self,
        names: Iterable[str] | None = None,
        skew: Skew | None = None,
        members: Sequence[str] | None = None,
    ) -> dict[str, Run]:
        """Send keys and files to nodes side by side, as `up` does."""

        def one(name: str) -> Run:
            time.sleep((skew or {}).get(name, 0.0))
            stored = self.nodes[name].send_keys(self.hosts.agent)
            return self.nodes[name].apply(self.document(name, members)) if stored.word == "STORED" else stored

        chosen = list(names or self.nodes)
        with ThreadPoolExecutor(len(chosen)) as pool:
            return dict(zip(chosen, pool.map(one, chosen), strict=True))

    @staticmethod
    def settle(runs: Mapping[str, Run]) -> None:
        """All of it was committed."""
        for name, run in runs.items():
            assert run.word in ("CONFIRMED", "UNCHANGED"), (name, run.out)

    def public(self, name: str) -> str:
        """The public key that a node should have."""
        return self.hosts.keys.public(name)

    def rotating(self, name: str) -> dict[str, Any] | None:
        """What a node says of its rotation; None when it is over, lingering or not."""
        found: dict[str, Any] | None = self.nodes[name].status()["rotation"]
        return None if found is None or found["phase"] == "linger" else found

    def wait(self, names: Iterable[str] | None = None, *, seconds: float = _SOON) -> None:
        """Wait until the rotation is over on these nodes."""
        chosen = list(names or self.nodes)
        try:
            wait(lambda: not any(self.rotating(name) for name in chosen), seconds, pause=_PAUSE)
        except AssertionError:
            raise AssertionError({name: self.rotating(name) for name in chosen}) from None

    def check(self, names: Iterable[str] | None = None, *, former: Sequence[str] = ()) -> None:
        """One interface, one port, the new keys; nothing of `former`, private keys in base64, anywhere."""
        for name in names or self.nodes:
            node = self.nodes[name]
            status = node.status()
            assert status["differences"] == [], (name, status["differences"])
            assert node.inside("ls /sys/class/net | grep -c ^wg") == "1"
            assert node.inside("wg show wg0 public-key") == self.public(name)
            assert "51821" not in node.inside("ss -Hlun")
            assert "20000" not in node.inside("tc filter show dev wg0 egress"), "a redirect is left"
            assert node.inside("find /var/lib/wgmesh -name rotation.json -path '*generations*'") == ""
            for key in former:
                found = node.inside(
                    f"grep -rlF '{key}' /etc /var/lib /run /root /usr/local 2>/dev/null", check=False
                )
                assert found == "", (name, found)

    def private(self) -> list[str]:
        """The private keys that are in force now, to be looked for later."""
        return [base64.b64encode(key).decode() for key in self.hosts.keys.private.values()]
