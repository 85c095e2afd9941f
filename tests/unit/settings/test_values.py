"""Numbers, words, keys and ports of the stack file: what is taken, and how the rest is refused."""

import pytest

from mesh.settings import PortRange, fields, grants, lists
from mesh.settings.problems import show
from tests.unit.refusals import refusal

KEY = "AAAAC3NzaC1lZDI1NTE5AAAAIMzUfO2eM8tJGiBGGlVUNBsd0JBTcPlvDeIRLGMqLY4o"
LETTERS = "; give a name of lower-case letters, digits, dots and hyphens"
NUMBER = "; write the protocol, a slash and a number"
SECURITY_KEY = (
    "AAAAGnNrLXNzaC1lZDI1NTE5QG9wZW5zc2guY29tAAAAIMzUfO2eM8tJGiBGGlVUNBsd0JBTcPlvDeIRLGMqLY4oAAAABHNzaDo="
)


@pytest.mark.parametrize(("value", "number"), [(0, 0), (5, 5), (5.0, 5), (-3, -3), (0.0, 0), (1e15, 10**15)])
def test_whole_numbers_are_taken_as_the_engine_passes_them(value: float, number: int) -> None:
    found = fields.integer(value)
    assert (found, type(found)) == (number, int)


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("7", "'7' is not a whole number; write 7 without quotes"),
        ("1" * 20, f"'{'1' * 20}' is not a whole number; write {'1' * 20} without quotes"),
        ("1" * 21, f"'{'1' * 21}' is not a whole number; give a number"),
        ("7 ", "'7' is not a whole number; write 7 without quotes"),
        ("022", "'022' is not a whole number; write 22"),  # YAML reads 022 as 18
        (None, "null is not a whole number; give a number"),
        (False, "false is not a whole number; give a number"),
        (0.5, "0.5 is not a whole number; give a number"),
        (float("-inf"), "-inf is not a whole number; give a number"),
        ([7], "[7] is not a whole number; write 7, without brackets"),
        ("tcp/7", "'tcp/7' is not a whole number; write 7"),
        ([7, 8], "[7, 8] is not a whole number; give a number"),
    ],
)
def test_anything_else_is_no_whole_number(value: object, told: str) -> None:
    assert refusal(fields.integer, value) == told


def test_a_port_has_a_lowest_and_a_highest_number() -> None:
    assert [fields.port_number(number) for number in (1, 2, 65535)] == [1, 2, 65535]
    assert refusal(fields.port_number, 0) == "0 is below 1; ports go from 1 to 65535"
    assert refusal(fields.port_number, 65536) == "65536 is above 65535; ports go from 1 to 65535"


@pytest.mark.parametrize("value", ["auto", 1280, 1420, 8920, 8920.0])
def test_an_mtu_is_auto_or_within_bounds(value: object) -> None:
    assert fields.mtu(value) == value


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("Auto", "'Auto' is neither auto nor a whole number; write auto"),
        (1279, "1279 is out of range; write 1280 to 8920, or auto"),
        (8921, "8921 is out of range; write 1280 to 8920, or auto"),
    ],
)
def test_any_other_mtu_is_refused(value: object, told: str) -> None:
    assert refusal(fields.mtu, value) == told


@pytest.mark.parametrize(
    "line",
    [
        f"ssh-ed25519 {KEY}",
        f"ssh-ed25519 {KEY} me@laptop and more",
        f"sk-ssh-ed25519@openssh.com {SECURITY_KEY} token",
        "ssh-x AAAABXNzaC14AAAAAQA=",  # the shortest field has one byte
    ],
)
def test_a_line_of_a_public_key_is_taken_without_the_space_around_it(line: str) -> None:
    assert fields.authorized_key(line) == line
    assert fields.authorized_key(f"  {line}\n") == line


@pytest.mark.parametrize(
    "path", ["~/.ssh/id_ed25519", "/root/.ssh/id_ed25519", "./id_ed25519", "id_ed25519.pub"]
)
def test_the_name_of_a_file_is_no_key(path: str) -> None:
    assert refusal(fields.authorized_key, path) == (
        f"'{path}' names a file; give the line in this file, such as `ssh-ed25519 AAAA... me`"
    )


