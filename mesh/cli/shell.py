"""An SSH connection to a node, pinned to the host key the stack knows."""

import os
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from mesh.cli.outputs import MeshOutputs, NodeOutputs

__all__ = ["ssh"]

# Seconds until a node that does not answer is given up: as the other commands do (mesh/cli/nodes.py).
_CONNECT_SECONDS: Final = 10


def ssh(mesh: MeshOutputs, name: str, command: Sequence[str]) -> int:
    """Open a shell on a node, or run `command` there; returns ssh's exit code.

    The key lies in a file only its owner can read, for as long as ssh runs.
    """
    node = mesh.node(name)
    with tempfile.TemporaryDirectory(prefix="wgmesh-ssh-", dir=_memory()) as folder:
        key, known_hosts = Path(folder, "key"), Path(folder, "known_hosts")
        key.touch(mode=0o600)
        key.write_text(mesh.ssh_private_key)
        known_hosts.write_text(f"{_host(node)} {node.host_key}\n")
        words = [
            *("ssh", "-i", str(key), "-o", "IdentitiesOnly=yes"),
            *("-o", f"UserKnownHostsFile={known_hosts}", "-o", "GlobalKnownHostsFile=/dev/null"),
            *("-p", str(node.ssh_port)),
            *("-o", "StrictHostKeyChecking=yes", "-o", f"ConnectTimeout={_CONNECT_SECONDS}"),
            f"root@{node.public_ip}",
            *command,
        ]
        return subprocess.run(words, check=False).returncode


def _host(node: NodeOutputs) -> str:
    """The node as known_hosts names it (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT)."""
    return node.public_ip if node.ssh_port == 22 else f"[{node.public_ip}]:{node.ssh_port}"


def _memory() -> str | None:
    """A folder in memory where there is one, so that the key never reaches a disk."""
    shm = "/dev/shm"  # noqa: S108 - the folder made in it is private
    return shm if os.access(shm, os.W_OK) else None
