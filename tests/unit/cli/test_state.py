import hashlib

import pytest

from mesh.cli.engine import CliError
from mesh.cli.state import parse_state

URN = "urn:pulumi:lab::wireguard-mesh::wireguard-mesh:index:Mesh$wireguard-mesh:index:Node$"
COMMAND = "command:remote:Command"


def command(name: str, stdin: object, **more: object) -> dict[str, object]:
    return {"urn": f"{URN}{COMMAND}::{name}", "type": COMMAND, "inputs": {"stdin": stdin}, **more}


def state(*resources: dict[str, object]) -> dict[str, object]:
    return {"version": 3, "deployment": {"resources": list(resources)}}


def test_each_node_has_the_document_its_last_apply_sent() -> None:
    found = parse_state(
        state(
            command("web-1-apply", "document 1\n"),
            command("web-1-agent", "ab" * 32),
            command("web-1-keys", {"4dabf18193072939515e22adb298388d": "x"}),
            command("web-2-apply", "document 2\n"),
            command("web-2-apply", "replaced meanwhile\n", delete=True),
        ),
        ["web-1", "web-2", "web-3"],
    )
    assert list(found) == ["web-1", "web-2"], "the third one has no files yet"
    assert found["web-1"].document == "document 1\n"
    assert found["web-1"].digest == hashlib.sha256(b"document 1\n").hexdigest()
    assert found["web-1"].agent == "ab" * 32
    assert found["web-2"].document == "document 2\n"
    assert found["web-2"].agent is None


def test_an_empty_stack_has_no_files() -> None:
    assert parse_state({"version": 3, "deployment": {}}, ["web-1"]) == {}


def test_files_that_are_encrypted_are_refused_by_name() -> None:
    with pytest.raises(CliError, match="web-1: its files are a secret"):
        parse_state(state(command("web-1-apply", {"ciphertext": "x"})), ["web-1"])
