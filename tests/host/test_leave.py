"""A host that leaves is as it was before; what its owner set is the owner's again."""

from collections.abc import Iterator
from difflib import unified_diff
from typing import Any

import pytest

from tests.host.nodes import AGENT, CALL, Hosts, Node

pytestmark = pytest.mark.hosts

LOOK = (
    "nft -s list ruleset; sysctl -a 2>/dev/null | grep -E '^net.ipv[46].(conf.(all|def)|ip_f|icmp|tcp_sy)';"
    "cat /etc/hosts /root/.ssh/authorized_keys; stat -c '%A %U %N' /var/lib/wgmesh /run/wgmesh /etc/wgmesh"
    " /usr/local/lib/wgmesh /etc/wireguard /etc/wireguard/* /etc/sysctl.d/* /etc/systemd/system/*;"
    "ip -o link | cut -d: -f2; systemctl is-enabled wg-quick@wg0; systemctl --failed --no-legend"
)


# All that a host has, but for what changes by itself.
EVERYTHING = (
    "nft -s list ruleset; ip -o address | sed 's/valid_lft.*//';"
    "ip -4 route show table all; ip -6 route show table all"
    " | sed 's/ expires [0-9]*sec//'; ip rule; ip -6 rule; ip -o link | cut -d: -f2; tc qdisc;"
    "sysctl -a 2>/dev/null | grep '^net\\.' | grep -vE 'nf_conntrack_count|stable_secret';"
    "find /etc -printf '%p %M %u %g %l\n' | sort; find /etc -type f -exec sha256sum {} + | sort -k2;"
    "systemctl list-unit-files --no-legend;"
    "systemctl list-units --no-legend --plain --type=service,socket,timer,path"
    " | cut -d' ' -f1 | grep -vE '^(session-|run-|user)'; ls -a /var/lib /usr/local/lib; ls -d /run/wgmesh*"
)
LAN = {"routes": ["10.20.0.0/16", "fd00:20::/64"]}
JOINED: dict[str, dict[str, Any]] = {
    "both families": {"mesh_cidr6": "fd00:10::/64", "forward": True},
    "a network behind the host": {
        "mesh_cidr6": "fd00:10::/64",
        "mesh_nodes": {"web-1": {"address": "10.10.0.1"}, "web-3": {"address": "10.10.0.3", **LAN}},
    },
    "networks behind another": {
        "mesh_cidr6": "fd00:10::/64",
        "mesh_nodes": {"web-1": {"address": "10.10.0.1", **LAN}, "web-3": {"address": "10.10.0.3"}},
    },
    "a way out for others": {
        "mesh_nodes": {
            "web-1": {"address": "10.10.0.1", "egress": "web-3", "publicIpv4": False, "publicIpv6": True},
            "web-3": {"address": "10.10.0.3", "publicIpv6": True},
        },
    },
    "narrow paths": {"mesh_cidr6": "fd00:10::/64", "underlays": {"web-1": 1400, "web-3": 1500}},
}


@pytest.fixture(scope="module")
def host(hosts: Hosts) -> Iterator[Node]:
    """A host that has its owner's own settings."""
    node = hosts.boot("web-3")
    node.inside(
        "rm -r /etc/wgmesh /var/lib/wgmesh;"
        "sysctl -q net.ipv4.tcp_syncookies=2 net.ipv4.conf.all.log_martians=0;"
        "mkdir -p /etc/wireguard; chmod 700 /etc/wireguard; umask 77; echo '# mine' >/etc/wireguard/wg0.conf;"
        "cp -a /root/.ssh/authorized_keys /root/keys-before"
    )
    yield node
    hosts.lab.destroy(node.key)


@pytest.fixture
def guest(host: Node) -> Iterator[Node]:
    """The host while it is in no mesh."""
    yield host
    host.inside(f"test ! -e {AGENT} || {CALL} leave; cp -a /root/keys-before /root/.ssh/authorized_keys")


def _join(node: Node, hosts: Hosts) -> None:
    assert node.install().word == "INSTALLED"
    assert node.agent("keys", hosts.keys.bundle("web-3")).word == "STORED"
    document = hosts.document("web-3", ("web-1", "web-3"), forward=True)
    assert node.apply(document).word == "CONFIRMED"


def test_a_host_that_leaves_is_as_it_was_before(guest: Node, hosts: Hosts) -> None:
    before = guest.inside(LOOK, check=False)
    _join(guest, hosts)
    assert guest.inside("sysctl -n net.ipv4.ip_forward net.ipv4.tcp_syncookies") == "1\n1"
    assert guest.inside("cat /etc/wireguard/wg0.conf.before-wgmesh") == "# mine"
    run = guest.agent("leave")
    assert (run.word, run.code) == ("LEFT", 0), run.out
    assert guest.inside(LOOK, check=False) == before


@pytest.mark.parametrize("joined", JOINED)
def test_nothing_is_left_of_what_a_member_had(guest: Node, hosts: Hosts, joined: str) -> None:
    assert guest.install().word == "INSTALLED"
    assert guest.agent("leave").word == "LEFT"  # sshd's own settings stay, see below
    before = guest.inside(EVERYTHING, check=False).splitlines()
    assert guest.install().word == "INSTALLED"
    assert guest.agent("keys", hosts.keys.bundle("web-3")).word == "STORED"
    run = guest.apply(hosts.document("web-3", ("web-1", "web-3"), **JOINED[joined]))
    assert run.word == "CONFIRMED", run.out
    assert guest.agent("leave").word == "LEFT"
    after = guest.inside(EVERYTHING, check=False).splitlines()
    assert list(unified_diff(before, after, lineterm="", n=0)) == []


def test_a_host_that_left_boots_as_before_and_can_come_back(guest: Node, hosts: Hosts) -> None:
    _join(guest, hosts)
    assert guest.agent("leave").word == "LEFT"
    guest.reboot()
    assert guest.inside("nft list tables; ip -o link show wg0 2>/dev/null", check=False) == ""
    _join(guest, hosts)
    assert guest.status()["differences"] == []


def test_a_host_that_started_anew_as_a_member_leaves_with_the_settings_that_it_had(
    guest: Node, hosts: Hosts
) -> None:
    """Its interfaces began with the mesh's values of `default`."""
    settings = "sysctl -a 2>/dev/null | grep -E '^net\\.ipv[46]\\.' | grep -v stable_secret"
    before = guest.inside(settings)
    _join(guest, hosts)
    guest.reboot()
    assert guest.inside("sysctl -n net.ipv4.conf.eth0.rp_filter") == "2"
    assert guest.agent("leave").word == "LEFT"
    assert guest.inside(settings).splitlines() == before.splitlines()


def test_the_only_key_that_opens_a_host_stays(guest: Node, hosts: Hosts) -> None:
    _join(guest, hosts)
    guest.inside("sed -n '/BEGIN wgmesh/,/END wgmesh/p' -i /root/.ssh/authorized_keys")
    run = guest.agent("leave")
    assert run.word == "LEFT"
    assert "10-wgmesh.conf; " in run.out
    assert "authorized_keys, because only these keys can log in" in run.out
    assert guest.ssh("true").code == 0
