"""What runs as wg0 and is not ours stays; what we change, a rollback and `leave` give back whole."""

from collections.abc import Iterator

import pytest

from lab.testing import wait
from tests.host.nodes import CALL, DEADLINE, Hosts, Node

pytestmark = pytest.mark.hosts

PAIR = ("web-1", "web-3")
# A host, seen by its disk and its kernel: every name, mode, owner and byte, every unit, every route.
FILES = r"""
cd /; find etc root usr/local/bin usr/local/sbin -xdev ! -name agent.json ! -name wgmesh-files \
    ! -path etc/wgmesh \( -type d -printf '%p %M %u:%g\n' -o -printf '%p %M %u:%g %s %l\n' \) | sort
find etc root -xdev -type f ! -name agent.json -print0 | sort -z | xargs -0 md5sum
"""
UNITS = """
systemctl list-unit-files --no-legend --no-pager 'wg*' 'nft*' 'ssh*' 'systemd-net*' 'systemd-sysctl*' |
    tr -s ' '
for unit in wg-quick@wg0 nftables; do
    systemctl show -p Id,ActiveState,UnitFileState,ExecStart,ExecStop,ExecReload,DropInPaths $unit
done | sed -E 's/(pid|start_time|stop_time|code|status)=[^;]*;?//g'
find /etc/systemd /run/systemd/system -name '*wg*' | sort; systemctl --failed --no-legend
"""
KERNEL = """
ip rule; ip -6 rule; ip -d route show table all; ip -6 route show table all | grep -Ev 'fe80|ff00'
ip -o -d link | sed -E 's/^[0-9]*: //; s/@if[0-9]+|link-netnsid [0-9]+|qlen [0-9]+//g'
ip -o -4 addr | sed 's/^[0-9]*: //'
wg show all dump 2>/dev/null | cut -f1,3-7 | sort; nft -s list ruleset
sysctl -a 2>/dev/null | grep -E '^(net|kernel|fs)[.]' | grep -vE \
    'nf_conntrack_(count|max)|random|[.](pty[.]nr|ns_last_pid|stable_secret|dentry|inode|file-nr|aio-nr|quota)|cpu_|keys'
"""

TUNNEL = """\
# to the office
[interface]
PrivateKey = {private}
Address = 192.168.7.2/24, fd00:7::2/64
PostUp = ip rule add from 192.0.2.77 table 200
PostDown = ip rule del from 192.0.2.77 table 200

[peer]
publickey = {public}
Endpoint = [2001:db8::1]:51821
AllowedIPs = {allowed}
"""
FULL = "0.0.0.0/0, ::/0"


def _look(node: Node, what: str = FILES + UNITS + KERNEL) -> list[str]:
    return node.inside(what, check=False).splitlines()


def _changed(before: list[str], after: list[str]) -> list[str]:
    """Lines that only one of two looks at a host has."""
    return sorted(set(before) ^ set(after))


@pytest.fixture
def guest(hosts: Hosts) -> Iterator[Node]:
    """A server with an owner, who reaches it with a key of his own."""
    node = hosts.boot("web-3")
    assert node.install().word == "INSTALLED"
    assert node.agent("leave").word == "LEFT"
    yield node
    hosts.lab.destroy(node.key)


def _install(node: Node, hosts: Hosts) -> None:
    assert node.install().word == "INSTALLED"
    assert node.agent("keys", hosts.keys.bundle("web-3")).word == "STORED"


def _wait_for_watch(node: Node) -> None:
    """The third watcher of a trial looks every second, or every five, whether the trial is over."""
    wait(lambda: "wgmesh-watch" not in node.inside("systemctl list-units --no-legend 'wgmesh-watch-*'"), 10)


