"""Firewalls of others beside ours: what they drop is named, and refused only where the change does it."""

import contextlib
import json
import socket
from collections.abc import Iterator

import pytest

from lab.testing import wait
from tests.host.nodes import CALL, Hosts, Node, Run

pytestmark = pytest.mark.hosts

PAIR = ("web-1", "web-2")
CLOSED = """
table ip filter {
    chain INPUT {
        type filter hook input priority filter; policy drop;
        iif "lo" accept
        ct state established,related accept
        tcp dport 22 accept
        icmp type echo-request accept
    }
}
"""
NAMED = "table ip filter, chain INPUT (policy drop)"


@pytest.fixture
def node(hosts: Hosts, web_1: Node, web_2: Node) -> Iterator[Node]:
    for each in (web_1, web_2):
        each.bring(hosts.document(each.name, PAIR))
    yield web_1
    web_1.inside(
        "for t in 'ip filter' 'inet f2b-table' 'inet other'; do nft delete table $t 2>/dev/null; done; true"
    )


def load(node: Node, ruleset: str) -> None:
    node.inside(f"cat >/run/other.nft <<'END'\n{ruleset}\nEND\nnft -f /run/other.nft")


def remarks(run: Run) -> list[str]:
    return [line for line in run.out.splitlines() if line.startswith("REMARK ")]


def found(node: Node) -> dict[str, str]:
    return {each["item"]: each["live"] for each in node.status()["differences"]}


