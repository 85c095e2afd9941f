"""SSH keys as they lie in the state."""

import subprocess
from pathlib import Path

import asyncssh
import pytest

from mesh.program import keys
from tests.unit.program.recording import Recording, run, value_of

STEPS = ("agent-file", "keys", "apply")


def _opened_by(recording: Recording) -> dict[str, str]:
    """The private key that each of a node's commands connects with."""
    given = {step: recording[f"a-{step}"].inputs["connection"]["value"]["privateKey"] for step in STEPS}
    return {step: str(key["value"] if isinstance(key, dict) else key) for step, key in given.items()}


def test_a_short_key_is_the_same_key_a_third_as_long_and_always_the_same_text() -> None:
    key = keys.ssh_key()
    short = keys.short_ssh_key(key)
    assert keys.ssh_public_line(short) == keys.ssh_public_line(key)
    assert len(short) < len(key) / 3
    assert keys.short_ssh_key(key) == keys.short_ssh_key(short) == short
    public = asyncssh.import_private_key(short).export_public_key().decode()
    assert public.split()[:2] == keys.ssh_public_line(key).split()


def test_ssh_of_any_age_reads_the_key_that_a_new_server_shows(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.touch(mode=0o600)
    file.write_text(keys.first_contact_key())
    run = subprocess.run(["ssh-keygen", "-y", "-f", file], text=True, capture_output=True, check=True)
    assert run.stdout.strip() == keys.ssh_public_line(file.read_text())


def test_commands_connect_with_the_short_form_and_the_outputs_have_what_ssh_reads() -> None:
    first = run({"cidr": "10.10.0.0/24", "nodes": {"a": {"address": "10.10.0.1"}}})
    told = value_of(first.mesh.ssh_private_key)
    assert told.startswith("-----BEGIN OPENSSH PRIVATE KEY-----")
    assert {*_opened_by(first).values()} == {keys.short_ssh_key(told)}


def test_commands_of_an_older_version_keep_the_form_that_they_have(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another text would have each of them run again."""
    mesh = {"cidr": "10.10.0.0/24", "nodes": {"a": {"address": "10.10.0.1"}}}
    with monkeypatch.context() as older:
        older.setattr(keys, "short_ssh_key", lambda key: key)
        first = run(mesh)
    assert {*_opened_by(first).values()} == {value_of(first.mesh.ssh_private_key)}
    assert _opened_by(run(mesh, existing=first)) == _opened_by(first)
    new_server = run(mesh, existing=first, replaced=["a-server"])
    assert {*_opened_by(new_server).values()} == {*_opened_by(first).values()}