def _by_hand(node: Node, *, allowed: str = FULL) -> None:
    node.inside(
        "umask 77; mkdir -p /etc/wireguard; cd /etc/wireguard; p=$(wg genkey); q=$(wg genkey | wg pubkey);"
        f"cat >wg0.conf <<E\n{TUNNEL.format(private='$p', public='$q', allowed=allowed)}\nE\n"
    )


def _nothing_by_hand(node: Node) -> None:
    node.inside(
        "systemctl disable -q --now wg-quick@wg0; wg-quick down wg0 2>/dev/null;"
        "systemctl reset-failed wg-quick@wg0 2>/dev/null; rm -f /etc/wireguard/wg0.conf",
        check=False,
    )


@pytest.fixture
def tunnel(guest: Node, hosts: Hosts) -> Iterator[Node]:
    """The server has a tunnel of its owner's, which takes all its traffic but SSH's answers."""
    _by_hand(guest)
    guest.inside("systemctl enable -q --now wg-quick@wg0")
    guest.inside(f"ip rule add pref 10 from {guest.address} lookup main")
    yield guest
    guest.inside("ip rule del pref 10")
    _nothing_by_hand(guest)
    guest.agent("leave")


def test_a_tunnel_of_somebody_else_is_refused_and_stays_whole(tunnel: Node, hosts: Hosts) -> None:
    before = _look(tunnel)
    assert any("lookup 51820" in line for line in before)
    _install(tunnel, hosts)
    assert _changed(before, _look(tunnel)) == [], "install changes nothing of the host's"
    run = tunnel.agent("apply", hosts.document("web-3", PAIR))
    assert (run.word, run.code) == ("REFUSED", 65)
    for part in (
        "wg0 runs on this host already: 1 peer, 192.168.7.2/24, fd00:7::2/64",
        "wg-quick@wg0.service, active, enabled, from /etc/wireguard/wg0.conf with 1 peer",
        "nothing was changed",
        "`systemctl disable --now wg-quick@wg0.service`",
        "`mv /etc/wireguard/wg0.conf /etc/wireguard/wg1.conf`",
    ):
        assert part in run.out
    assert _changed(before, _look(tunnel)) == []
    disk = _look(tunnel, FILES + UNITS)
    tunnel.inside(
        "ip rule del pref 10; systemctl restart wg-quick@wg0; sleep 1;"
        f"ip rule add pref 10 from {tunnel.address} lookup main"
    )
    assert _changed(disk, _look(tunnel, FILES + UNITS)) == [], "its unit is as it was"
    before = _look(tunnel)
    assert (
        len([line for line in before if "51820" in line or "table 200" in line or "lookup 200" in line]) > 4
    )
    assert tunnel.agent("leave").word == "LEFT"
    assert _changed(before, _look(tunnel)) == []


@pytest.mark.long
def test_an_agent_of_before_gives_the_unit_back_when_it_is_replaced(tunnel: Node, hosts: Hosts) -> None:
    """It put its drop-in in place before anything was committed."""
    before = _look(tunnel)
    tunnel.inside(
        "cd /etc/systemd/system; mkdir -p wg-quick@wg0.service.d;"
        "printf '[Service]\\nExecStart=\\nExecStart=false\\n' >wg-quick@wg0.service.d/10-wgmesh.conf;"
        "systemctl daemon-reload"
    )
    _install(tunnel, hosts)
    assert _changed(before, _look(tunnel)) == []


NETWORK_MANAGER = """
mkdir -p /etc/NetworkManager/system-connections; cd /etc/NetworkManager/system-connections
printf '[connection]\\ntype=wireguard\\ninterface-name=wg0\\n' >office.nmconnection
"""
OWN_UNIT = """
printf '[Service]\\nType=oneshot\\nExecStart=wg-quick up wg0\\n[Install]\\nWantedBy=multi-user.target\\n' \\
    >/etc/systemd/system/office.service; systemctl enable -q office
"""

