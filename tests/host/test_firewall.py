"""The firewall on a real host: against an attacker, beside other owners' tables, and at boot."""

import contextlib
import re
import socket
import subprocess
from collections.abc import Iterator

import pytest

from lab.testing import wait
from tests.host.nodes import DEADLINE, Hosts, Node

pytestmark = pytest.mark.hosts

PAIR = ("web-1", "web-2")
THREE = ("web-1", "web-2", "web-3")
METADATA = "169.254.169.254"

# Counts the UDP datagrams with this text that arrive on port 7000, until its input ends.
COUNT = """
import select, socket
heard = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
heard.bind(("0.0.0.0", 7000))
print("ready")
senders = []
while True:
    ready = select.select([heard, 0], [], [])[0]
    if heard not in ready:
        break
    senders.append(heard.recvfrom(99)[1][0])
print(" ".join(senders))
"""
# Sends ten UDP datagrams with a source of one's choice: {source} {destination}.
SEND = """
import socket, struct, sys
source, destination = sys.argv[1:]
payload = b"hello"
udp = struct.pack("!HHHH", 7001, 7000, 8 + len(payload), 0) + payload
head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0,
                   socket.inet_aton(source), socket.inet_aton(destination))
raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
for _ in range(10):
    raw.sendto(head + udp, (destination, 0))
"""
FETCH = f"import urllib.request as r; print(r.urlopen('http://{METADATA}/', timeout=3).status)"

OTHERS = """
table ip nat {
    chain DOCKER { iifname "docker0" counter return; }
    chain POSTROUTING { type nat hook postrouting priority srcnat; policy accept;
        ip saddr 172.17.0.0/16 oifname != "docker0" counter masquerade; }
}
table ip filter {
    chain FORWARD { type filter hook forward priority filter; policy drop;
        counter jump DOCKER-USER
        oifname "docker0" ct state related,established counter accept
        iifname "docker0" counter accept; }
    chain DOCKER-USER { counter return; }
}
table ip kube-proxy {
    map service-ips { type ipv4_addr . inet_proto . inet_service : verdict; elements = {
        10.96.0.1 . tcp . 443 : goto service-1 }; }
    chain service-1 { ip protocol tcp counter dnat to 10.244.0.2:6443; }
    chain nat-prerouting { type nat hook prerouting priority dstnat; policy accept;
        ip daddr . meta l4proto . th dport vmap @service-ips; }
}
table inet f2b-table {
    set addr-set-sshd { type ipv4_addr; elements = { BANS }; }
    chain f2b-chain { type filter hook input priority -1; policy accept;
        tcp dport 22 ip saddr @addr-set-sshd reject; }
}
"""
TABLES = ("ip nat", "ip filter", "ip kube-proxy", "inet f2b-table")


@pytest.fixture(scope="module")
def node(hosts: Hosts, web_1: Node, web_2: Node) -> Node:
    for node in (web_1, web_2):
        node.settle()
    assert web_2.apply(hosts.document("web-2", PAIR)).word in ("CONFIRMED", "UNCHANGED")
    return web_1


@pytest.fixture
def plain(node: Node, hosts: Hosts) -> Node:
    assert node.apply(hosts.document("web-1", PAIR)).word in ("CONFIRMED", "UNCHANGED")
    return node


def _dropped(node: Node, comment: str) -> int:
    """Packets that the rule with this comment has dropped."""
    listed = node.inside("nft list table inet wgmesh")
    found = re.search(rf'packets (\d+) bytes \d+ drop comment "{comment}"', listed)
    assert found, listed
    return int(found[1])


def _send(hosts: Hosts, origin: Node, source: str, destination: str) -> None:
    argv = hosts.lab.enter(origin.key, ["python3", "-c", SEND, source, destination])
    subprocess.run(argv, check=True, timeout=20)


