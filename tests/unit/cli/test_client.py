"""`mesh client`: the file with its keys, and where the file may lie."""

from pathlib import Path
from typing import Any

from tests.unit.cli.stack import OUTPUTS, type_command

PEER = {
    "name": "web-1", "public_key": "pub web", "preshared_key": "shared", "endpoint": "192.0.2.2:51820",
    "allowed_ips": "10.10.0.2/32", "keepalive": 25.0,
}  # fmt: skip
LAPTOP: dict[str, Any] = {
    "address": "10.10.0.200", "enabled": True, "mtu": 1280.0, "public_key": "pub laptop",
    "private_key": "private laptop", "peers": [PEER],
}  # fmt: skip
PHONE = {key: value for key, value in LAPTOP.items() if key != "private_key"}
STACK = {**OUTPUTS, "clients": {"laptop": LAPTOP, "phone": PHONE}}
FILE = """[Interface]
PrivateKey = private laptop
Address = 10.10.0.200
MTU = 1280

# web-1
[Peer]
PublicKey = pub web
PresharedKey = shared
AllowedIPs = 10.10.0.2/32
Endpoint = 192.0.2.2:51820
PersistentKeepalive = 25
"""


def test_the_file_is_printed_or_written_for_its_owner_alone(tmp_path: Path) -> None:
    assert type_command(tmp_path, STACK, "client", "laptop").stdout.partition("\n")[2] == FILE
    path = tmp_path / "laptop.conf"
    path.touch(0o644)
    refused = type_command(tmp_path, STACK, "client", "laptop", "--output", str(path))
    assert refused.stderr == f"error: {path} is there already; --force replaces the file\n"
    type_command(tmp_path, STACK, "client", "laptop", "--output", str(path), "--force")
    assert path.read_text().endswith(FILE)
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_key_of_its_own_is_a_placeholder_and_no_picture(tmp_path: Path) -> None:
    printed = type_command(tmp_path, STACK, "client", "phone")
    assert "PrivateKey = <the private key of this device>" in printed.stdout
    assert "phone has a key of its own" in printed.stderr
    assert "a QR code would lack the key" in type_command(tmp_path, STACK, "client", "phone", "--qr").stderr


def test_a_picture_is_drawn_in_the_terminal_or_written_for_its_owner_alone(tmp_path: Path) -> None:
    drawn = type_command(tmp_path, STACK, "client", "laptop", "--qr").stdout
    assert "private laptop" not in drawn
    assert len({len(line) for line in drawn.splitlines() if "\u2588" in line or "\u2584" in line}) == 1, drawn
    path = tmp_path / "laptop.png"
    type_command(tmp_path, STACK, "client", "laptop", "--png", str(path))
    assert path.read_bytes().startswith(b"\x89PNG\r\n")
    assert path.stat().st_mode & 0o777 == 0o600