@pytest.mark.parametrize(
    "line",
    [
        "ssh-ed25519",
        "",
        f'from="10.0.0.0/8" ssh-ed25519 {KEY[:12]}',
        "SSH-ED25519 AAAA me",
        "ssh-ed25519\x07 AAAA me",
    ],
)
def test_what_has_another_form_is_no_key(line: str) -> None:
    assert refusal(fields.authorized_key, line) == (
        f"{show(line)} is not a public key; give one line such as `ssh-ed25519 AAAA... me`"
    )


@pytest.mark.parametrize(
    "encoded",
    [
        KEY[:-4],  # cut at its end
        KEY[:20],  # cut in its first field
        "AAAAC3NzaC1lZDI1NTE5",  # nothing after its type
        KEY + "!",
        KEY + "\u00e9",  # a letter that is not ASCII
        "AAAA",
        KEY + "AAAA",  # more than it says
        "AAAAAf8AAAABAA==",  # a type that is no text
    ],
)
def test_a_key_that_is_cut_is_refused(encoded: str) -> None:
    line = f"ssh-ed25519 {encoded} me"
    assert refusal(fields.authorized_key, line) == (
        f"{show(line)}: the part after ssh-ed25519 is cut or is no key of this type; give the whole line "
        f"of the .pub file"
    )


LINE = "a line of authorized_keys such as `ssh-ed25519 AAAA... me`"


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (7, f"7 is not text; give {LINE}, in quotes if need be"),
        (["x"], f"['x'] is a list; give {LINE}, without brackets"),
        (["x", "y"], f"['x', 'y'] is not text; give {LINE}, in quotes if need be"),
        ([7], f"[7] is not text; give {LINE}, in quotes if need be"),
    ],
)
def test_what_is_no_text_is_no_key(value: object, told: str) -> None:
    assert refusal(fields.authorized_key, value) == told


def test_a_private_key_is_refused_and_not_shown() -> None:
    assert refusal(fields.authorized_key, "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXk") == (
        "this is a private key (not shown here): keep private keys out of a stack file; make a new pair"
    )


@pytest.mark.parametrize("value", ["fsn1", "debian-12", "161547269", "a.b_c-d", "0"])
def test_a_name_of_the_cloud_is_taken(value: str) -> None:
    assert fields.word("fsn1")(value) == value


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("FSN1", "'FSN1' is not a name such as fsn1; write fsn1"),
        (" fsn1 ", "'fsn1' is not a name such as fsn1; write fsn1"),
        ("fsn 1", "'fsn 1' is not a name such as fsn1; write fsn-1"),
        ("", f"'' is not a name such as fsn1{LETTERS}"),
        ("-fsn1", f"'-fsn1' is not a name such as fsn1{LETTERS}"),
        (None, "null is not text; give a name such as fsn1, in quotes if need be"),
    ],
)
def test_what_is_no_name_of_the_cloud_is_refused(value: object, told: str) -> None:
    assert refusal(fields.word("fsn1"), value) == told


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("ALLOW", "'ALLOW' is not one of allow, deny; did you mean allow?"),
        ("denny", "'denny' is not one of allow, deny; did you mean deny?"),
        ("maybe", "'maybe' is not one of allow, deny; write allow or deny"),
        ("accept", "'accept' is not one of allow, deny; write allow"),
        ("no", "'no' is not one of allow, deny; write deny"),
        (
            True,
            "true is not one of allow, deny; YAML reads yes and on as true, no and off as false: write allow",
        ),
        (
            False,
            "false is not one of allow, deny; YAML reads yes and on as true, no and off as false: write deny",
        ),
        (7, "7 is not one of allow, deny; write allow or deny"),
        (["allow"], "['allow'] is not one of allow, deny; did you mean allow?"),
    ],
)
def test_one_of_a_few_words_is_taken_and_no_other(value: object, told: str) -> None:
    field = fields.one_of("allow", "deny")
    assert (field("allow"), field("deny")) == ("allow", "deny")
    assert refusal(field, value) == told


def test_a_list_is_a_list() -> None:
    assert lists.items([1, "a"]) == (1, "a")
    assert lists.items((1,)) == (1,)
    assert refusal(lists.items, "a") == "'a' is not a list; write [...]"
    assert refusal(lists.items, None) == "null is not a list; write [...]"
    assert refusal(lists.items, {"a": 1}) == (
        "{'a': 1} is not a list; put `- ` before its first key, or brackets around: [{...}]"
    )


