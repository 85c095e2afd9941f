"""Changes by hand on a node: all found by `check`, and repaired, but for another host key."""

import asyncio
import hashlib
import re
from dataclasses import dataclass, replace

import pytest

from lab.testing import wait
from mesh.cli.check import NodeCheck, check_mesh, repair_mesh
from mesh.cli.results import as_json
from mesh.cli.state import NodeFiles, StackState
from mesh.cli.status import read_status
from mesh.outputs import MeshOutputs, NodeOutputs
from tests.host.nodes import ADDRESSES, DEADLINE, Hosts, Node

pytestmark = pytest.mark.hosts

PAIR = ("web-1", "web-2")
THREE = ("web-1", "web-2", "web-3")
PEER = "$(wg show wg0 allowed-ips | grep -F 10.10.0.2/32 | cut -f1)"
OTHER = "$(wg show wg0 allowed-ips | grep -F 10.10.0.3/32 | cut -f1)"
STATE = "/var/lib/wgmesh"

# What is done on web-1, and what `check` calls it.
DRIFTS = {
    "pre-shared key removed": (
        f"wg set wg0 peer {PEER} preshared-key /dev/null",
        "peer web-2: pre-shared key",
    ),
    "keepalive off": (f"wg set wg0 peer {PEER} persistent-keepalive off", "peer web-2: keepalive"),
    "allowed IPs stolen": (
        f"wg set wg0 peer {OTHER} allowed-ips 10.10.0.3/32,10.10.0.2/32",
        "peer web-2: allowed IPs",
    ),
    "extra peer": ("wg set wg0 peer $(wg genkey | wg pubkey) allowed-ips 10.10.0.99/32", "peer "),
    "listen port": ("wg set wg0 listen-port 51999", "listen port"),
    "MTU": ("ip link set wg0 mtu 1280", "MTU"),
    "route": ("ip route del 10.10.0.0/24 dev wg0", "network 10.10.0.0/24"),
    "sysctl": ("sysctl -q net.ipv4.tcp_syncookies=0", "sysctl net.ipv4.tcp_syncookies"),
    "firewall rule": ("nft insert rule inet wgmesh input tcp dport 99 accept", "firewall"),
    "firewall table gone, with its guard": (
        "systemctl stop wgmesh-guard; nft delete table inet wgmesh",
        "firewall table inet wgmesh",
    ),
    "file readable by all": (f"chmod 0644 {STATE}/current/wg0.conf", f"{STATE}/generations/"),
    "unit disabled": ("systemctl disable -q wg-quick@wg0", "wg-quick@wg0.service"),
    "symlink flipped": (
        f"ln -sfn $(readlink {STATE}/previous) {STATE}/current",
        f"{STATE}/current",
    ),
    "foreign owner": (f"chown nobody {STATE}/keys/*", f"{STATE}/keys/"),
}
MORE = {
    "address added": ("ip address add 10.10.0.50/24 dev wg0", "address 10.10.0.50/24"),
    "file edited": (f"sed -i 's/MTU = .*/MTU = 1300/' {STATE}/current/wg0.conf", f"{STATE}/current/wg0.conf"),
    "link gone": ("rm /etc/wireguard/wg0.conf", "/etc/wireguard/wg0.conf"),
    "host table emptied": ("sed -i /web-2/d /etc/hosts", "/etc/hosts"),
    "key deleted": (f"rm {STATE}/keys/*", f"{STATE}/keys/"),
    "interface down": ("systemctl stop wg-quick@wg0", "link wg0"),
    "peer removed": (f"wg set wg0 peer {PEER} remove", "peer web-2"),
}


@dataclass(frozen=True)
class Fleet:
    """Two nodes of a mesh of three, as the commands of day two see them."""

    node: Node
    other: Node
    mesh: MeshOutputs
    state: StackState

    def check(self) -> NodeCheck:
        return self.checks()[self.node.name]

    def checks(self) -> dict[str, NodeCheck]:
        return {found.node: found for found in asyncio.run(check_mesh(self.mesh, self.state))}

    def repair(self) -> dict[str, NodeCheck]:
        found = asyncio.run(check_mesh(self.mesh, self.state))
        return {done.node: done for done in asyncio.run(repair_mesh(self.mesh, self.state, found))}


