"""What the state says of a server that is there already: how it is dialled, what goes, what is refused."""

import socket
from typing import Any

import asyncssh
import pulumi
import pytest

from mesh.names import BOOTSTRAP, COMMAND, LEAVE, MANAGEMENT_KEY, STASH, MeshNames
from mesh.plan import NodePlan, plan_mesh
from mesh.program import KINDS
from mesh.program.access import committed
from mesh.program.keys import short_ssh_key, ssh_key, ssh_public_line
from mesh.program.machines import Ahead
from mesh.program.machines.static import Static
from mesh.program.machines.static.contact import PART, meeting
from mesh.program.machines.static.first_key import trouble_with_key
from mesh.program.machines.static.model import fingerprint
from mesh.program.previous import Previous
from mesh.settings import SettingsError, parse_settings
from tests.unit.program.recording import PROJECT

KEYS = [
    " ".join(asyncssh.generate_private_key("ecdsa-sha2-nistp256").export_public_key().decode().split()[:2])
    for _ in range(2)
]
MANAGEMENT = ssh_key()
HOST_KEY = ssh_key()
NODE_TYPES = "wireguard-mesh:index:Mesh$wireguard-mesh:index:Node$command:remote:Command"
URN = f"urn:pulumi:dev::wireguard-mesh::{NODE_TYPES}::rack-leave"


def _node(**more: Any) -> NodePlan:
    node = {"address": "10.10.0.2", "provider": "static", "host": "203.0.113.7", "hostKey": KEYS[0], **more}
    return plan_mesh(parse_settings({"cidr": "10.10.0.0/24", "nodes": {"rack": node}}, kinds=KINDS)).nodes[
        "rack"
    ]


def _previous(*, host: str = "203.0.113.7", port: int = 22, part: str | None = PART) -> Previous:
    command = meeting(
        "ops", networks="10.10.0.0/24", management_key=ssh_public_line(MANAGEMENT), host_key="ssh-ed25519 A"
    )
    bootstrap = {
        "connection": {"host": host, "port": 2222.0, "user": "ops"},
        "create": command,
        "stdin": f"exit 97\n{HOST_KEY}",
        "triggers": [fingerprint(KEYS[0])],
    }
    leave = {"connection": {"host": host, "port": float(port), "user": "root"}}
    return Previous(
        nodes={"rack": {}},
        records={
            (COMMAND, f"rack-{BOOTSTRAP}"): bootstrap,
            (COMMAND, f"rack-{LEAVE}"): {**leave, "delete": part} if part else leave,
            (STASH, MANAGEMENT_KEY): {"output": MANAGEMENT},
        },
        urns={(COMMAND, f"rack-{LEAVE}"): URN},
    )


def test_after_first_contact_with_an_agent_the_meshs_key_opens_the_server_where_it_was_met() -> None:
    had = committed(_previous(), "rack")
    assert had is not None
    assert had.server == fingerprint(KEYS[0])
    assert had.ssh_ports == (2222,)
    assert had.management_keys == (ssh_public_line(MANAGEMENT),)
    assert had.private_keys == {ssh_public_line(MANAGEMENT): short_ssh_key(MANAGEMENT)}
    assert had.host_key == ssh_public_line(HOST_KEY)


def test_a_server_that_goes_is_said_to_stay() -> None:
    gone = Static().loss("rack", None, _previous())
    assert gone is not None
    assert gone.everything == "its server 203.0.113.7 runs `leave`, and is as it was before the mesh"
    dead = Static().loss("rack", None, _previous(part=None))
    assert dead is not None
    assert dead.everything == "nothing runs on its server 203.0.113.7, which keeps what the mesh put there"
    anew = Static().loss("rack", _node(hostKey=KEYS[1]), _previous())
    assert anew is not None
    assert "counts as installed anew" in anew.changes[0]
    assert Static().loss("other", None, _previous()) is None


def test_a_server_that_does_not_answer_when_it_goes_is_told_with_the_one_command(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pulumi.runtime, "is_dry_run", lambda: False)
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    previous = _previous(host="127.0.0.1", port=port)
    with pytest.raises(pulumi.RunError, match="rack leaves the mesh, but SSH does not answer") as error:
        Static().look_back(["rack", "web-1"], previous, MeshNames("mesh"))
    assert f"`pulumi state delete '{URN}'`" in str(error.value)
    assert "Nothing was changed" in str(error.value)
    Static().look_back([], previous, MeshNames("mesh"))
    Static().look_back(["rack"], _previous(host="127.0.0.1", port=port, part=None), MeshNames("mesh"))
    monkeypatch.setattr(pulumi.runtime, "is_dry_run", lambda: True)
    Static().look_back(["rack"], previous, MeshNames("mesh"))


def _look_ahead(node: NodePlan, previous: Previous) -> None:
    Static().look_ahead(
        Ahead(stack="dev", names=MeshNames("mesh"), nodes={"rack": node}, raw={}, previous=previous)
    )


def test_another_server_under_the_same_name_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSH_AUTH_SOCK", "/run/agent")
    _look_ahead(_node(host="203.0.113.8"), _previous())
    _look_ahead(_node(hostKey=KEYS[1]), _previous())
    with pytest.raises(SettingsError, match="this is another server than the one at 203"):
        _look_ahead(_node(host="203.0.113.8", hostKey=KEYS[1]), _previous())


def test_a_first_contact_without_a_login_does_not_begin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    monkeypatch.setattr(pulumi.runtime, "is_dry_run", lambda: False)
    with pytest.raises(SettingsError, match=r"mesh\.nodes\.rack: first contact needs your SSH agent"):
        _look_ahead(_node(), Previous())
    _look_ahead(_node(), _previous())


@pytest.mark.parametrize(
    ("value", "secret", "says"),
    [
        (None, False, f"has no {PROJECT}:firstKey"),
        (MANAGEMENT, False, "is plain text in the stack file, not a secret"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----\ncut", True, "is no private SSH key that can be read"),
        (MANAGEMENT, True, None),
    ],
)
def test_the_key_of_first_contact(
    value: str | None, *, secret: bool, says: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = f"{PROJECT}:firstKey"
    monkeypatch.setattr(pulumi, "get_project", lambda: PROJECT)
    monkeypatch.setattr(pulumi.Config, "get", lambda *_: value)
    monkeypatch.setattr(pulumi.runtime, "is_config_secret", lambda name: secret and name == key)
    found = trouble_with_key("firstKey")
    assert (found is None) if says is None else says in str(found)
    assert "PRIVATE" not in str(found)
