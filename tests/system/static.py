"""Servers beside the cloud, for nodes with `provider: static`: hosts of the lab that nobody else made."""

import json
import subprocess
import sys
from dataclasses import dataclass
from difflib import unified_diff
from typing import Any, Final

import asyncssh

from lab.hosts import HostSpec, Lab
from lab.testing import wait
from tests.lab.hosts.world import CLOUD_INIT
from tests.system.world import World

__all__ = ["LOOK", "Server", "boot", "differences", "store"]

# Of what tools of the operator make anew at any time: no owner of a host sets any of this.
LOOK: Final = (
    "find /etc /root/.ssh -printf '%p %y %m %u:%g %l\\n' | sort;"
    "find /etc /root/.ssh -type f -exec sha256sum {} + | sort -k 2;"
    "systemctl list-unit-files --no-legend --no-pager | sort; systemctl --failed --no-legend;"
    "nft -s list ruleset; ip -o link | sed 's/^[0-9]*: //; s/ qlen .*//; s/@if[0-9]*//';"
    "{ ip -4 addr; ip -6 addr show scope global; } | sed 's/@if[0-9]*//';"  # another one after a reboot
    "ip route show table all; ip -6 route show table all; ip rule; ip -6 rule;"
    "sysctl -a 2>/dev/null | grep -vE '^(fs\\.|kernel\\.|vm\\.|user\\.|dev\\.|debug\\.|abi\\.|sunrpc\\.)'"
    " | grep -vE 'nf_conntrack_count|stable_secret';"
    "ls -A /usr/local/bin /usr/local/lib /var/lib | grep -i wgmesh; ls /run | grep -i wgmesh; true"
)
"""Everything that a mesh may touch on a host, as text."""


def differences(before: str, after: str) -> list[str]:
    """Return the lines of two looks that are not the same, as a diff without context."""
    found = unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=0)
    return [line for line in found if not line.startswith(("---", "+++", "@@"))]


@dataclass(frozen=True)
class Server:
    """A host of the lab: `line` is its public host key of one kind, by kind."""

    lab: Lab
    key: str
    address: str
    lines: dict[str, str]

    def run(self, script: str) -> "subprocess.CompletedProcess[str]":
        """Run a script at the console, whatever comes of it."""
        return subprocess.run(
            self.lab.enter(self.key, ["sh", "-c", script]), capture_output=True, text=True, check=False
        )

    def inside(self, script: str) -> str:
        """Run a script at the console; it must succeed."""
        done = self.run(script)
        assert done.returncode == 0, (script, done.stdout, done.stderr)
        return done.stdout

    def await_boot(self) -> None:
        """Wait until all that starts with the host has started."""
        wait(lambda: self.run(CLOUD_INIT).returncode == 0, 300)
        wait(lambda: self.run("systemctl is-system-running").stdout.strip() in {"running", "degraded"}, 300)

    def node(self, address: str, *, kind: str = "ed25519", **more: Any) -> dict[str, Any]:
        """Return the node in the stack file for this server."""
        return {
            "address": address,
            "provider": "static",
            "host": self.address,
            "hostKey": self.lines[kind],
            **more,
        }


def boot(
    world: World,
    key: str,
    number: int,
    *,
    user: str = "root",
    image: str = "debian-12",
    network6: str | None = None,
) -> tuple[Server, str]:
    """Boot a server that lets one key in, for `user`; returns the server and the private key.

    `network6` is its public IPv6 network, a /64, where it has one.
    """
    private = asyncssh.generate_private_key("ssh-ed25519")
    public = private.export_public_key().decode().strip()
    config: dict[str, Any] = {}
    if user != "root":
        config = {
            "users": [
                {
                    "name": user,
                    "sudo": "ALL=(ALL) NOPASSWD:ALL",
                    "shell": "/bin/bash",
                    "ssh_authorized_keys": [public],
                }
            ]
        }
    lab = world.hosts
    address = str(lab.pool[number])
    lab.create(
        HostSpec(
            key=key,
            hostname=f"own-{key}",
            address=address,
            user_data=f"#cloud-config\n{json.dumps(config)}\n",
            public_keys=[public] if user == "root" else [],
            instance_id=f"i-{key}",
            image=image,
            network6=network6,
        )
    )
    lab.start(key)
    server = Server(lab, key, address, {})
    server.await_boot()
    for kind in ("ed25519", "ecdsa", "rsa"):
        server.lines[kind] = " ".join(server.inside(f"cat /etc/ssh/ssh_host_{kind}_key.pub").split()[:2])
    return server, private.export_private_key().decode()


def store(world: World, name: str, secret: str) -> None:
    """Put a secret into the stack's configuration, as from a file."""
    words = [sys.executable, "-m", "lab", "run", "config", "set", "--secret", name]
    subprocess.run(words, cwd=world.folder, input=secret, text=True, check=True)
