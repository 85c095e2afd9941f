"""What agents stored that put keys into generations goes on: an update, a rollback, a commit, leaving."""

import json

import pytest

from tests.host.nodes import CALL, Hosts, Node

pytestmark = pytest.mark.hosts

PAIR = ("web-1", "web-2")
THREE = ("web-1", "web-2", "web-3")
# As those agents left it: wg0.conf complete in every generation, and /etc linking into the committed one.
OLDER = """
import os, pathlib, re
state = pathlib.Path("/var/lib/wgmesh")
for path in state.glob("generations/*/wg0.conf"):
    key = lambda found: f"{found[1]} = " + (state / "keys" / found[2]).read_text().strip()
    path.write_text(re.sub(r"# (\\w+) = key:(\\w+)", key, path.read_text()))
(state / "wg0.conf").unlink()
os.unlink("/etc/wireguard/wg0.conf")
os.symlink("/var/lib/wgmesh/current/wg0.conf", "/etc/wireguard/wg0.conf")
"""


@pytest.fixture
def node(hosts: Hosts, web_1: Node) -> Node:
    web_1.settle()
    assert web_1.agent("keys", hosts.keys.bundle("web-1")).word == "STORED"
    for members in (THREE, PAIR):
        assert web_1.apply(hosts.document("web-1", members)).word in ("CONFIRMED", "UNCHANGED")
    web_1.inside(f"python3 -c '{OLDER}'")
    assert _generations_with_keys(web_1, hosts) == 2
    return web_1


def _generations_with_keys(node: Node, hosts: Hosts) -> int:
    private = json.loads(hosts.keys.bundle(node.name))["keys"][0]
    look = f"echo '{private}' | grep -lF -f - /var/lib/wgmesh/generations/*/* | wc -l"
    return int(node.inside(look))


def test_an_update_of_the_agent_takes_the_keys_out_and_changes_nothing_else(node: Node, hosts: Hosts) -> None:
    interface = "wg show wg0 dump | cut -f1-4,8; cat /etc/wireguard/wg0.conf"
    before = node.inside(interface)
    assert node.install().word == "INSTALLED"
    assert _generations_with_keys(node, hosts) == 0
    assert node.inside(interface) == before
    assert node.status()["differences"] == []
    assert node.agent("apply", hosts.document("web-1", PAIR)).word == "UNCHANGED"


def test_a_change_is_rolled_back_and_committed(node: Node, hosts: Hosts) -> None:
    before = node.inside("wg show wg0 dump | cut -f1-4,8; cat /etc/wireguard/wg0.conf")
    node.inside("echo 'checked fail' >/etc/wgmesh/failpoint")
    assert node.apply(hosts.document("web-1", THREE)).word == "ROLLED-BACK"
    assert node.inside("wg show wg0 dump | cut -f1-4,8; cat /etc/wireguard/wg0.conf") == before
    node.inside("rm /etc/wgmesh/failpoint")
    assert node.apply(hosts.document("web-1", THREE)).word == "CONFIRMED"
    assert node.inside("grep -c PresharedKey.= /etc/wireguard/wg0.conf") == "2"
    assert node.status()["differences"] == []


@pytest.mark.long
def test_a_reboot_with_keys_in_generations_alone(node: Node, hosts: Hosts) -> None:
    before = node.inside("wg show wg0 dump | cut -f1-4,8; cat /etc/wireguard/wg0.conf")
    node.inside("rm /var/lib/wgmesh/keys/*")
    node.reboot()
    assert node.inside("wg show wg0 dump | cut -f1-4,8; cat /etc/wireguard/wg0.conf") == before
    assert node.status()["differences"] == []


@pytest.mark.long
def test_a_host_leaves(hosts: Hosts) -> None:
    guest = hosts.boot("web-3")
    try:
        assert guest.install().word == "INSTALLED"
        assert guest.agent("keys", hosts.keys.bundle("web-3")).word == "STORED"
        assert guest.apply(hosts.document("web-3", ("web-1", "web-3"))).word == "CONFIRMED"
        guest.inside(f"python3 -c '{OLDER}'")
        assert guest.ssh(f"exec {CALL} leave").word == "LEFT"
        left = guest.inside("ls -A /etc/wireguard; ls -d /var/lib/wgmesh; ip link show wg0", check=False)
        assert left == ""
    finally:
        hosts.lab.destroy(guest.key)
