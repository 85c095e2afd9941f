"""How a new server is met for the first time: cloud-init user data and the bootstrap script."""

import json
from pathlib import Path
from typing import Final

__all__ = ["BOOTSTRAP", "user_data"]

BOOTSTRAP: Final = (Path(__file__).parent / "bootstrap.sh").read_text()
"""Shell script, run once per server; reads the permanent host key on stdin."""


def user_data(hostname: str, host_private_key: str, host_public_key: str) -> str:
    """Return cloud-init user data that gives the server its name and a throw-away ECDSA host key.

    JSON is YAML, and needs no quoting rules of our own. The key is worth nothing once the permanent
    host key is in place, which is why it may travel where every process on the server can read it.
    """
    config = {
        "hostname": hostname,
        "ssh_deletekeys": True,
        "ssh_keys": {"ecdsa_private": host_private_key, "ecdsa_public": host_public_key},
        "ssh_pwauth": False,
        "disable_root": False,
    }
    return f"#cloud-config\n{json.dumps(config, indent=1)}\n"
