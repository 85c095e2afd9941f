"""What follows from the document and the keys is made again; a damaged document gives way, loudly."""

from collections.abc import Iterator
from itertools import count

import pytest

from lab.testing import wait
from tests.host.nodes import AGENT, DEADLINE, Hosts, Node
from tests.host.trials import THREE

pytestmark = pytest.mark.hosts

PAIR = ("web-1", "web-2")
EDIT = "sed -i --follow-symlinks 's/^# web-2$/# web-2, rack 4/' /etc/wireguard/wg0.conf"
_ports = count(11_000)
LATER = pytest.mark.long
DAMAGES = [
    pytest.param(EDIT, id="a comment edited"),
    pytest.param("rm /var/lib/wgmesh/current/wg0.conf", id="the file gone", marks=LATER),
    pytest.param("rm /var/lib/wgmesh/wg0.conf", id="the file with keys gone", marks=LATER),
    pytest.param("sed -i 's/^# web-2$/# x/' /etc/wireguard/wg0.conf", id="the link replaced", marks=LATER),
    pytest.param("chmod 666 /var/lib/wgmesh/current/*", id="another mode", marks=LATER),
    pytest.param("echo x >/var/lib/wgmesh/current/manifest.json", id="the manifest", marks=LATER),
    pytest.param(
        "cd /var/lib/wgmesh/current; find . -type f ! -name document ! -name originals.json -delete",
        id="everything but the document",
        marks=LATER,
    ),
    pytest.param("rm /var/lib/wgmesh/keys/*", id="the key store", marks=LATER),
    pytest.param(
        "cp -rL /var/lib/wgmesh /root/saved; rm -r /var/lib/wgmesh; mv /root/saved /var/lib/wgmesh;"
        "chmod -R u=rwX,go=rX /var/lib/wgmesh",
        id="all of it copied back without links and modes",
        marks=LATER,
    ),
]


@pytest.fixture
def node(hosts: Hosts, web_1: Node) -> Iterator[Node]:
    """A host with two commits of its own behind it: the second opens a port."""
    web_1.settle()
    assert web_1.agent("keys", hosts.keys.bundle("web-1")).word == "STORED"
    for _commit in range(2):
        web_1.bring(hosts.document("web-1", PAIR, public=[f"tcp/{next(_ports)}"]))
    yield web_1
    web_1.inside("systemctl reset-failed")


def _journal(node: Node) -> str:
    return node.inside("journalctl -q -b -t wgmesh -o cat")


def test_a_commit_finds_nothing_that_has_to_be_made_again(node: Node, hosts: Hosts) -> None:
    told = _journal(node)
    rendered = node.inside("sha256sum /var/lib/wgmesh/wg0.conf")
    node.bring(hosts.document("web-1", THREE))
    assert node.inside("sha256sum /var/lib/wgmesh/wg0.conf") != rendered
    assert "is committed" in _journal(node).removeprefix(told)
    assert "made again" not in _journal(node).removeprefix(told)


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_restart_makes_files_again(node: Node, damage: str) -> None:
    before = node.live()
    node.inside(damage)
    node.inside("systemctl restart wg-quick@wg0")
    assert node.inside("systemctl is-active wg-quick@wg0") == "active"
    assert node.inside("wg show wg0 peers | wc -l") == "1"
    node.inside("systemctl restart wgmesh-boot; systemctl reload wg-quick@wg0")
    assert node.status()["differences"] == []
    node.inside("rm -f /etc/wireguard/wg0.conf.by-hand")
    assert node.live() == before


def test_after_a_reboot_the_latest_commit_is_in_force_though_its_files_were_edited(node: Node) -> None:
    now = node.inside("readlink /var/lib/wgmesh/current")
    rules = node.inside("nft -s list table inet wgmesh")
    node.inside(
        "printf '# note\\n' >>/etc/wireguard/wg0.conf; echo '}' >>/var/lib/wgmesh/current/firewall.nft"
    )
    node.reboot()
    wait(lambda: node.inside("systemctl is-active wg-quick@wg0", check=False) == "active", 30)
    wait(lambda: node.status()["differences"] == [], 20)
    assert node.inside("readlink /var/lib/wgmesh/current") == now
    assert node.inside("nft -s list table inet wgmesh") == rules
    assert node.inside("systemctl --failed --no-legend") == ""
    assert "made again from its document and keys: wg0.conf (other content), firewall.nft" in _journal(node)


@pytest.mark.long
def test_so_it_is_with_one_commit(node: Node) -> None:
    node.inside(f"rm -r /var/lib/wgmesh/previous; {EDIT}")
    node.reboot()
    wait(lambda: node.inside("systemctl is-active wg-quick@wg0", check=False) == "active", 30)
    assert node.inside("systemctl --failed --no-legend") == ""
    assert node.status()["differences"] == []


