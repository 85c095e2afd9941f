"""A firewall table is evaluated as the kernel does, or not at all."""

import json
from ipaddress import ip_address
from pathlib import Path

import pytest

from mesh.review.elements import NotUnderstoodError
from mesh.review.evaluate import Firewall
from mesh.review.files import FIREWALL, read_files, read_tunnel
from mesh.review.rules import Packet
from mesh.review.traffic import NOTHING
from tests.unit.review.cases import MESH
from tests.unit.review.previews import document_of

OLDER = Path(__file__).parents[2] / "system" / "older" / "state.json"


def table(mesh: dict[str, object] = MESH, node: str = "db-1") -> str:
    document = document_of(mesh, node)
    assert document is not None
    return read_files(document)[FIREWALL]


def peer(address: str, target: str = "10.10.0.11") -> Packet:
    return Packet(interface="wg0", source=ip_address(address), target=ip_address(target))


def outside(address: str = "192.0.2.77") -> Packet:
    return Packet(interface="eth0", source=ip_address(address), target=None, listed=False)


def test_a_peer_gets_what_the_policy_says() -> None:
    assert str(Firewall(table()).let_in(peer("10.10.0.1"))) == "tcp/5432, ping"
    assert str(Firewall(table(node="web-1")).let_in(peer("10.10.0.11", "10.10.0.1"))) == "tcp/8080-8090, ICMP"


def test_a_mesh_that_rotates_its_keys_opens_nothing_to_strangers() -> None:
    rotates = {**MESH, "rotation": {}}
    assert str(Firewall(table(rotates)).let_in(peer("10.10.0.1"))) == "tcp/5432, ping"
    assert str(Firewall(table(rotates)).let_in(outside())) == "ping"
    document = document_of(rotates, "db-1")
    assert document is not None
    assert "# NextPort = 51821" in document
    assert set(read_tunnel(read_files(document)).peers) == {"web-1", "web-2"}


def test_what_is_no_member_is_dropped() -> None:
    assert Firewall(table()).let_in(peer("10.11.0.1")) == NOTHING
    assert Firewall(table()).let_in(outside("10.10.0.1")) == NOTHING, (
        "a source of the mesh outside the tunnel"
    )


def test_the_table_of_an_older_version_is_read() -> None:
    state = json.loads(OLDER.read_text())["deployment"]["resources"]
    (document,) = (each["inputs"]["stdin"] for each in state if each["urn"].endswith("::db-1-apply"))
    files = read_files(document)
    firewall = Firewall(files[FIREWALL])
    assert str(firewall.let_in(peer("10.10.0.1"))) == "tcp/5432, ping"
    assert str(firewall.let_in(outside())) == "ping"
    assert str(firewall.let_in(outside("198.18.5.5"))) == "tcp/22, ping"
    assert str(firewall.let_in(Packet(interface="cni0", source=ip_address("10.42.0.9"), target=None))) == (
        "everything"
    )
    assert set(read_tunnel(files).peers) == {"web-1"}


@pytest.mark.parametrize(
    ("found", "planted"),
    [
        ("tcp dport @public_tcp accept", "tcp dport 443 queue"),
        ("tcp dport @public_tcp accept", "tcp dport != @public_tcp accept"),
        ("tcp dport @public_tcp accept", "tcp dport @nobody accept"),
        ("tcp dport @public_tcp accept", "ip saddr 192.0.2.77 meta mark 7 accept"),
        ("tcp dport @public_tcp accept", "tcp dport 443 limit rate 5/second drop"),
        ("tcp dport @public_tcp accept", "ip daddr 8.8.8.8 accept"),
        ("tcp dport @public_tcp accept", "jump input"),
        ("tcp dport @public_tcp accept", "tcp dport 0x1bb accept"),
        ("hook input priority filter", "hook input priority filter - 5"),
        ("hook input priority filter", "hook ingress priority filter"),
        ("policy drop", "policy queue"),
        ("type inet_service\n", "type inet_service\n        timeout 1h\n"),
        ("chain forward {", "flowtable f {\n    }\n    chain forward {"),
        ("table inet wgmesh {", 'include "/etc/more.nft"\ntable inet wgmesh {'),
    ],
)
def test_what_is_not_known_is_never_guessed(found: str, planted: str) -> None:
    text = table()
    assert found in text
    with pytest.raises(NotUnderstoodError):
        Firewall(text.replace(found, planted, 1)).let_in(outside())


@pytest.mark.parametrize("end", [40, 400, 2000])
def test_a_table_that_is_cut_is_not_understood(end: int) -> None:
    with pytest.raises(NotUnderstoodError):
        Firewall(table()[:end])


def test_a_second_table_is_not_understood() -> None:
    with pytest.raises(NotUnderstoodError, match="more than one table"):
        Firewall(f"{table()}table inet other {{\n}}\n")


def test_rules_that_cannot_meet_a_packet_need_not_be_known() -> None:
    text = table().replace("tcp dport @public_tcp accept", 'iifname "ppp0" meta mark 7 accept')
    assert str(Firewall(text).let_in(outside())) == "ping"


def test_a_rule_before_others_decides() -> None:
    text = table().replace("tcp dport @public_tcp accept", "drop\n        tcp dport 80 accept")
    assert Firewall(text).let_in(outside()) == NOTHING
    text = table().replace(
        "tcp dport @public_tcp accept", "tcp dport 80-90 accept\n        tcp dport 85 drop"
    )
    assert str(Firewall(text).let_in(outside())) == "tcp/80-90, ping"
    text = table().replace(
        "tcp dport @public_tcp accept", "tcp dport 85 drop\n        tcp dport 80-90 accept"
    )
    assert str(Firewall(text).let_in(outside())) == "tcp/80-84, tcp/86-90, ping"


def test_an_endpoint_that_is_not_known_hides_nothing_from_the_internet() -> None:
    text = table().replace("192.0.0.1,", "<known after up>,")
    assert "<known after up>" in text
    assert str(Firewall(text).let_in(outside())) == "ping"
