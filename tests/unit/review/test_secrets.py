"""What looks like a private key, a pre-shared key or a token gets into no review."""

import base64
import json

import pytest

from mesh.program.keys import ssh_key
from mesh.review import as_markdown, as_terminal, review
from mesh.review.masking import MASK, masked
from tests.unit.review.cases import MESH
from tests.unit.review.previews import preview_of
from tests.unit.review.test_recorded import recorded

WIREGUARD = base64.b64encode(bytes(range(100, 132))).decode()
OPENSSH = ssh_key()
TOKEN = "aB3" + "x" * 61
SECRETS = {"WireGuard": WIREGUARD, "OpenSSH": OPENSSH, "token": TOKEN}


def _search(text: str, secret: str) -> bool:
    return any(line in text for line in secret.splitlines() if not line.startswith("-----"))


@pytest.mark.parametrize("secret", SECRETS.values(), ids=SECRETS)
@pytest.mark.parametrize(
    "text",
    ["{}", "PrivateKey = {}\n", "x={}; y", "key:\n{}\n", "'{}'", "PresharedKey={}", "<{}>", "Bearer {}"],
)
def test_a_secret_is_masked_wherever_it_stands(text: str, secret: str) -> None:
    found = masked({"a": [text.format(secret)]})["a"][0]
    assert not _search(found, secret)
    assert MASK in found


def test_what_is_public_stays() -> None:
    for text in (
        f"PublicKey = {WIREGUARD}\n",
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIMzUfO2eM8tJGiBGGlVUNBsd0JBTcPlvDeIRLGMqLY4o me",
        "key:0123456789abcdef",
        f"digest {'0123456789abcdef' * 4}",
    ):
        assert masked(text) == text


def test_a_secret_that_is_in_the_clear_in_a_preview_is_not_printed() -> None:
    """In files, diagnostics, values of servers and other resources, keys of mappings, the stack file."""
    document = json.loads(preview_of(MESH, {**MESH, "policy": []}))
    for secret in SECRETS.values():
        document["diagnostics"] = [
            {"severity": "error", "message": f"error: cannot read {secret}"},
            {"severity": "warning", "message": f"{secret}"},
        ]
        for step in document["steps"]:
            for side in {"oldState", "newState"} & step.keys():
                inputs = step[side].setdefault("inputs", {})
                if "stdin" in inputs:
                    lines = f"# PrivateKey = {secret if side == 'newState' else ''}\n# {secret}\n"
                    inputs["stdin"] = inputs["stdin"].replace("[Interface]\n", f"[Interface]\n{lines}")
                inputs["location"] = inputs[secret] = f"{secret}{side}"
        urn = f"urn:pulumi:dev::p::a:b:C::{secret}"
        document["steps"].append(
            {"op": "create", "urn": urn, "newState": {"urn": urn, "type": f"a:b:{secret}"}}
        )
        found = review(json.dumps(document))
        for text in (as_markdown(found), as_terminal(found)):
            assert not _search(text, secret)
            assert MASK in text


def test_a_preview_with_secrets_shown_is_masked_by_their_mark() -> None:
    value = {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270", "plaintext": '"short"'}
    assert masked({"stdin": value}) == {"stdin": MASK}


@pytest.mark.parametrize("engine", ["lab", "pulumi"])
def test_recordings_hold_no_secret(engine: str) -> None:
    text = recorded(engine, "node-added")
    assert "PRIVATE KEY" not in text
    assert "hcloud:token" not in text