@pytest.mark.parametrize("how", ["reboot", pytest.param("restart", marks=LATER)])
def test_a_damaged_document_gives_way_to_the_generation_before_and_is_heard_of(
    node: Node, hosts: Hosts, how: str
) -> None:
    port = f"tcp/{next(_ports)}"
    assert node.apply(hosts.document("web-1", PAIR, public=[port])).word == "CONFIRMED"
    forwarding = hosts.document("web-1", PAIR, public=[port], forward=True)
    assert node.apply(forwarding).word == "CONFIRMED"
    before, now = (
        node.inside(f"basename $(readlink /var/lib/wgmesh/{link})") for link in ("previous", "current")
    )
    node.inside("echo damaged >>/var/lib/wgmesh/current/document")
    if how == "reboot":
        node.reboot()
    else:
        node.inside("systemctl restart wg-quick@wg0")
    wait(lambda: node.inside("systemctl is-active wg-quick@wg0", check=False) == "active", 30)
    wait(lambda: node.inside("systemctl is-failed wgmesh-boot", check=False) == "failed", 30)
    status = node.status()
    assert status["current"] == before
    (found,) = status["differences"]
    assert found["item"] == "/var/lib/wgmesh/current"
    assert found["live"].startswith(f"{before}, the generation before: ")
    assert found["live"].endswith("its document is absent or damaged")
    assert found["wanted"] == now
    assert node.inside("sysctl -n net.ipv4.ip_forward") == "0", (
        "set by what is damaged before it was found out"
    )
    assert node.apply(forwarding).word == "CONFIRMED"
    assert node.status()["differences"] == []
    wait(lambda: node.inside("systemctl is-active wgmesh-boot", check=False) == "active", 30)


@pytest.mark.long
def test_a_reload_with_a_damaged_document_leaves_the_interface_alone(node: Node) -> None:
    before = node.inside("wg show wg0 dump | cut -f1-4; readlink /var/lib/wgmesh/current")
    node.inside("mv /var/lib/wgmesh/current/document /run/")
    assert "damaged" in node.inside("systemctl reload wg-quick@wg0 2>&1; journalctl -q -t wgmesh -o cat -n 1")
    assert node.inside("wg show wg0 dump | cut -f1-4; readlink /var/lib/wgmesh/current") == before
    node.inside("mv /run/document /var/lib/wgmesh/current/")


@pytest.mark.long
def test_with_a_full_disk_the_link_comes_up_from_memory(node: Node) -> None:
    node.inside(
        "mkdir -p /run/saved && cp -a /var/lib/wgmesh/. /run/saved/ && mount -t tmpfs -o mode=700,size=400k"
        " none /var/lib/wgmesh && cp -a /run/saved/. /var/lib/wgmesh/; rm /var/lib/wgmesh/current/wg0.conf;"
        "dd if=/dev/zero of=/var/lib/wgmesh/fill bs=4k count=500 2>/dev/null;"
        "systemctl restart wg-quick@wg0 wgmesh-boot"
    )
    peers = node.inside("wg show wg0 peers | wc -l")
    state = node.inside("systemctl is-active wg-quick@wg0 wgmesh-boot", check=False)
    node.inside("umount /var/lib/wgmesh; rm -r /run/saved")
    assert (peers, state) == ("1", "active\nactive")
    assert "cannot make its files again now (No space left on device)" in _journal(node)


@pytest.mark.long
def test_files_are_made_again_under_trial_too(node: Node, hosts: Hosts) -> None:
    document = hosts.document("web-1", PAIR, public=[f"tcp/{next(_ports)}"])
    node.inside(f"echo 'staged {DEADLINE // 5}' >/etc/wgmesh/failpoint")
    process = node.background(
        f"import subprocess, sys; print('ready'); subprocess.run(['python3', '{AGENT}', 'apply', '--local'],"
        f" input=sys.stdin.buffer.read())"
    )
    assert process.stdin is not None
    process.stdin.write(document)
    process.stdin.close()
    wait(lambda: node.inside("ls /var/lib/wgmesh/generations | wc -l") == "3", 20)
    node.inside(
        "cd /var/lib/wgmesh/generations; rm $(ls -d */wg0.conf | grep -v $(basename $(readlink ../current)))"
    )
    process.wait(60)
    node.inside("rm /etc/wgmesh/failpoint")
    node.wait_idle()
    assert node.status()["differences"] == []
    assert node.agent("apply", document).word == "UNCHANGED"


@pytest.mark.long
def test_a_key_that_is_lost_twice_is_heard_of(node: Node) -> None:
    node.inside(
        "systemctl stop wg-quick@wg0; mkdir /run/state; cp -a /var/lib/wgmesh/. /run/state;"
        "rm /var/lib/wgmesh/keys/* /var/lib/wgmesh/wg0.conf; systemctl start wg-quick@wg0",
        check=False,
    )
    assert node.inside("systemctl is-failed wg-quick@wg0", check=False) == "failed"
    assert "is lost both in /var/lib/wgmesh/keys and in /var/lib/wgmesh/wg0.conf" in _journal(node)
    node.inside("cp -a /run/state/. /var/lib/wgmesh; rm -r /run/state; systemctl start wg-quick@wg0")
    assert node.status()["differences"] == []