def test_a_mesh_source_from_outside_the_tunnel_reaches_no_socket(
    node: Node, hosts: Hosts, web_2: Node
) -> None:
    assert node.apply(hosts.document("web-1", PAIR, public=["udp/7000"])).word == "CONFIRMED"
    before = _dropped(node, "mesh source from outside the tunnel")
    counter = node.background(COUNT)
    for source in ("10.10.0.2", "10.10.0.77", web_2.address):
        _send(hosts, web_2, source, node.address)
    node.inside("sleep 0.5")
    heard = counter.communicate("")[0].split()
    assert heard == [web_2.address] * 10, "only the attacker's own address gets through the public port"
    assert _dropped(node, "mesh source from outside the tunnel") == before + 20


def test_a_mesh_address_cannot_be_probed_from_the_network_outside(plain: Node, hosts: Hosts) -> None:
    """The attacker is the very next hop, so its packets do arrive at the interface."""
    router, link = hosts.lab._router, f"h{plain.key}"
    router.run("ip", "route", "add", "10.10.0.1/32", "dev", link)
    knock = "import socket; socket.create_connection(('10.10.0.1', 22), timeout=2)"
    probe = ["nsenter", f"--net={router.namespace_path}", "python3", "-c", knock]
    try:
        before = _dropped(plain, "mesh address from outside")
        assert subprocess.run(probe, capture_output=True, check=False).returncode != 0
        assert _dropped(plain, "mesh address from outside") > before
        plain.inside("systemctl stop wgmesh-guard; nft flush chain inet wgmesh antispoof")
        assert subprocess.run(probe, capture_output=True, check=False).returncode == 0, "the rule is needed"
    finally:
        router.run("ip", "route", "del", "10.10.0.1/32", "dev", link)
        plain.inside("systemctl start wgmesh-guard")
    wait(lambda: plain.status()["differences"] == [], 20)


def test_only_root_reads_the_metadata_of_the_cloud(plain: Node, hosts: Hosts) -> None:
    router = hosts.lab._router
    router.run("ip", "address", "replace", f"{METADATA}/32", "dev", "lo")
    server = ["nsenter", f"--net={router.namespace_path}", "python3", "-m", "http.server"]
    with subprocess.Popen([*server, "--bind", METADATA, "80"], stderr=subprocess.DEVNULL) as running:
        try:
            fetch = f'python3 -c "{FETCH}"'
            wait(lambda: plain.inside(fetch, check=False) == "200", 10)
            refused = plain.inside(f"setpriv --reuid=nobody --clear-groups {fetch} 2>&1", check=False)
            assert "200" not in refused.splitlines()
            assert "urlopen error" in refused, "turned away at once, not left to wait"
        finally:
            running.terminate()


def _container(node: Node) -> None:
    """A bridge as Docker makes it, with a namespace behind it."""
    node.inside(
        "sysctl -qw net.ipv4.ip_forward=1; ip link add docker0 type bridge;"
        "ip address add 172.17.0.1/16 dev docker0;"
        "ip link set docker0 up; ip netns add c1; ip link add v1 type veth peer name eth0 netns c1;"
        "ip link set v1 master docker0 up; ip -n c1 address add 172.17.0.2/16 dev eth0;"
        "ip -n c1 link set eth0 up; ip -n c1 route add default via 172.17.0.1"
    )


def _listed(node: Node) -> str:
    """All tables of others, without what packets change."""
    return node.inside(" && ".join(f"nft -s list table {table}" for table in TABLES))


@pytest.fixture
def crowded(plain: Node) -> Iterator[Node]:
    """A host on which Docker, Kubernetes and fail2ban have their tables, and a container runs."""
    bans = ", ".join(f"203.0.113.{number}" for number in range(1, 51))
    plain.inside(f"cat >/run/others.nft <<'END'\n{OTHERS.replace('BANS', bans)}\nEND\nnft -f /run/others.nft")
    _container(plain)
    yield plain
    plain.inside(
        "ip netns del c1; ip link del docker0; sysctl -qw net.ipv4.ip_forward=0;"
        + "".join(f"nft delete table {table};" for table in TABLES)
    )