# Who else may own the name: what makes it so, what ends it, and what the refusal says.
OWNERS = {
    "enabled and down": (
        "systemctl enable -q wg-quick@wg0",
        "systemctl disable -q wg-quick@wg0",
        "wg0 is set up to start on this host (wg-quick@wg0.service, inactive, enabled, from /etc/wireguard/",
    ),
    "up without a unit": (
        "wg-quick up wg0 2>/dev/null",
        "wg-quick down wg0 2>/dev/null",
        "(made by hand, or by a program that left no file); nothing was changed: take it down",
    ),
    "a bridge": (
        "ip link add wg0 type bridge",
        "ip link del wg0",
        "wg0 is of kind bridge on this host",
    ),
    "systemd-networkd": (
        "printf '[NetDev]\\nName=wg0\\nKind=wireguard\\n' >/etc/systemd/network/30-office.netdev",
        "rm /etc/systemd/network/30-office.netdev",
        "systemd-networkd, /etc/systemd/network/30-office.netdev",
    ),
    "NetworkManager": (
        NETWORK_MANAGER,
        "rm -r /etc/NetworkManager",
        "NetworkManager, /etc/NetworkManager/system-connections/office.nmconnection",
    ),
    "a unit of one's own": (
        OWN_UNIT,
        "systemctl disable -q office; rm /etc/systemd/system/office.service; systemctl daemon-reload",
        "office.service, /etc/systemd/system/office.service",
    ),
    "masked": (
        "systemctl mask -q wg-quick@wg0",
        "systemctl unmask -q wg-quick@wg0",
        "wg-quick@wg0.service is masked on this host: `systemctl unmask wg-quick@wg0.service`",
    ),
}


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[] if name == "enabled and down" else pytest.mark.long) for name in OWNERS],
)
def test_whoever_owns_the_name_keeps_it(guest: Node, hosts: Hosts, name: str) -> None:
    setup, teardown, said = OWNERS[name]
    _by_hand(guest, allowed="192.168.7.0/24")
    guest.inside(setup)
    try:
        before = _look(guest)
        _install(guest, hosts)
        run = guest.agent("apply", hosts.document("web-3", PAIR))
        assert run.word == "REFUSED", run.out
        assert said in run.out
        assert _changed(before, _look(guest)) == []
        assert guest.agent("leave").word == "LEFT"
        assert _changed(before, _look(guest)) == []
    finally:
        guest.inside(teardown)
        _nothing_by_hand(guest)


def test_a_first_trial_that_is_rolled_back_leaves_the_host_as_it_was(guest: Node, hosts: Hosts) -> None:
    guest.inside("ip link add eth8 type bridge; sysctl -qw net.ipv4.conf.eth8.forwarding=1")
    before = _look(guest)
    _install(guest, hosts)
    assert guest.agent("apply", hosts.document("web-3", PAIR, forward=True)).word == "RECONNECT"
    wait(lambda: guest.status()["state"] == "live", DEADLINE)
    assert "link-up" in guest.inside("systemctl show -p ExecStart wg-quick@wg0")
    guest.wait_idle()
    _wait_for_watch(guest)
    assert _changed(before, _look(guest)) == []
    guest.inside("echo 'checked fail' >/etc/wgmesh/failpoint")
    guest.inside("rm -f /run/wgmesh/outcome.json")
    assert guest.apply(hosts.document("web-3", PAIR)).word == "ROLLED-BACK"
    guest.inside("rm /etc/wgmesh/failpoint")
    _wait_for_watch(guest)
    assert _changed(before, _look(guest)) == []
    _by_hand(guest, allowed="192.168.7.0/24")
    guest.inside("systemctl start wg-quick@wg0")
    assert guest.inside("wg show wg0 peers | wc -l; ip -o -4 addr show wg0").startswith("1\n")
    _nothing_by_hand(guest)


