import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.host.answers import AgentError
from mesh.host.files.wgconf import clamped, complete, key_bytes, parse_wg_file
from tests.unit.host.documents import KEYS, WG, fingerprint

SECOND = f"\n[Peer]\nPublicKey = {KEYS[3]}\nAllowedIPs = {{}}\n"

NARROW = "# MTU = {} (underlay 1400 - 80)"


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("[Interface]\n", "", "before the first section"),
        ("[Peer]", "[Interface]", "is not allowed in [Interface]"),
        ("ListenPort = 51820\n", "", "lacks ListenPort"),
        ("ListenPort = 51820", "ListenPort = 0", "a number from 1 to 65535"),
        ("ListenPort = 51820", "ListenPort = 51820\nListenPort = 51820", "given twice"),
        ("ListenPort = 51820", "ListenPort=51820", "`Name = value`"),
        ("MTU = 1420", "MTU = 576", "a number from 1280"),
        ("PersistentKeepalive", "MTU = 1320\nPersistentKeepalive", "MTU is not allowed in [Peer]"),
        ("PersistentKeepalive", "# MTU = 1320\nPersistentKeepalive", "a peer's MTU is `# MTU = 1320 (und"),
        ("ListenPort", f"{NARROW.format(1320)}\nListenPort", "# MTU is not allowed in [Interface]"),
        ("PersistentKeepalive", f"{NARROW.format(1420)}\nPersistentKeepalive", "a number from 576 to 1419"),
        ("PersistentKeepalive", f"{NARROW.format(575)}\nPersistentKeepalive", "a number from 576 to 1419"),
        ("10.10.0.2/32", f"10.10.0.2/32, fd00::2/128\n{NARROW.format(1279)}", "a number from 1280 to 1419"),
        ("MTU = 1420", "PostUp = rm -rf /", "PostUp is not allowed"),
        ("MTU = 1420", "SaveConfig = true", "SaveConfig is not allowed"),
        ("# PrivateKey = key:", "# PrivateKey = clé:", "lacks PrivateKey"),
        ("Address = 10.10.0.1/24", "Address = 10.10.0.1/240", "Address"),
        ("PublicKey = ", "PublicKey = x", "PublicKey is not a WireGuard key"),
        ("PublicKey = ", "PublicKey = <known after up> ", "PublicKey is not a WireGuard key"),
        ("10.10.0.2/32", "10.10.0.2/24", "AllowedIPs"),
        ("10.10.0.2/32", "10.10.0.1/32", "this node's own address"),
        ("198.18.3.11:51820", "vpn.example.com:51820", "names are looked up once"),
        ("198.18.3.11:51820", "198.18.3.11:0", "Endpoint"),
        ("198.18.3.11:51820", "198.18.3:51820", "Endpoint"),
        ("PersistentKeepalive = 25", "PersistentKeepalive = soon", "PersistentKeepalive"),
        ("PersistentKeepalive = 25\n", SECOND.format("10.10.0.2/32"), "overlaps 10.10.0.2/32"),
        ("PersistentKeepalive = 25\n", SECOND.format("10.10.0.2/31"), "overlaps 10.10.0.2/32"),
        ("10.10.0.2/32", "10.10.0.8/29, 10.10.0.9/32", "overlaps 10.10.0.8/29"),
        ("10.10.0.2/32", "0.0.0.0/0, 0.0.0.0/0", "AllowedIPs 0.0.0.0/0 of"),
        (
            "MTU = 1420",
            "# NextPort = 51820\nMTU = 1420",
            "# NextPort = 51820 is ListenPort: give another port, as 51821",
        ),
        ("ListenPort = 51820", "ListenPort = 65535\n# NextPort = 65535", "give another port, as 65534"),
        ("MTU = 1420", "# NextPort = 0\nMTU = 1420", "# NextPort = 0: a number from 1 to 65535"),
        ("MTU = 1420", "# NextPort = 65536\nMTU = 1420", "# NextPort = 65536: a number from 1 to 65535"),
        (
            "MTU = 1420",
            "# NextPort = soon\nMTU = 1420",
            "line 6: the port of the interface with the next keys is `# N",
        ),
        ("MTU = 1420", "# NextPort = 51821 \nMTU = 1420", "is `# NextPort = 51821`"),
        ("MTU = 1420", "# NextPort =\nMTU = 1420", "is `# NextPort = 51821`"),
        ("MTU = 1420", "# NextPort = 1\n# NextPort = 2\nMTU = 1420", "# NextPort is given twice"),
        (
            "PersistentKeepalive",
            "# NextPort = 51821\nPersistentKeepalive",
            "# NextPort is not allowed in [Peer]",
        ),
        ("# web-1", "# NextPort = 51821", "line 1: # NextPort before the first section"),
        (
            "PersistentKeepalive",
            "# Client = no\nPersistentKeepalive",
            "`# Client = yes`, other peers have none",
        ),
        (
            "PersistentKeepalive",
            "# Client = yes.\nPersistentKeepalive",
            "`# Client = yes`, other peers have none",
        ),
        ("MTU = 1420", "# Client = yes\nMTU = 1420", "# Client is not allowed in [Interface]"),
    ],
)
def test_what_is_wrong_is_said(old: str, new: str, says: str) -> None:
    text = WG.replace(old, new, 1)
    assert text != WG
    with pytest.raises(AgentError) as caught:
        parse_wg_file(text, where="wg0.conf")
    assert says in caught.value.reason


