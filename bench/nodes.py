"""Nodes without a cloud and an engine: hosts of the lab with the agent, and what `up` sends it."""

import base64
import json
import secrets
import time
from collections.abc import Iterable, Mapping, Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final

from nacl.public import PrivateKey

from lab.testing import Host, Hosts, Run
from mesh.plan import fingerprint, plan_mesh, preshared_key
from mesh.program.agent import AgentFile, build_agent
from mesh.remote import keys_call
from mesh.render import NOTHING_MOVES, Endpoint, KeyNames, Moving, PeerFacts, render_document
from mesh.settings import parse_settings

__all__ = ["AGENT", "CALL", "DEADLINE", "INCOMING", "Keys", "Node", "Nodes"]

AGENT: Final = "/usr/local/lib/wgmesh/wgmesh.pyz"
CALL: Final = f"python3 -IS {AGENT}"
"""Calls the agent as the program does (`mesh/remote.py`); a command of the agent follows."""
INCOMING: Final = "/usr/local/lib/wgmesh/incoming.pyz"
DEADLINE: Final = 10
"""Seconds until a trial is rolled back on these nodes."""
# Exit codes: the agent asks for a new connection (os.EX_TEMPFAIL); ssh had none.
_AGAIN: Final = 75
_NO_CONNECTION: Final = 255


class Keys:
    """All keys of a small mesh."""

    def __init__(self, names: Iterable[str]) -> None:
        self.names = tuple(names)
        self.private = {name: bytes(PrivateKey.generate()) for name in self.names}
        self.root = secrets.token_bytes(32)

    def public(self, name: str) -> str:
        """Return the public key of a node."""
        return base64.b64encode(bytes(PrivateKey(self.private[name]).public_key)).decode()

    def bundle(self, name: str) -> str:
        """Return what a node gets of the keys."""
        peers = [preshared_key(self.root, name, other, 1) for other in self.names if other != name]
        keys = [base64.b64encode(key).decode() for key in (self.private[name], *peers)]
        return json.dumps({"format": 1, "keys": keys})

    def secrets(self) -> list[str]:
        """Every key of the mesh, as WireGuard writes it."""
        pairs = [(a, b) for a in self.names for b in self.names if a < b]
        raw = [*self.private.values(), *(preshared_key(self.root, a, b, 1) for a, b in pairs)]
        return [base64.b64encode(key).decode() for key in raw]


class Node(Host):
    """A host with the agent."""

    hosts: "Nodes"

    def agent(self, command: str, stdin: str | bytes = "") -> Run:
        """Have the agent do something, over a connection of its own."""
        return self.ssh(f"exec {CALL} {command}", stdin)

    def copy(self, agent: AgentFile) -> None:
        """Put an agent's file where the program does. Raises `AssertionError`."""
        content = Path(agent.path).read_bytes()
        assert self.ssh(f"mkdir -p {Path(INCOMING).parent} && cat >{INCOMING}", content).code == 0

    def send_keys(self, agent: AgentFile) -> Run:
        """Send the keys as the program does, for this agent."""
        return self.ssh(keys_call(agent.sha256), self.hosts.keys.bundle(self.name))

    def apply(self, document: str, *, dials: int = 12) -> Run:
        """Dial as the program does: again for as long as the agent asks for a new connection."""
        run = Run(0, "")
        for _dial in range(dials):
            run = self.agent("apply", document)
            if run.code not in (_AGAIN, _NO_CONNECTION):
                break
            time.sleep(0 if run.code == _AGAIN else 1)
        return run

    def status(self) -> dict[str, Any]:
        """Return what the agent says of the node."""
        value: dict[str, Any] = json.loads(self.inside(f"{CALL} status"))
        return value


class Nodes(Hosts):
    """The lab, and what its nodes share."""

    def __init__(self, folder: Path, image: Path, addresses: Mapping[str, str]) -> None:
        super().__init__(folder, image, addresses)
        self.keys = Keys(addresses)
        self.agent: AgentFile = build_agent(folder)

    def boot(self, name: str) -> Node:
        """Make a host without the agent, on which a trial will be short."""
        host = super().boot(name)
        settings = json.dumps({"deadline_seconds": DEADLINE})
        host.inside(f"mkdir -p /etc/wgmesh; echo '{settings}' >/etc/wgmesh/agent.json")
        # As a host is that was met, and has lost its first host key.
        host.inside(
            "install -d -m 0700 /var/lib/wgmesh; cd /etc/ssh; rm ssh_host_ecdsa_key*;"
            'for key in /etc/ssh/ssh_host_*_key; do echo "HostKey $key"; done >sshd_config.d/10-wgmesh.conf;'
            "systemctl restart ssh"
        )
        return Node(self, host.key, name, host.address)

    def document(
        self,
        name: str,
        members: Sequence[str],
        *,
        moving: Moving = NOTHING_MOVES,
        underlays: Mapping[str, int] | None = None,
        **changes: Any,
    ) -> str:
        """Render a node's document; `changes` go to the node's settings, `mesh_` ones to the mesh's.

        `underlays` are the `underlayMtu` of members.
        """
        mesh = {key[5:]: value for key, value in changes.items() if key.startswith("mesh_")}
        own = {key: value for key, value in changes.items() if not key.startswith("mesh_")}
        nodes: dict[str, dict[str, Any]] = {member: {"address": self.addresses[member]} for member in members}
        nodes[name].update(own)
        for member, size in (underlays or {}).items():
            nodes[member]["underlayMtu"] = size
        defaults = {"location": "fsn1", "type": "cx23", "image": "debian-12"}
        raw = {"cidr": "10.10.0.0/24", "defaults": defaults, "nodes": nodes, **mesh}
        plan = plan_mesh(parse_settings(raw)).nodes[name]
        facts = {
            member: PeerFacts(
                public_key=self.keys.public(member),
                endpoint=Endpoint(address=ip_address(self.address(member)), port=plan.overlay.port),
            )
            for member in members
        }
        names = KeyNames(
            private=fingerprint(self.keys.private[name]), preshared=self._preshared(name, members)
        )
        key = (self.folder / "mgmt.pub").read_text().rsplit(" ", 1)[0]
        return render_document(plan, facts, names, management_key=key, moving=moving)

    def _preshared(self, name: str, members: Sequence[str]) -> Mapping[str, str]:
        root = self.keys.root
        return {m: fingerprint(preshared_key(root, name, m, 1)) for m in members if m != name}
