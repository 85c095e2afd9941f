"""Firewalls that would cut the branch the operator sits on: refused by the proof, or undone in time."""

import pytest

from lab.testing import wait
from tests.host.nodes import CALL, DEADLINE, Hosts, Node

pytestmark = pytest.mark.hosts

SSH = "tcp dport 22 ip saddr @ssh_sources4 accept"
INPUT = "type filter hook input priority filter; policy drop;"
OUTPUT = "type filter hook output priority filter; policy accept;"
RAW = "type filter hook prerouting priority raw; policy accept;"

BAD = {
    "no rule for SSH": (SSH, ""),
    "SSH dropped first": (INPUT, f"{INPUT}\ntcp dport 22 drop"),
    "SSH rejected first": (INPUT, f"{INPUT}\ntcp dport 22 reject with tcp reset"),
    "another port": (SSH, SSH.replace("22", "2222")),
    "UDP instead of TCP": (SSH, SSH.replace("tcp", "udp")),
    "an interface that is not there": (SSH, f'iifname "eth9" {SSH}'),
    "only through the tunnel": (SSH, f'iifname "wg0" {SSH}'),
    "IPv6 only": (SSH, "tcp dport 22 meta nfproto ipv6 accept"),
    "an empty set": ("@ssh_sources4 accept", "@nobody accept"),
    "established dropped": ("established : accept", "established : drop"),
    "new connections dropped": (INPUT, f"{INPUT}\nct state new drop"),
    "opening packets dropped": (INPUT, f"{INPUT}\ntcp flags syn drop"),
    "one connection an hour": (SSH, f"{SSH[:-7]} ct state new limit rate 1/hour burst 1 packets accept"),
    "everything dropped early": (RAW, f'{RAW}\niifname != "lo" meta l4proto tcp drop'),
    "all but the tunnel dropped early": (RAW, f'{RAW}\niifname != {{ "lo", "wg0" }} drop'),
    "the first answer dropped": (OUTPUT, f"{OUTPUT}\ntcp flags & (syn | ack) == (syn | ack) drop"),
    "answers dropped": (OUTPUT, f"{OUTPUT}\ntcp sport 22 drop"),
    "nothing may leave": (OUTPUT, OUTPUT.replace("policy accept", "policy drop")),
    "the operator's network banned": (INPUT, f"{INPUT}\nip saddr 198.18.0.0/15 drop"),
    "the input chain forgotten": (INPUT, f"{INPUT}\ndrop"),
}
EMPTY_SET = "    chain antispoof {"


@pytest.fixture
def node(hosts: Hosts, web_1: Node) -> Node:
    web_1.bring(hosts.document("web-1", ("web-1", "web-2")))
    return web_1


def bad_document(hosts: Hosts, name: str) -> str:
    good = hosts.document("web-1", ("web-1", "web-2"))
    old, new = BAD[name]
    assert old in good
    bad = good.replace(old, new, 1)
    if "@nobody" in bad:
        bad = bad.replace(EMPTY_SET, f"    set nobody {{ type ipv4_addr; }}\n{EMPTY_SET}", 1)
    return bad


def test_there_are_twenty() -> None:
    assert len(BAD) == 20


@pytest.mark.parametrize("name", BAD)
def test_the_proof_refuses(node: Node, hosts: Hosts, name: str) -> None:
    before = node.live()
    run = node.agent("apply", bad_document(hosts, name))
    assert (run.word, run.code) == ("REFUSED", 65), run.out
    assert "SSH to port 22 from" in run.out
    assert node.live() == before


def test_the_proof_refuses_a_port_that_is_open_to_strangers(node: Node, hosts: Hosts) -> None:
    document = hosts.document("web-1", ("web-1",), mesh_ssh={"from": [str(hosts.lab.pool)]})
    assert node.apply(document).word == "CONFIRMED"
    run = node.agent("apply", document.replace(SSH, "tcp dport 22 accept"))
    assert run.word == "REFUSED"
    assert "192.0.2.77 would be let in" in run.out


def test_the_proof_takes_tables_of_others_into_account(node: Node, hosts: Hosts) -> None:
    """A ban in another table only hits new connections; ours would be committed and never undone."""
    document = hosts.document("web-1", ("web-1",))
    chain = "chain c { type filter hook input priority -1; tcp dport 22 ct state new drop; };"
    node.inside(f"echo 'table inet f2b-table {{ {chain} }}' >/run/f2b.nft")
    node.inside("rm -f /run/session-began /run/session-ended")
    # The ban comes while the session lasts, and goes with the session, or no later than after two minutes.
    ban = (
        "until [ -e /run/session-began ]; do sleep 0.1; done; nft -f /run/f2b.nft; "
        "for i in $(seq 1200); do [ ! -e /run/session-ended ] || break; sleep 0.1; done; "
        "nft delete table inet f2b-table"
    )
    node.inside(f"systemd-run -q sh -c '{ban}'")
    run = node.ssh(
        "touch /run/session-began; until nft list table inet f2b-table >/dev/null 2>&1; do sleep 0.1; done; "
        f"{CALL} apply; touch /run/session-ended",
        document,
    )
    assert run.word == "REFUSED", run.out
    wait(lambda: node.ssh("true").code == 0, 20)


def _undone_in_time(node: Node, hosts: Hosts, name: str) -> None:
    before = node.live()
    node.inside(f'echo \'{{"deadline_seconds": {DEADLINE}, "proof": false}}\' >/etc/wgmesh/agent.json')
    try:
        # The answer comes before the network moves. What ssh itself says of its end may follow.
        first = node.agent("apply", bad_document(hosts, name)).out.split()[:1]
        assert first in (["RECONNECT"], []), first
        node.wait_idle(DEADLINE + 10)
        assert node.ssh("true").code == 0
        assert node.moment("is rolled back") - node.moment("is armed") < DEADLINE + 5
    finally:
        node.inside(f"echo '{{\"deadline_seconds\": {DEADLINE}}}' >/etc/wgmesh/agent.json")
    assert node.live() == before


def test_a_session_to_an_address_the_host_does_not_have_is_told_in_the_journal(
    node: Node, hosts: Hosts
) -> None:
    """As behind address translation: the proof cannot be run, and the rollback alone guards the change."""
    document = hosts.document("web-1", ("web-1", "web-2"), public=["tcp/8099"])
    session = "SSH_CONNECTION='198.51.100.1 50000 203.0.113.9 22'"
    run = node.ssh(f"{session} exec {CALL} apply", document)
    assert run.word == "RECONNECT", run.out
    said = node.inside("journalctl -q -t wgmesh -o cat")
    assert (
        "skipping the lock-out check: this SSH session's server address 203.0.113.9 is on no local "
        "interface" in said
    )
    assert node.apply(document).word == "CONFIRMED"


def test_without_the_proof_the_rollback_opens_the_door_again(node: Node, hosts: Hosts) -> None:
    _undone_in_time(node, hosts, "established dropped")


@pytest.mark.long
@pytest.mark.parametrize("name", BAD)
def test_without_the_proof_each_is_undone_in_time(node: Node, hosts: Hosts, name: str) -> None:
    _undone_in_time(node, hosts, name)