@pytest.mark.parametrize("times", [4, pytest.param(50, marks=pytest.mark.long)])
def test_tables_of_others_and_their_containers_notice_nothing(
    crowded: Node, hosts: Hosts, web_2: Node, times: int
) -> None:
    before = _listed(crowded)
    assert before.count("203.0.113.") == 50
    with crowded.pinging(web_2.address, 0.02, within=["ip", "netns", "exec", "c1"]) as pings:
        for number in range(times):
            document = hosts.document("web-1", THREE if number % 2 else PAIR, public=[f"tcp/{2000 + number}"])
            assert crowded.apply(document).word == "CONFIRMED"
            assert _listed(crowded) == before
        assert crowded.agent("apply", hosts.document("web-1", PAIR, public=["tcp/1"])).word == "RECONNECT"
        crowded.wait_idle()
    assert _listed(crowded) == before, "a rollback leaves them alone as well"
    assert len(pings.answered) > 100
    assert pings.lost() == []


def _started(node: Node, unit: str, moment: str) -> int:
    shown = node.inside(f"systemctl show --property={moment}TimestampMonotonic --value {unit}")
    return int(shown)


def test_at_boot_the_firewall_is_there_before_the_network(plain: Node) -> None:
    plain.reboot()
    loaded = _started(plain, "wgmesh-firewall", "ExecMainExit")
    assert 0 < loaded <= _started(plain, "network-pre.target", "ActiveEnter")
    assert loaded <= _started(plain, "systemd-networkd", "ExecMainStart")
    wait(lambda: plain.status()["differences"] == [], 20)


def test_at_boot_a_firewall_that_does_not_load_gives_way_to_the_rescue_ruleset(
    plain: Node, hosts: Hosts
) -> None:
    """Even with nothing else of the agent at work: the way in stays open, everything else closed."""
    plain.inside("echo '}' >>/var/lib/wgmesh/current/firewall.nft; systemctl disable -q wgmesh-boot")
    try:
        plain.reboot()
        table = plain.inside("nft list table inet wgmesh")
        assert "policy drop" in table
        assert re.search(r"tcp dport (\{ )?22\b", table), "a port that SSH once came in on stays beside"
        assert "@ssh_sources4" not in table
        assert "active" in plain.inside(
            "systemctl restart wgmesh-guard; sleep 1; systemctl is-active wgmesh-guard"
        )
        assert plain.inside("nft list table inet wgmesh") == table, (
            "the guard leaves the rescue ruleset alone"
        )
        assert plain.inside("systemctl is-failed wgmesh-firewall", check=False) == "failed"
        exited = _started(plain, "wgmesh-firewall", "ExecMainExit")
        assert exited <= _started(plain, "network-pre.target", "ActiveEnter")
        plain.inside("systemd-run -q --unit=open python3 -m http.server 8080; sleep 1")
        assert not _answers(plain.address, 8080)
    finally:
        plain.inside("systemctl stop open", check=False)
        run = plain.apply(hosts.document("web-1", PAIR))
    assert run.word == "CONFIRMED"
    assert plain.status()["differences"] == []


