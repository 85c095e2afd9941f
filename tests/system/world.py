"""A rehearsal of the mesh, and what one asks of it."""

import base64
import contextlib
import re
import shlex
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import yaml
from hcloud import Client

from lab.hosts import HostError
from lab.testing import Run
from lab.testing import World as Rehearsal

_SECONDS: Final = 500


class World(Rehearsal):
    """One project folder with its lab. Made by the `world` fixture, which also ends it."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, ["mesh"])
        self._wanted: str | None = None
        self._deployed: str | None = None
        """The stack file of the last `up`, where this one came to its end and no other command undid it."""

    def lab(self, *words: str, timeout: int = _SECONDS) -> Run:
        """Run `python -m lab ...`."""
        run = super().lab(*words, timeout=timeout)
        if words[:2] == ("run", "up"):
            self._deployed = None if run.code else self.stack_file.read_text()
        elif words == ("down",):
            self._deployed = None
        return run

    @property
    def deployed(self) -> bool:
        """Whether the last `up` was with the stack file as it is, and came to its end."""
        return self._deployed == self.stack_file.read_text()

    def bring(self, change: Callable[[dict[str, Any]], object] | None = None) -> None:
        """Have the mesh up as the project's stack file with this change says, whatever another test left."""
        if self._wanted is None:
            if change:
                self.edit_mesh(change)
            self._wanted = self.stack_file.read_text()
        self.stack_file.write_text(self._wanted)
        if not self.deployed:
            self.start()
            self._come_to_rest()

    def _come_to_rest(self) -> None:
        """Run until nothing is left to do: doors close a run later, former addresses go two runs later."""
        for _ in range(4):
            if not re.search(r"\d+ (updated|replaced|deleted)", self.up()):
                return
        raise AssertionError("after four runs there is still something to do")

    def edit_mesh(self, change: Callable[[dict[str, Any]], object]) -> None:
        """Change the `wireguard-mesh:mesh` part of the stack file."""
        self.edit("wireguard-mesh:mesh", change)

    def cloud(self) -> Client:
        """Return a client of the lab's cloud, as the provider's own console uses it."""
        config = yaml.safe_load(self.stack_file.read_text())["config"]
        return Client(config["hcloud:token"], config["hcloud:endpoint"], poll_interval=0.1)

    def delete_server(self, name: str) -> None:
        """Delete a server behind the stack's back."""
        server = self.cloud().servers.get_by_name(name)
        assert server is not None
        server.delete().wait_until_finished()

    def reach(self) -> Run:
        """Ping all ordered pairs; each host's way in costs no Python, as that of `via` does."""
        ways = self.folder / "ways.sh"
        ways.write_text(f'case $1 in\n{"".join(self._ways())}esac\necho "error: $1 is off"; exit 1\n')
        return self.command(sys.executable, "-m", "mesh", "reach", "--via", f"sh {ways} {{node}}")

    def _ways(self) -> Iterator[str]:
        for machine in self.hosts.machines():
            with contextlib.suppress(HostError):  # it is off
                way = shlex.join(self.hosts.enter(machine.key, []))
                yield f'{machine.spec()["hostname"].removeprefix("lab-")}) shift; exec {way} "$@" ;;\n'

    def secrets(self, nodes: Iterable[str]) -> dict[str, str]:
        """Every kind of secret of these nodes by name, as base64."""
        found: dict[str, str] = {}
        for node in nodes:
            conf = self.on(node, "cat /etc/wireguard/wg0.conf")
            (found[f"{node} private key"],) = re.findall(r"^PrivateKey = (.*)$", conf, re.MULTILINE)
            found[f"{node} first pre-shared key"] = re.findall(r"^PresharedKey = (.*)$", conf, re.MULTILINE)[
                0
            ]
            found[f"{node} host key"] = self.on(node, "sed -n 3p /etc/ssh/ssh_host_ed25519_key").strip()
        found["management key"] = self.outputs()["ssh_private_key"].splitlines()[2]
        return found

    def ssh_connections(self, node: str) -> int:
        """How many SSH connections the node's sshd has accepted since it was made."""
        return len(re.findall(r"Accepted publickey", self.on(node, "journalctl -q -o cat -t sshd")))


def shown(text: str, secrets: Mapping[str, str]) -> list[str]:
    """Name the secrets that a text holds: in base64 or in hex, whole or short of a character."""
    found = []
    for name, secret in secrets.items():
        raw = base64.b64decode(secret + "=" * (-len(secret) % 4))
        if any(form in text for form in (secret[:-1], secret[1:], raw.hex()[1:], raw.hex()[:-1])):
            found.append(name)
    return found