def _outputs(hosts: Hosts, node: Node) -> NodeOutputs:
    key = node.inside("cut -d' ' -f1,2 /etc/ssh/ssh_host_ed25519_key.pub")
    return NodeOutputs(
        name=node.name, address=ADDRESSES[node.name], public_ip=node.address,
        public_key=hosts.keys.public(node.name), host_key=key, enabled=True, ssh_port=22,
    )  # fmt: skip


@pytest.fixture(scope="module")
def fleet(hosts: Hosts, web_1: Node, web_2: Node) -> Fleet:
    nodes = {node.name: node for node in (web_1, web_2)}
    documents = {name: hosts.document(name, THREE) for name in nodes}
    for node in nodes.values():
        for document in (hosts.document(node.name, PAIR), documents[node.name]):
            node.bring(document)
    return Fleet(
        node=web_1,
        other=web_2,
        mesh=MeshOutputs(
            nodes={name: _outputs(hosts, node) for name, node in nodes.items()},
            unmade={},
            ssh_private_key=(hosts.folder / "mgmt").read_text(),
        ),
        state=StackState(
            files={
                name: NodeFiles(document=document, agent=hosts.agent.sha256)
                for name, document in documents.items()
            },
            steps={("web-1", "keys"): "urn:web-1-keys"},
            servers={"web-1": "urn:web-1-server"},
        ),
    )


def test_nothing_is_found_where_nothing_differs(fleet: Fleet) -> None:
    assert [check.good for check in fleet.checks().values()] == [True, True]


def _found_and_repaired(fleet: Fleet, change: str, item: str) -> None:
    before = fleet.node.live()
    fleet.node.inside(change)
    found = fleet.check()
    assert any(each.item.startswith(item) for each in found.differences), found
    done = fleet.repair()["web-1"]
    assert done.good, done
    assert done.repaired == found.differences
    assert fleet.node.live() == before


@pytest.mark.parametrize("drift", DRIFTS)
def test_a_change_by_hand_is_found_and_repaired(fleet: Fleet, drift: str) -> None:
    _found_and_repaired(fleet, *DRIFTS[drift])


@pytest.mark.parametrize(
    "drift",
    ["file edited", *(pytest.param(name, marks=pytest.mark.long) for name in MORE if name != "file edited")],
)
def test_further_changes_by_hand_are_found_and_repaired(fleet: Fleet, drift: str) -> None:
    _found_and_repaired(fleet, *MORE[drift])


def test_a_file_put_in_place_of_ours_is_kept_aside(fleet: Fleet) -> None:
    fleet.node.inside("rm /etc/wireguard/wg0.conf; echo '# mine' >/etc/wireguard/wg0.conf")
    assert "/etc/wireguard/wg0.conf" in {each.item for each in fleet.check().differences}
    assert fleet.repair()["web-1"].good
    kept = "/etc/wireguard/wg0.conf.by-hand"
    assert fleet.node.inside(f"stat -c %a {kept}; cat {kept}; rm {kept}") == "600\n# mine"


def test_another_host_key_is_refused_and_never_repaired(fleet: Fleet) -> None:
    """The fifteenth drift: whoever answers may be another machine, so nothing is sent to it."""
    node, key = fleet.node, "/etc/ssh/ssh_host_ed25519_key"
    node.inside(
        f"mkdir -p /run/keys; mv {key} {key}.pub /run/keys/; ssh-keygen -q -t ed25519 -N '' -f {key};"
        "systemctl reload ssh; systemctl disable -q wgmesh-boot"
    )
    try:
        wait(lambda: fleet.check().problem is not None, 10)
        accepted = node.inside("journalctl -q -o cat -t sshd | grep -c Accepted || true")
        found = fleet.repair()["web-1"]
        assert found.problem is not None
        assert f"{node.address} shows the host key SHA256:" in found.problem
        assert "the stack knows SHA256:" in found.problem
        assert "`pulumi up --replace 'urn:web-1-server'`" in found.problem
        assert node.inside("journalctl -q -o cat -t sshd | grep -c Accepted || true") == accepted
        assert node.inside("systemctl is-enabled wgmesh-boot", check=False) == "disabled"
    finally:
        node.inside("mv /run/keys/* /etc/ssh/; systemctl reload ssh; systemctl enable -q wgmesh-boot")
    wait(lambda: fleet.check().good, 10)


