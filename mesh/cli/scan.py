"""`mesh scan-host-key`: the public SSH host key that a server shows, as a line of the stack file."""

import asyncio
import socket
from dataclasses import dataclass
from typing import Final

import asyncssh

from mesh.cli.engine import CliError

__all__ = ["Scanned", "scan", "to_compare"]

_SECONDS: Final = 15.0
# Not Ed25519 first: first contact puts the mesh's own key in the place of the server's Ed25519 key, and the
# line in the stack file is worth more while the server still shows that key.
_KINDS: Final = (
    ("ecdsa", ["ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521"]),
    ("ed25519", ["ssh-ed25519"]),
    ("rsa", ["rsa-sha2-512", "rsa-sha2-256"]),
)


@dataclass(frozen=True, kw_only=True)
class Scanned:
    """A key that a server at an `address` shows: its `kind` as in the name of its file on the server.

    `line` is type and key, `fingerprint` as `ssh-keygen -l` prints it.
    """

    address: str
    kind: str
    line: str
    fingerprint: str


def scan(host: str, port: int) -> Scanned:
    """Ask the SSH server at a host (a name or an address) for one of its host keys. Raises `CliError`."""
    where = f"{host}, port {port}"
    try:
        address = str(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][4][0])
        found = asyncio.run(_first(address, port))
    except socket.gaierror as error:
        raise CliError(f"{host}: no such host ({error.strerror}); give an address or a name") from None
    except (OSError, TimeoutError) as error:
        why = str(error) or f"no answer in {_SECONDS:.0f} s"
        raise CliError(f"{where}: {why}. Is this the server, and does sshd listen there (--port)?") from None
    if found is None:
        raise CliError(f"{where}: no SSH server answers there, or none with a key of a known kind")
    kind, key = found
    line = " ".join(key.export_public_key("openssh").decode().split()[:2])
    return Scanned(address=address, kind=kind, line=line, fingerprint=key.get_fingerprint("sha256"))


async def _first(address: str, port: int) -> tuple[str, asyncssh.SSHKey] | None:
    async with asyncio.timeout(_SECONDS):
        for kind, algorithms in _KINDS:
            try:
                key = await asyncssh.get_server_host_key(
                    address, port, server_host_key_algs=algorithms, config=None
                )
            except asyncssh.Error:
                continue
            if key is not None:
                return kind, key
    return None


def to_compare(found: Scanned) -> str:
    """Return what must be said beside the key: nobody has vouched for it yet."""
    file = f"/etc/ssh/ssh_host_{found.kind}_key.pub"
    return (
        f"{found.fingerprint}\n"
        f"To be compared before you use this line: whoever is between here and the server can show a key of "
        f"their own. At the server's console, `ssh-keygen -lf {file}` must print the same fingerprint."
    )