def _answers(address: str, port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection((address, port), timeout=2):
        return True
    return False


def test_with_all_peers_down_a_host_boots_and_lets_its_operator_in(
    plain: Node, hosts: Hosts, web_2: Node
) -> None:
    hosts.lab.stop(web_2.key, graceful=False)
    try:
        plain.reboot(graceful=False)
        wait(lambda: plain.inside("systemctl is-active wg-quick@wg0", check=False) == "active", DEADLINE)
        assert plain.status()["differences"] == []
    finally:
        hosts.lab.start(web_2.key)
        web_2.wait_for_ssh()
    wait(lambda: "1 received" in plain.inside("ping -c 1 -W 1 10.10.0.2", check=False), 30)


# Sends a datagram every tenth of a second through the tunnel, for a minute, and never hears one.
_SPEAK = """
import socket, time
out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
print("ready")
for _ in range(600):
    out.sendto(b"x", ("10.10.0.1", 7000))
    time.sleep(0.1)
"""
_HEAR = """
import socket
heard = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
heard.bind(("10.10.0.1", 7000))
heard.settimeout(10)
print("ready")
print(heard.recvfrom(9)[1][0])
"""


def test_a_host_that_lost_power_hears_its_peers_at_once_though_it_says_nothing(
    plain: Node, web_2: Node
) -> None:
    """Without the host's own handshake, a peer would notice only 15 s after it began to speak.

    (WireGuard's KEEPALIVE_TIMEOUT and REKEY_TIMEOUT: until then it goes on with the session it had.)
    """
    wait(lambda: "1 received" in plain.inside("ping -c 1 -W 1 10.10.0.2", check=False), 30)
    plain.reboot(graceful=False)
    wait(lambda: plain.inside("systemctl is-active wg-quick@wg0", check=False) == "active", DEADLINE)
    hearer = plain.background(_HEAR)
    speaker = web_2.background(_SPEAK)
    try:
        assert hearer.communicate()[0] == "10.10.0.2\n"
    finally:
        speaker.terminate()
        web_2.inside("pkill -x python3", check=False)
        speaker.wait()


# A network behind the host, with a server on two ports.
_BEHIND = """
ip netns add lan; ip link add lan0 type veth peer name eth0 netns lan; ip address add 192.168.77.1/24 dev lan0
ip link set lan0 up; ip -n lan address add 192.168.77.2/24 dev eth0; ip -n lan link set eth0 up
ip -n lan link set lo up; ip -n lan route add default via 192.168.77.1
for port in 5432 8080; do systemd-run -q --unit=lan-$port ip netns exec lan python3 -m http.server $port; done
sleep 1
"""
_NO_LONGER = "systemctl stop 'lan-*'; ip netns del lan; ip link del lan0; true"


def _reaches(node: Node, address: str, port: int) -> bool:
    knock = f"import socket; socket.create_connection(('{address}', {port}), timeout=2)"
    return node.inside(f'python3 -c "{knock}" && echo in', check=False).endswith("in")


@pytest.mark.long
def test_the_network_behind_a_node_is_open_to_the_mesh_as_the_policy_says_and_to_nobody_outside(
    plain: Node, hosts: Hosts, web_2: Node
) -> None:
    """Whoever is root on a member sends there what it likes, and so does the next hop outside."""
    rule = {"from": ["web-2"], "to": ["web-1"], "allow": ["tcp/5432"]}
    document = hosts.document("web-1", PAIR, forward=True, mesh_policy=[rule])
    assert plain.apply(document).word == "CONFIRMED"
    plain.inside(_BEHIND)
    key = hosts.keys.public("web-1")
    web_2.inside(f"wg set wg0 peer {key} allowed-ips 10.10.0.1/32,192.168.77.0/24")
    web_2.inside("ip route add 192.168.77.0/24 dev wg0; systemctl stop wgmesh-guard")
    web_2.inside("nft delete table inet wgmesh")
    router, link = hosts.lab._router, f"h{plain.key}"
    router.run("ip", "route", "add", "192.168.77.0/24", "via", plain.address, "dev", link, "onlink")
    outside = ["nsenter", f"--net={router.namespace_path}", "python3", "-c"]
    knock = "import socket; socket.create_connection(('192.168.77.2', 5432), timeout=2)"
    try:
        wait(lambda: _reaches(web_2, "192.168.77.2", 5432), 30)
        assert not _reaches(web_2, "192.168.77.2", 8080)
        assert subprocess.run([*outside, knock], capture_output=True, check=False).returncode != 0
        plain.inside("systemctl stop wgmesh-guard; nft flush chain inet wgmesh forward")
        assert subprocess.run([*outside, knock], capture_output=True, check=False).returncode == 0
        assert _reaches(web_2, "192.168.77.2", 8080), "the rules are needed"
    finally:
        router.run("ip", "route", "del", "192.168.77.0/24", "dev", link)
        web_2.inside(f"ip route del 192.168.77.0/24; wg set wg0 peer {key} allowed-ips 10.10.0.1/32")
        plain.inside(f"{_NO_LONGER}; systemctl start wgmesh-guard")
    for node in (plain, web_2):
        assert node.apply(hosts.document(node.name, PAIR)).word == "CONFIRMED"
