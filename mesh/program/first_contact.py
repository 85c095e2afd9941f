"""How a new server is met for the first time: cloud-init user data and the bootstrap script."""

import json
from pathlib import Path
from typing import Any, Final

__all__ = ["BOOTSTRAP", "user_data"]

BOOTSTRAP: Final = (Path(__file__).parent / "bootstrap.sh").read_text()
"""Shell script, run once per server; reads the permanent host key on stdin."""


_SSH_PORT: Final = 22
# Where systemd holds the socket (Ubuntu since 22.10), its generator reads the port from sshd's settings.
_MOVE_SSHD: Final = (
    "systemctl daemon-reload; "
    "if systemctl -q is-active ssh.socket; then systemctl restart ssh.socket; "
    "else systemctl restart ssh || systemctl restart sshd; fi"
)


def user_data(hostname: str, host_private_key: str, host_public_key: str, *, ssh_port: int) -> str:
    """Return cloud-init user data that gives the server its name and a throw-away ECDSA host key.

    sshd listens on `ssh_port` from its first start.

    JSON is YAML, and needs no quoting rules of our own. The key is worth nothing once the permanent
    host key is in place, which is why it may travel where every process on the server can read it.
    """
    config: dict[str, Any] = {
        "hostname": hostname,
        "ssh_deletekeys": True,
        "ssh_keys": {"ecdsa_private": host_private_key, "ecdsa_public": host_public_key},
        "ssh_pwauth": False,
        "disable_root": False,
    }
    if ssh_port != _SSH_PORT:
        path = "/etc/ssh/sshd_config.d/10-wgmesh-port.conf"
        config["write_files"] = [{"path": path, "content": f"Port {ssh_port}\n"}]
        config["runcmd"] = [["sh", "-c", _MOVE_SSHD]]
    return f"#cloud-config\n{json.dumps(config, indent=1)}\n"