def answers(address: str, port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection((address, port), timeout=2):
        return True
    return False


def test_a_table_that_drops_what_the_policy_allows_is_named(node: Node, hosts: Hosts) -> None:
    assert found(node) == {}
    load(node, CLOSED)
    run = node.apply(hosts.document("web-1", PAIR, public=["tcp/8101"]))
    assert run.word == "CONFIRMED"
    said = remarks(run)
    assert len(said) == 2
    assert any("through the tunnel from 10.10.0.2" in line and NAMED in line for line in said)
    assert any("WireGuard" in line and NAMED in line for line in said)
    differences = found(node)
    assert len(differences) == 2
    assert all(NAMED in live for live in differences.values())
    again = node.apply(hosts.document("web-1", PAIR, public=["tcp/8101"]))
    assert again.word == "UNCHANGED"
    assert remarks(again) == said
    node.inside(
        "nft add rule ip filter INPUT udp dport 51820 accept; nft add rule ip filter INPUT iifname wg0 accept"
    )
    assert found(node) == {}


@pytest.mark.long
@pytest.mark.parametrize(
    ("rule", "item"),
    [
        ('iifname "wg0" tcp dport 5432 drop', "tcp/5432 through the tunnel from 10.10.0.2"),
        ('iifname "wg0" ip saddr 10.10.0.2 udp dport 53 reject', "udp/53 through the tunnel from 10.10.0.2"),
        ("udp dport 51820 drop", "WireGuard (UDP to port 51820) from"),
        ("ct state new tcp dport 22 ip saddr 198.51.100.7 drop", "SSH to port 22 from 198.51.100.7"),
    ],
)
def test_one_rule_for_one_port_is_found_too(node: Node, hosts: Hosts, rule: str, item: str) -> None:
    policy = [{"from": ["web-2"], "to": ["web-1"], "allow": ["tcp/5432", "udp/53", "tcp/8080-8090"]}]
    document = hosts.document(
        "web-1", PAIR, mesh_policy=policy, mesh_ssh={"from": [str(hosts.lab.pool), "198.51.100.7"]}
    )
    assert node.apply(document).word == "CONFIRMED"
    load(node, f"table inet other {{ chain c {{ type filter hook input priority 10; {rule}; }}; }}")
    differences = json.loads(node.agent("check", document).out)["differences"]
    assert [each["item"].startswith(item) for each in differences] == [True], differences
    assert "table inet other, chain c" in differences[0]["live"]


def test_a_ban_of_one_source_does_not_keep_a_change_away(node: Node, hosts: Hosts) -> None:
    sources = {"from": [str(hosts.lab.pool), "198.51.100.7"]}
    assert node.apply(hosts.document("web-1", PAIR, mesh_ssh=sources)).word == "CONFIRMED"
    load(
        node,
        "table inet f2b-table { chain f2b-chain { type filter hook input priority -1; policy accept;"
        " tcp dport 22 ip saddr 198.51.100.7 reject; }; }",
    )
    run = node.apply(hosts.document("web-1", PAIR, mesh_ssh=sources, public=["tcp/8102"]))
    assert run.word == "CONFIRMED", run.out
    (said,) = remarks(run)
    assert "SSH to port 22 from 198.51.100.7" in said
    assert "table inet f2b-table, chain f2b-chain" in said
    assert "fail2ban" in said


@pytest.mark.long
def test_a_ban_of_this_very_session_is_refused_by_name(node: Node, hosts: Hosts) -> None:
    ban = "chain c { type filter hook input priority -1; tcp dport 22 ct state new drop; };"
    node.inside(f"echo 'table inet f2b-table {{ {ban} }}' >/run/f2b.nft")
    node.inside(
        "systemd-run -q sh -c 'sleep 0.7; nft -f /run/f2b.nft; sleep 4; nft delete table inet f2b-table'"
    )
    document = hosts.document("web-1", PAIR, public=["tcp/8103"])
    run = node.ssh(f"sleep 1; exec {CALL} apply", document)
    assert run.word == "REFUSED", run.out
    assert "(this session) would be cut off" in run.out
    assert "table inet f2b-table, chain c" in run.out
    wait(lambda: node.ssh("true").code == 0, 20)


def test_every_declared_family_is_tried(node: Node, hosts: Hosts) -> None:
    """The session comes by IPv4."""
    sources = {"from": [str(hosts.lab.pool), "2001:db8:40::7"]}
    document = hosts.document("web-1", PAIR, mesh_ssh=sources)
    rule = "tcp dport 22 ip6 saddr @ssh_sources6 accept"
    assert rule in document
    run = node.agent("apply", document.replace(rule, ""))
    assert run.word == "REFUSED", run.out
    assert "SSH to port 22 from 2001:db8:40::7 (a declared source) would be cut off" in run.out
    assert "table inet wgmesh, chain input" in run.out
    run = node.agent("apply", document.replace(rule, "tcp dport 22 meta nfproto ipv6 accept"))
    assert run.word == "REFUSED", run.out
    assert "would be let in" in run.out
    assert node.apply(document).word == "CONFIRMED"


@pytest.mark.long
def test_a_change_that_cuts_peers_off_is_refused(node: Node, hosts: Hosts) -> None:
    document = hosts.document("web-1", PAIR, public=["tcp/8104"])
    rule = "udp dport 51820 ip saddr @peer_endpoints accept"
    assert rule in document
    run = node.agent("apply", document.replace(rule, "udp dport 51821 ip saddr @peer_endpoints accept"))
    assert run.word == "REFUSED", run.out
    assert "(a peer) would be dropped" in run.out


@pytest.mark.parametrize("trusted", ["e*", pytest.param("eth0", marks=pytest.mark.long)])
def test_trust_in_the_outside_is_refused(node: Node, hosts: Hosts, trusted: str) -> None:
    document = hosts.document("web-1", PAIR, trustedInterfaces=["docker0"])
    run = node.agent(
        "apply",
        document.replace('"docker0"', f'"{trusted}"').replace(
            "type ifname", "type ifname\n        flags interval" if "*" in trusted else "type ifname"
        ),
    )
    assert run.word == "REFUSED", run.out
    assert f"trustedInterfaces holds {trusted}, and the default route uses eth0" in run.out


def test_at_the_console_status_names_what_keeps_ssh_out(node: Node) -> None:
    load(
        node,
        "table inet other { chain input { type filter hook input priority 0; policy drop; iif lo accept; }; }",  # noqa: E501
    )
    try:
        assert not answers(node.address, 22)
        differences = found(node)
        (live,) = {live for item, live in differences.items() if item.startswith("SSH to port 22")}
        assert live == "dropped by table inet other, chain input (policy drop)"
    finally:
        node.inside("nft delete table inet other")
    assert found(node) == {}


@pytest.mark.long
def test_what_docker_does_to_a_node_that_forwards_is_named(node: Node, hosts: Hosts) -> None:
    """It drops what is forwarded and no container's: the mesh does not reach the network behind the node."""
    node.inside("ip link add lan0 type veth peer name lan1; ip address add 192.168.77.1/24 dev lan0")
    node.inside("ip link set lan0 up; ip link set lan1 up")
    try:
        assert node.apply(hosts.document("web-1", PAIR, forward=True)).word == "CONFIRMED"
        assert found(node) == {}
        load(node, "table ip filter { chain FORWARD { type filter hook forward priority 0; policy drop; }; }")
        item = "any TCP port through the tunnel to 192.168.77.0/24 behind this node"
        differences = found(node)
        assert [live for name, live in differences.items() if item in name] == [
            "dropped by table ip filter, chain FORWARD (policy drop)"
        ]
        node.inside("nft insert rule ip filter FORWARD iifname wg0 accept")
        assert found(node) == {}
    finally:
        node.inside("ip link del lan0")


@pytest.mark.long
def test_a_first_change_is_refused_where_wireguard_cannot_come_in(hosts: Hosts, web_2: Node) -> None:
    assert web_2.agent("leave").word == "LEFT"
    try:
        load(web_2, CLOSED)
        assert web_2.install().word == "INSTALLED"
        assert web_2.agent("keys", hosts.keys.bundle("web-2")).word == "STORED"
        run = web_2.agent("apply", hosts.document("web-2", PAIR))
        assert run.word == "REFUSED", run.out
        assert "WireGuard (UDP to port 51820)" in run.out
        assert NAMED in run.out
    finally:
        web_2.inside("nft delete table ip filter")
    assert web_2.apply(hosts.document("web-2", PAIR)).word == "CONFIRMED"
