"""WireGuard between two hosts, as people set it up by hand."""

import pytest

from tests.lab.hosts.world import Host

pytestmark = pytest.mark.hosts

CONFIG = """
[Interface]
PrivateKey = {private}
Address = 10.99.0.{number}/24
ListenPort = 51820
[Peer]
PublicKey = {public}
AllowedIPs = 10.99.0.{peer}/32
Endpoint = {endpoint}:51820
"""


def test_packets_pass_a_tunnel_of_wg_quick(one: Host, two: Host) -> None:
    private = {host.key: host.inside("wg genkey") for host in (one, two)}
    public = {host.key: host.inside(f"echo {private[host.key]} | wg pubkey") for host in (one, two)}
    for number, host, peer in ((1, one, two), (2, two, one)):
        config = CONFIG.format(
            private=private[host.key],
            public=public[peer.key],
            number=number,
            peer=3 - number,
            endpoint=peer.address,
        )
        host.inside(
            f"umask 077; cat >/etc/wireguard/wg9.conf <<'EOF'\n{config}EOF\nsystemctl start wg-quick@wg9"
        )
    try:
        one.inside("ping -c 2 -i 0.2 -W 5 -M do -s 1392 10.99.0.2")
        assert public["two"] in one.inside("wg show wg9 latest-handshakes")
        assert one.inside("cat /sys/class/net/wg9/mtu") == "1420"
    finally:
        for host in (one, two):
            host.run("systemctl stop wg-quick@wg9; rm /etc/wireguard/wg9.conf")
