"""The mesh of playbook.yml by pyinfra: keys on the hosts, one template, a restart when the file changed."""

from pyinfra import host, inventory
from pyinfra.facts.files import File
from pyinfra.facts.server import Command
from pyinfra.operations import files, python, server, systemd

KEYS = "/etc/wireguard"


def read_keys() -> None:
    """Read both keys, which the operation before has made."""
    private, public = host.get_fact(Command, f"cat {KEYS}/privatekey {KEYS}/publickey").split()
    host.data.private_key, host.data.public_key = private, public


def configure() -> None:
    """Write wg0.conf with the public keys of all other hosts, and see to the service."""
    written = files.template(
        name="Write wg0.conf",
        src="deploy.conf.j2",
        dest=f"{KEYS}/wg0.conf",
        mode="600",
        peers=[peer for peer in inventory if peer.name != host.name],
    )
    systemd.service(
        name="Enable and start WireGuard",
        service="wg-quick@wg0",
        enabled=True,
        running=True,
        restarted=written.changed,
    )


if not host.get_fact(File, f"{KEYS}/privatekey"):
    server.shell(name="Make the private key", commands=[f"umask 077 && wg genkey > {KEYS}/privatekey"])
if not host.get_fact(File, f"{KEYS}/publickey"):
    server.shell(name="Derive the public key", commands=[f"wg pubkey < {KEYS}/privatekey > {KEYS}/publickey"])
python.call(name="Read the keys", function=read_keys)
python.call(name="Configure WireGuard", function=configure)