def test_a_list_is_told_with_entries_that_are_right() -> None:
    ports = lists.list_of(grants.port_range)
    assert refusal(ports, "TCP/80, 443") == (
        "'TCP/80, 443' is not a list; write [tcp/80, tcp/443] or [tcp/80, udp/443]"
    )
    assert refusal(ports, 53) == "53 is not a list; write [tcp/53] or [udp/53]"
    assert refusal(ports, "nothing") == "'nothing' is not a list; write [...]"
    keys = lists.list_of(fields.authorized_key)
    line = f"ssh-ed25519 {KEY} me, at home"
    assert refusal(keys, line).startswith("'ssh-ed25519 AAAA")
    assert "PRIVATE" not in refusal(keys, "-----BEGIN OPENSSH PRIVATE KEY----- b3BlbnNzaC1rZXk")


@pytest.mark.parametrize(
    ("value", "first", "last"), [("tcp/1", 1, 1), ("tcp/65535", 65535, 65535), ("tcp/80-80", 80, 80)]
)
def test_ports_are_taken_up_to_the_last_one(value: str, first: int, last: int) -> None:
    assert grants.port_range(value) == PortRange(protocol="tcp", first=first, last=last)
    assert grants.port_range(value.replace("tcp", "udp")) == PortRange(protocol="udp", first=first, last=last)


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (443, "443 has no protocol; write tcp/443 or udp/443"),
        (443.0, "443 has no protocol; write tcp/443 or udp/443"),
        (443.5, "443.5 is not text; give a port such as tcp/443, in quotes if need be"),
        (True, "true is not text; give a port such as tcp/443, in quotes if need be"),
        (
            "80-90",
            "'80-90' is not a port such as tcp/443, udp/53 or tcp/8000-8100; write tcp/80-90 or udp/80-90",
        ),
        ("TCP/80", "'TCP/80' is not a port such as tcp/443, udp/53 or tcp/8000-8100; write tcp/80"),
        (
            "8000 - 8100/udp",
            "'8000 - 8100/udp' is not a port such as tcp/443, udp/53 or tcp/8000-8100; write udp/8000-8100",
        ),
        ("tcp/443 ", "'tcp/443' is not a port such as tcp/443, udp/53 or tcp/8000-8100; write tcp/443"),
        ("tcp/123456", f"'tcp/123456' is not a port such as tcp/443, udp/53 or tcp/8000-8100{NUMBER}"),
        ("tcp/1-123456", f"'tcp/1-123456' is not a port such as tcp/443, udp/53 or tcp/8000-8100{NUMBER}"),
        ("123456", f"'123456' is not a port such as tcp/443, udp/53 or tcp/8000-8100{NUMBER}"),
        (
            "tcp/65535-65536",
            "tcp/65535-65536 is out of range; ports go from 1 to 65535, the lower port first",
        ),
        ("udp/0-1", "udp/0-1 is out of range; ports go from 1 to 65535, the lower port first"),
    ],
)
def test_what_is_no_port_is_refused(value: object, told: str) -> None:
    assert refusal(grants.port_range, value) == told


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("ICMP", "'ICMP' is neither a port such as tcp/5432 or udp/53, nor icmp, nor all; write icmp"),
        (
            "5432",
            (
                "'5432' is neither a port such as tcp/5432 or udp/53, nor icmp, nor all; write "
                "tcp/5432 or udp/5432"
            ),
        ),
        (5432, "5432 has no protocol; write tcp/5432 or udp/5432"),
        ("any", "'any' is neither a port such as tcp/5432 or udp/53, nor icmp, nor all; write all"),
        ("udp/x", f"'udp/x' is not a port such as tcp/443, udp/53 or tcp/8000-8100{NUMBER}"),
        ("tcp/0", "tcp/0 is out of range; ports go from 1 to 65535, the lower port first"),
        (None, "null is not text; give a port such as tcp/5432, icmp or all, in quotes if need be"),
    ],
)
def test_what_a_rule_cannot_allow_is_refused(value: object, told: str) -> None:
    assert refusal(grants.allowed, value) == told


def test_what_a_rule_can_allow_is_taken() -> None:
    port = PortRange(protocol="udp", first=53, last=53)
    assert [grants.allowed(each) for each in ("icmp", "all", "udp/53", port)] == ["icmp", "all", port, port]
    assert grants.single_port("udp/53") == port
    assert refusal(grants.single_port, "udp/53-54") == "udp/53-54 is a range; test one port, such as udp/53"
