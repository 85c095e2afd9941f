"""Real hosts, the agent on them, and what a test asks of a node beside what `bench/nodes.py` has."""

from collections.abc import Mapping
from pathlib import Path

from bench import nodes
from bench.nodes import AGENT, CALL, DEADLINE, INCOMING, Keys
from lab.testing import Run, wait

__all__ = ["ADDRESSES", "AGENT", "CALL", "DEADLINE", "INCOMING", "Hosts", "Keys", "Node", "Run"]

ADDRESSES = {"web-1": "10.10.0.1", "web-2": "10.10.0.2", "web-3": "10.10.0.3"}


class Node(nodes.Node):
    """A host with the agent, or without it yet."""

    def install(self) -> Run:
        """Install the agent alone."""
        self.copy(self.hosts.agent)
        return self.ssh(f"exec python3 -IS {INCOMING} install", self.hosts.agent.sha256)

    def moment(self, said: str) -> float:
        """When the agent last said this in the journal, in seconds since boot."""
        lines = self.inside("journalctl -q -t wgmesh -o short-monotonic").splitlines()
        return next(float(line.strip("[ ").split("]")[0]) for line in reversed(lines) if said in line)

    def pending(self) -> bool:
        """Whether a trial is; the agent is not asked, since it would end one that is overdue."""
        return self.inside("test ! -e /run/wgmesh/trial.json || echo yes") == "yes"

    def settle(self) -> None:
        """End what another test left: a failpoint, a trial, an outcome that the next apply would tell."""
        self.inside("rm -f /etc/wgmesh/failpoint")
        self.wait_idle()
        self.inside("rm -f /run/wgmesh/outcome.json")

    def bring(self, document: str) -> None:
        """Have these files in force, whatever another test left."""
        self.settle()
        run = self.apply(document)
        assert run.word in ("CONFIRMED", "UNCHANGED"), run.out

    def wait_idle(self, seconds: float = DEADLINE + 30) -> None:
        wait(lambda: not self.pending(), seconds)

    def live(self) -> str:
        """Everything a trial may change, as text without keys; and everything it may not."""
        return self.inside(
            "wg show wg0 allowed-ips 2>&1 | sort; wg show wg0 listen-port 2>&1;"
            "ip -o -4 address show wg0 2>&1 | cut -d: -f2-; cat /sys/class/net/wg0/mtu 2>&1; ip route;"
            "ip -o -6 address show wg0 scope global 2>&1 | cut -d: -f2-; ip -6 route show dev wg0 2>&1;"
            "nft -s list ruleset; sysctl net.ipv4.ip_forward net.ipv4.conf.all net.ipv4.conf.default;"
            "sysctl net.ipv6.conf.all net.ipv6.conf.default 2>/dev/null;"
            "readlink /var/lib/wgmesh/current; cat /etc/hosts /root/.ssh/authorized_keys;"
            "ls -l --time-style=+ /etc/wireguard /etc/sysctl.d; systemctl is-enabled wg-quick@wg0;"
            "systemctl is-active wg-quick@wg0",
            check=False,
        )


class Hosts(nodes.Nodes):
    """The lab, and what its hosts share."""

    def __init__(self, folder: Path, image: Path, addresses: Mapping[str, str] = ADDRESSES) -> None:
        super().__init__(folder, image, addresses)

    def boot(self, name: str) -> Node:
        """Make a host anew, also where another module had it."""
        node = super().boot(name)
        return Node(self, node.key, name, node.address)
