"""A small valid document and its keys, for tests that bend it."""

import base64
import hashlib

KEYS = [base64.b64encode(bytes([index]) * 32).decode() for index in range(1, 6)]


def fingerprint(key: str) -> str:
    return hashlib.blake2b(base64.b64decode(key), digest_size=8, person=b"wgmesh-key-fp").hexdigest()


WG = f"""\
# web-1
[Interface]
# PrivateKey = key:{fingerprint(KEYS[0])}
Address = 10.10.0.1/24
ListenPort = 51820
MTU = 1420

# web-2
[Peer]
PublicKey = {KEYS[2]}
# PresharedKey = key:{fingerprint(KEYS[1])}
AllowedIPs = 10.10.0.2/32
Endpoint = 198.18.3.11:51820
PersistentKeepalive = 25
"""

FIREWALL = """\
# web-1: only this table is ours
table inet wgmesh
delete table inet wgmesh
table inet wgmesh {
    chain input {
        type filter hook input priority filter; policy drop;
        tcp dport 22 accept comment "SSH # { not a brace"
    }
}
"""

SYSCTL = "# forwarding first\nnet.ipv4.ip_forward = 1\n\nnet.ipv4.conf.all.rp_filter = 2\n"
HOSTS = "10.10.0.1 web-1\n10.10.0.2 web-2\n"
AUTHORIZED_KEYS = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA wireguard-mesh\n"


def document(
    *,
    wg: str = WG,
    firewall: str = FIREWALL,
    sysctl: str = SYSCTL,
    hosts: str = HOSTS,
    authorized_keys: str = AUTHORIZED_KEYS,
) -> str:
    return (
        "wgmesh-files 1\n"
        f"==> /etc/wireguard/wg0.conf <==\n{wg}"
        f"==> /etc/wgmesh/firewall.nft <==\n{firewall}"
        f"==> /etc/sysctl.d/90-wgmesh.conf <==\n{sysctl}"
        f"==> /etc/hosts <==\n{hosts}"
        f"==> /root/.ssh/authorized_keys <==\n{authorized_keys}"
        "==> end <==\n"
    )