def test_a_node_changed_and_committed_by_hand_is_found(fleet: Fleet, hosts: Hosts) -> None:
    """The node agrees with itself then; only the stack's files tell."""
    foreign = hosts.document("web-1", THREE, public=["tcp/9999"])
    assert fleet.node.apply(foreign).word == "CONFIRMED"
    assert fleet.node.status()["differences"] == []
    items = {each.item for each in fleet.check().differences}
    assert {"firewall", f"{STATE}/current"} <= items
    assert fleet.repair()["web-1"].good


def test_a_node_that_is_down_does_not_keep_the_others_from_being_repaired(fleet: Fleet, hosts: Hosts) -> None:
    fleet.other.inside("sysctl -q net.ipv4.tcp_syncookies=0")
    hosts.lab.stop(fleet.node.key, graceful=False)
    try:
        found = fleet.repair()
        assert found["web-1"].problem is not None
        assert fleet.node.address in found["web-1"].problem
        assert found["web-2"].good
        assert [each.item for each in found["web-2"].repaired] == ["sysctl net.ipv4.tcp_syncookies"]
    finally:
        hosts.lab.start(fleet.node.key)
        fleet.node.wait_for_ssh()
        fleet.node.wait_for_ssh()
    wait(lambda: fleet.check().good, 30)


def test_a_repair_whose_trial_fails_leaves_the_node_and_says_why(fleet: Fleet) -> None:
    fleet.node.inside("ip link set wg0 mtu 1280; echo 'checked fail' >/etc/wgmesh/failpoint")
    try:
        done = fleet.repair()["web-1"]
        assert done.problem is not None
        assert "not repaired: ROLLED-BACK" in done.problem
        assert [each.item for each in done.differences] == ["MTU"]
    finally:
        fleet.node.inside("rm /etc/wgmesh/failpoint")
    assert fleet.repair()["web-1"].good


def test_a_repair_that_lacks_keys_names_the_command_that_sends_them(fleet: Fleet) -> None:
    files = fleet.state.files["web-1"]
    document = re.sub(r"(# PresharedKey = key:)\w+", r"\g<1>0123456789abcdef", files.document)
    changed = {**fleet.state.files, "web-1": replace(files, document=document)}
    done = replace(fleet, state=replace(fleet.state, files=changed)).repair()["web-1"]
    assert done.problem is not None
    assert "not repaired: KEYS-MISSING key:0123456789abcdef" in done.problem
    assert "`pulumi up --replace 'urn:web-1-keys'`" in done.problem
    assert fleet.check().good


def test_a_pending_trial_is_left_alone(fleet: Fleet, hosts: Hosts) -> None:
    assert fleet.node.agent("apply", hosts.document("web-1", PAIR)).word == "RECONNECT"
    wait(lambda: fleet.node.status()["state"] == "live", DEADLINE)
    done = fleet.repair()["web-1"]
    assert done.problem is not None
    assert "on trial" in done.problem
    assert fleet.node.apply(hosts.document("web-1", PAIR)).word == "CONFIRMED"
    assert fleet.repair()["web-1"].good


def test_no_report_holds_a_key(fleet: Fleet, hosts: Hosts) -> None:
    fleet.node.inside(
        f"wg set wg0 peer {PEER} preshared-key /dev/null; echo x >>{STATE}/current/wg0.conf;"
        "wg genkey >/run/k; wg set wg0 private-key /run/k"
    )
    found = fleet.checks()
    own = fleet.node.inside("cat /run/k; rm /run/k")
    said = as_json(list(found.values())) + fleet.node.agent("status").out
    assert len(found["web-1"].differences) >= 3
    for key in [*hosts.keys.secrets(), own]:
        assert key[:20] not in said
    assert fleet.repair()["web-1"].good


def test_status_shows_handshakes_and_traffic_of_every_peer(fleet: Fleet, hosts: Hosts) -> None:
    fleet.node.inside("ping -c 1 -W 5 10.10.0.2 >/dev/null")
    (report,) = [
        found.report for found in asyncio.run(read_status(fleet.mesh, fleet.state)) if found.node == "web-1"
    ]
    assert report is not None
    document = fleet.state.files["web-1"].document
    assert report.current == hashlib.sha256(document.encode()).hexdigest()
    assert report.agent == hosts.agent.sha256
    peer = report.peers[hosts.keys.public("web-2")]
    assert peer.handshake_age is not None
    assert peer.handshake_age < 600
    assert peer.received > 0
    assert report.peers[hosts.keys.public("web-3")].handshake_age is None
