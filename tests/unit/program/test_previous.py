from types import SimpleNamespace
from typing import Any

import pulumi
import pytest

from mesh.names import MeshNames
from mesh.program.machines.hetzner.records import address_record, server_record
from mesh.program.previous import Previous, read_previous

_NODE = "urn:pulumi:test::wireguard-mesh::wireguard-mesh:index:Mesh$wireguard-mesh:index:Node"
STATE: dict[str, Any] = {
    "urn:pulumi:test::wireguard-mesh::pulumi:pulumi:Stack::wireguard-mesh-test": {
        "type": "pulumi:pulumi:Stack",
        "outputs": {"nodes": {"web-1": {"ssh_port": 22.0}}, "ssh_private_key": "secret"},
    },
    f"{_NODE}::web-1": {"type": "wireguard-mesh:index:Node"},
    f"{_NODE}::web-2": {"type": "wireguard-mesh:index:Node"},
    f"{_NODE}$hcloud:index/server:Server::web-1-server": {
        "type": "hcloud:index/server:Server",
        "outputs": {"serverType": "cx23", "userData": "secret"},
    },
    f"{_NODE}$hcloud:index/primaryIp:PrimaryIp::web-2-ip": {
        "type": "hcloud:index/primaryIp:PrimaryIp",
        "outputs": {"ipAddress": "192.0.2.7"},
    },
    f"{_NODE}$pulumi:index:Stash::web-3-identity": {
        "type": "pulumi:index:Stash",
        "outputs": {"input": "secret", "output": "secret"},
    },
    "urn:pulumi:test::wireguard-mesh::wireguard-mesh:index:Mesh::office": {
        "type": "wireguard-mesh:index:Mesh",
        "outputs": {"nodes": {"web-1": {"ssh_port": 2222.0}}},
    },
    f"{_NODE}$pulumi:index:Stash::office.web-1-identity": {
        "type": "pulumi:index:Stash",
        "outputs": {"input": "secret", "output": "secret"},
    },
}


def _read(monkeypatch: pytest.MonkeyPatch, answer: Any) -> Previous:
    def invoke(token: str, props: Any) -> Any:
        if isinstance(answer, Exception):
            raise answer
        if token == "pulumi:pulumi:readStackOutputs":
            assert props == {"name": "organization/wireguard-mesh/test"}
            return SimpleNamespace(value={"outputs": {"nodes": {}} if answer else {}})
        assert answer, "the engine cannot say what is in a stack that never had an update"
        assert token == "pulumi:pulumi:readStackResourceOutputs"
        assert props == {"stackName": "organization/wireguard-mesh/test"}
        return SimpleNamespace(value={"outputs": answer})

    monkeypatch.setattr(pulumi.runtime, "invoke", invoke)
    monkeypatch.setattr(pulumi, "get_organization", lambda: "organization")
    monkeypatch.setattr(pulumi, "get_project", lambda: "wireguard-mesh")
    monkeypatch.setattr(pulumi, "get_stack", lambda: "test")
    return read_previous()


def test_what_the_state_has_of_each_node_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    previous = _read(monkeypatch, STATE).of(MeshNames("mesh"))
    assert sorted(previous.nodes) == ["web-1", "web-2", "web-3"]
    assert server_record(previous, "web-1") == {"serverType": "cx23"}
    assert previous.node("web-1") == {"ssh_port": 22.0}
    assert address_record(previous, "web-2") == {"ipAddress": "192.0.2.7"}
    assert previous.node("web-9") == {}
    assert server_record(previous, "web-9") == {}
    assert previous.has("pulumi:index:Stash", "web-3-identity")
    assert previous.unread is None


def test_what_a_program_has_beside_the_mesh_is_no_part_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    beside = "urn:pulumi:test::shop::hcloud:index/server:Server::mail-server"
    found = {**STATE, beside: {"type": "hcloud:index/server:Server", "outputs": {"serverType": "cx23"}}}
    assert _read(monkeypatch, found) == _read(monkeypatch, STATE)
    nested = {
        urn.replace("::wireguard-mesh:", "::shop:index:Site$wireguard-mesh:"): each
        for urn, each in STATE.items()
    }
    assert sorted(_read(monkeypatch, nested).of(MeshNames("mesh")).nodes) == ["web-1", "web-2", "web-3"]


def test_each_mesh_of_a_stack_knows_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    previous = _read(monkeypatch, STATE).of(MeshNames("office"))
    assert previous.nodes == {"web-1": {"ssh_port": 2222.0}}
    assert previous.has("pulumi:index:Stash", "web-1-identity")
    assert not previous.has("pulumi:index:Stash", "web-3-identity")
    assert _read(monkeypatch, STATE).of(MeshNames("home")).records == {}


def test_no_secret_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "secret" not in repr(_read(monkeypatch, STATE))


def test_an_engine_that_cannot_say_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    previous = _read(monkeypatch, Exception("no backend client is available"))
    assert previous.nodes == {}
    assert previous.unread == "no backend client is available"


def test_a_stack_that_never_had_an_update_has_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    previous = _read(monkeypatch, {})
    assert previous == Previous()
