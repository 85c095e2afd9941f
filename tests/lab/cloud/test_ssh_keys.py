"""SSH keys."""

import pytest

from tests.lab.cloud.world import LabCloud, public_key, refused, unique


def test_the_life_of_a_key(cloud: LabCloud) -> None:
    client, line = cloud.client, public_key()
    made = client.ssh_keys.create(name="me", public_key=f"{line} me@laptop", labels={"team": "net"})
    assert (made.name, made.labels, made.public_key) == ("me", {"team": "net"}, f"{line} me@laptop")
    assert len(made.fingerprint.split(":")) == 16
    assert client.ssh_keys.get_by_fingerprint(made.fingerprint).id == made.id
    changed = made.update(name="you", labels={})
    assert (changed.name, changed.labels, changed.fingerprint) == ("you", {}, made.fingerprint)
    assert client.ssh_keys.get_by_name("you").id == made.id
    made.delete()
    refused("not_found", lambda: client.ssh_keys.get_by_id(made.id))


def test_names_and_keys_are_unique(cloud: LabCloud) -> None:
    client, line = cloud.client, public_key()
    client.ssh_keys.create(name="one", public_key=line)
    by_name = refused("uniqueness_error", lambda: client.ssh_keys.create(name="one", public_key=public_key()))
    assert by_name.details == {"fields": [{"name": "name"}]}
    by_key = refused("uniqueness_error", lambda: client.ssh_keys.create(name="two", public_key=f"{line} x"))
    assert by_key.details == {"fields": [{"name": "public_key"}]}
    other = client.ssh_keys.create(name="two", public_key=public_key())
    refused("uniqueness_error", lambda: other.update(name="one"))
    assert other.update(name="two").name == "two"


@pytest.mark.parametrize(
    "line", ["", "ssh-ed25519", "ssh-ed25519 AAAA", "ssh-rsa !!!", "ssh-rsa AAAAC3NzaC1lZDI1NTE5AAAAIA=="]
)
def test_what_is_no_key_is_refused(cloud: LabCloud, line: str) -> None:
    error = refused(
        "invalid_input", lambda: cloud.client.ssh_keys.create(name=unique("key"), public_key=line)
    )
    assert error.details["fields"][0]["name"] == "public_key"


def test_servers_keep_the_key_they_were_made_with(cloud: LabCloud) -> None:
    key = cloud.client.ssh_keys.create(name="k", public_key=public_key())
    server = cloud.server(ssh_keys=[key])
    key.delete()
    server.rebuild(image=server.image).action.wait_until_finished()
    assert cloud.client.servers.get_by_id(server.id).status == "running"
