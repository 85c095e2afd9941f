"""What cloud-init is told, for every provider that has it: name and throw-away SSH host key."""

import json
from pathlib import Path
from typing import Any, Final

__all__ = ["user_data"]

_HERE: Final = Path(__file__).parent

_SSH_PORT: Final = 22

_DROPINS: Final = "/etc/ssh/sshd_config.d"
# It sorts first, as the first value counts. Where an image names its host keys or their algorithms, sshd
# would not offer the one that cloud-init was given, and without any it does not start.
_FIRST_CONTACT: Final = f"{_DROPINS}/00-00-wgmesh-first-contact.conf"
_OFFER_THE_KEY: Final = """\
# Until this server has its permanent host key; wireguard-mesh removes this file then.
HostKey /etc/ssh/ssh_host_ecdsa_key
HostKey /etc/ssh/ssh_host_ed25519_key
HostKey /etc/ssh/ssh_host_rsa_key
HostKeyAlgorithms +ecdsa-sha2-nistp256
"""
# Where an image has settings of its own that read no other files, they read ours.
_INCLUDE: Final = (
    f"grep -qsi '^ *include  *{_DROPINS}/' /etc/ssh/sshd_config || "
    f"sed -i '1i Include {_DROPINS}/*wgmesh*.conf' /etc/ssh/sshd_config"
)
_PORT: Final = f"{_DROPINS}/10-wgmesh-port.conf"


def user_data(hostname: str, host_private_key: str, host_public_key: str, *, ssh_port: int) -> str:
    """Return cloud-init user data that gives the server its name and a throw-away ECDSA host key.

    sshd offers this key whatever the image's settings are, and listens on `ssh_port`.

    JSON is YAML, and needs no quoting rules of our own. The key is worth nothing once the permanent
    host key is in place, which is why it may travel where every process on the server can read it.
    """
    config: dict[str, Any] = {
        "hostname": hostname,
        "ssh_deletekeys": True,
        "ssh_keys": {"ecdsa_private": host_private_key, "ecdsa_public": host_public_key},
        "ssh_pwauth": False,
        "disable_root": False,
        "bootcmd": [["cloud-init-per", "once", "wgmesh-include", "sh", "-c", _INCLUDE]],
        "write_files": [{"path": _FIRST_CONTACT, "content": _OFFER_THE_KEY}],
    }
    if ssh_port != _SSH_PORT:
        config["write_files"] += [{"path": _PORT, "content": f"Port {ssh_port}\n"}]
        config["runcmd"] = [["sh", "-c", (_HERE / "move_sshd.sh").read_text(), "move-sshd", str(ssh_port)]]
    return f"#cloud-config\n{json.dumps(config, indent=1)}\n"