@pytest.mark.long
@pytest.mark.parametrize("graceful", [True, False])
def test_a_reboot_during_a_first_trial_leaves_the_host_as_it_was(
    guest: Node, hosts: Hosts, *, graceful: bool
) -> None:
    _install(guest, hosts)
    guest.reboot()
    before = _look(guest)
    assert guest.agent("apply", hosts.document("web-3", PAIR)).word == "RECONNECT"
    wait(lambda: guest.status()["state"] == "live", DEADLINE)
    guest.reboot(graceful=graceful)
    assert _changed(before, _look(guest)) == []


def test_a_node_that_leaves_gives_everything_back(guest: Node, hosts: Hosts) -> None:
    guest.agent("leave")
    guest.inside(
        "echo '# mine' >/etc/wireguard/wg0.conf; chmod 640 /etc/wireguard/wg0.conf; chmod 755 /etc/wireguard;"
        "ip link add eth7 type bridge; sysctl -qw net.ipv4.conf.eth7.forwarding=1;"
        "cd /etc/systemd/system; mkdir -p wg-quick@wg0.service.d; chmod 750 wg-quick@wg0.service.d;"
        "printf '[Service]\\nNice=3\\n' >wg-quick@wg0.service.d/mine.conf;"
        "systemctl daemon-reload; ip rule add pref 77 from 192.0.2.77 lookup 200"
    )
    before = _look(guest)
    _install(guest, hosts)
    for changes in ({"forward": True}, {"public": ["tcp/80"]}):
        assert guest.apply(hosts.document("web-3", PAIR, **changes)).word == "CONFIRMED"
    assert guest.status()["differences"] == []
    assert _changed(before, _look(guest)) != []
    run = guest.agent("leave")
    assert run.word == "LEFT", run.out
    assert _changed(before, _look(guest)) == []


@pytest.mark.long
def test_a_node_that_left_can_come_back_and_its_units_are_checked(guest: Node, hosts: Hosts) -> None:
    _install(guest, hosts)
    assert guest.apply(hosts.document("web-3", PAIR)).word == "CONFIRMED"
    dropin = "/etc/systemd/system/wg-quick@wg0.service.d/10-wgmesh.conf"
    guest.inside(f"rm {dropin} /etc/systemd/system/wgmesh-boot.service; systemctl daemon-reload")
    items = {each["item"] for each in guest.status()["differences"]}
    assert {dropin, "/etc/systemd/system/wgmesh-boot.service"} <= items
    assert guest.apply(hosts.document("web-3", PAIR)).word == "CONFIRMED"
    assert guest.status()["differences"] == []


@pytest.mark.long
def test_a_link_that_an_undo_left_behind_is_known_by_its_key(guest: Node, hosts: Hosts) -> None:
    """Nothing is committed, and yet the interface is this node's own."""
    _install(guest, hosts)
    assert guest.apply(hosts.document("web-3", PAIR)).word == "CONFIRMED"
    guest.inside(
        "systemctl disable -q wg-quick@wg0; rm -f /etc/wireguard/wg0.conf;"
        "cd /var/lib/wgmesh; rm -f current previous"
    )
    assert guest.apply(hosts.document("web-3", PAIR)).word == "CONFIRMED"
    assert guest.status()["differences"] == []


@pytest.mark.long
def test_another_kind_of_interface_under_our_name_is_told(guest: Node, hosts: Hosts) -> None:
    _install(guest, hosts)
    assert guest.apply(hosts.document("web-3", PAIR)).word == "CONFIRMED"
    guest.inside("systemctl stop wg-quick@wg0; ip link add wg0 type bridge")
    found = guest.status()["differences"]
    assert {"item": "link wg0", "live": "of kind bridge", "wanted": "a WireGuard interface"} in found
    run = guest.apply(hosts.document("web-3", PAIR))
    assert "wg0 is of kind bridge on this host" in run.out
    assert guest.inside(f"{CALL} leave").startswith("LEFT")
    assert guest.inside("ip -d link show wg0").count("bridge") > 0