@pytest.mark.parametrize(("first", "second"), [("0.0.0.0/0", ", 0.0.0.0/0"), (", 0.0.0.0/0", "0.0.0.0/0")])
def test_one_peer_may_have_the_default_beside_the_networks_of_all(first: str, second: str) -> None:
    """The longest prefix wins, so nothing of another peer's is taken; two defaults would be one peer's."""
    one = WG.replace("10.10.0.2/32", f"10.10.0.2/32{first}" if first[0] == "," else first, 1)
    other = "10.10.0.3/32" + (second if second[0] == "," else f", {second}")
    parsed = parse_wg_file(one + SECOND.format("10.10.0.3/32, ::/0"), where="wg0.conf")
    assert [each for peer in parsed.peers for each in peer.allowed_ips if each.endswith("/0")] == [
        "0.0.0.0/0",
        "::/0",
    ]
    with pytest.raises(AgentError) as caught:
        parse_wg_file(one + SECOND.format(other), where="wg0.conf")
    assert caught.value.reason == (
        f"wg0.conf: AllowedIPs 0.0.0.0/0 of {KEYS[3]} is already that of {KEYS[2]}"
    )


def test_a_peer_may_be_narrower_than_the_interface() -> None:
    narrow = WG.replace("PersistentKeepalive", f"{NARROW.format(1320)}\nPersistentKeepalive", 1)
    assert [peer.mtu for peer in parse_wg_file(WG, where="x").peers] == [None]
    assert [peer.mtu for peer in parse_wg_file(narrow, where="x").peers] == [1320]


def test_a_mesh_with_rotation_has_a_second_port_and_says_who_is_a_client() -> None:
    plain = parse_wg_file(WG, where="x")
    assert (plain.next_port, plain.peers[0].client) == (None, False)
    text = WG.replace("MTU", "# NextPort = 51821\nMTU").replace("Endpoint", "# Client = yes\nEndpoint")
    rotating = parse_wg_file(text, where="x")
    assert (rotating.next_port, rotating.peers[0].client) == (51821, True)


@pytest.mark.parametrize(
    ("before", "name"),
    [
        ("\n# web-2\n", "web-2"),
        ("\n# web-2\n\n", ""),
        ("\n", ""),
        ("\n#web-2\n", ""),
        ("\n# the second of two\n", ""),
        ("\n# web-2\n# db-1\n", "db-1"),
    ],
)
def test_a_peer_is_called_by_the_comment_on_the_line_before(before: str, name: str) -> None:
    text = WG.replace("\n# web-2\n", before)
    assert [peer.name for peer in parse_wg_file(text, where="x").peers] == [name]


def test_where_keys_are_rotated_by_name_each_peer_has_its_own() -> None:
    twice = f"{WG}\n# web-2{SECOND.format('10.10.0.3/32')}"
    assert [peer.name for peer in parse_wg_file(twice, where="x").peers] == ["web-2", "web-2"]
    with pytest.raises(AgentError) as caught:
        parse_wg_file(twice.replace("MTU", "# NextPort = 51821\nMTU"), where="wg0.conf")
    assert caught.value.reason == "wg0.conf: two peers have the name web-2: give each its own"
    nameless = twice.replace("# web-2\n", "").replace("MTU", "# NextPort = 51821\nMTU")
    assert [peer.name for peer in parse_wg_file(nameless, where="x").peers] == ["", ""]


def test_a_key_in_the_open_is_refused_and_not_repeated() -> None:
    text = WG.replace(f"# PrivateKey = key:{fingerprint(KEYS[0])}", f"PrivateKey = {KEYS[0]}")
    with pytest.raises(AgentError) as caught:
        parse_wg_file(text, where="wg0.conf")
    assert KEYS[0] not in caught.value.reason


def test_keys_are_put_in_their_places() -> None:
    text = complete(WG, {fingerprint(key): key for key in KEYS})
    assert f"\nPrivateKey = {KEYS[0]}\n" in text
    assert f"\nPresharedKey = {KEYS[1]}\n" in text
    assert "key:" not in text
    assert len(text.splitlines()) == len(WG.splitlines())


@pytest.mark.parametrize("text", ["", "AAAA", KEYS[0][:-1], KEYS[0] + "\n", KEYS[0][:-2] + "B=", "é" * 44])
def test_what_is_not_a_key_is_no_key(text: str) -> None:
    with pytest.raises(ValueError, match="not a WireGuard key"):
        key_bytes(text)


@given(st.binary(min_size=32, max_size=32))
def test_clamping_is_what_curve25519_does(raw: bytes) -> None:
    once = clamped(base64.b64encode(raw).decode())
    assert clamped(once) == once
    kept = key_bytes(once)
    assert kept[1:31] == raw[1:31]
    assert (kept[0] & 7, kept[31] >> 6) == (0, 1)
