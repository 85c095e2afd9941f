from collections.abc import Callable

import pulumi
import pytest

from mesh.names import MeshNames
from mesh.program.machines.hetzner.api import CloudAccess
from mesh.program.machines.hetzner.errors import cloud_answer, cloud_failed
from mesh.program.machines.hetzner.records import PLACEMENT_GROUP, SERVER
from mesh.program.previous import Previous
from tests.unit.program.failures import failed


def _answer(previous: Previous) -> Callable[[pulumi.ErrorHookArgs], bool]:
    return cloud_answer("s", MeshNames("mesh"), previous)


def test_a_taken_name_is_explained_and_not_retried(said: list[str]) -> None:
    args = failed(
        "server name is already used (uniqueness_error)",
        type_=SERVER,
        inputs={"name": "prod-web-1"},
    )
    assert not cloud_failed(args)
    assert "`hcloud server delete prod-web-1`" in said[0]


def test_several_taken_names_are_never_answered_by_advice_to_delete(said: list[str]) -> None:
    known = _answer(Previous(records={("pulumi:index:Stash", "management-key"): {}}))
    for answer in (_answer(Previous()), known):
        said.clear()
        for name in ("prod-web-1", "prod-web-2", "prod-db-1"):
            args = failed(
                "name is already used (uniqueness_error)",
                type_=SERVER,
                inputs={"name": name},
            )
            args.name = name
            assert not answer(args)
        assert all("delete prod" not in words for words in said[1:])
        assert "Delete nothing." in said[1]
    # one alone is what a stopped run leaves behind, where the state knows of runs before
    said.clear()
    assert not _answer(Previous(records={("a", "b"): {}}))(args)
    assert "`hcloud server delete prod-db-1`" in said[0]
    said.clear()
    assert not _answer(Previous())(args)
    assert "Delete nothing." in said[0]


@pytest.mark.parametrize("code", ["placement_error", "placement_group_member_limit_reached"])
def test_a_full_placement_group_is_explained(said: list[str], code: str) -> None:
    args = failed(f"group is full ({code})", type_=SERVER, inputs={"name": "prod-web-1"})
    assert not cloud_failed(args)
    assert said[0].startswith("prod-web-1: the placement group of this server is full")
    assert "an address from a block" in said[0]


def test_a_cloud_without_room_is_explained(said: list[str]) -> None:
    error = "error during placement (resource_unavailable)"
    assert not cloud_failed(failed(error, type_=SERVER, inputs={"name": "prod-web-1"}))
    assert said[0].startswith("prod-web-1: the cloud has no room for a server of this type in this location")


def test_a_placement_group_that_is_still_in_use_is_explained(said: list[str]) -> None:
    args = failed(
        "placement group is still in use (resource_in_use, 3f2a)", type_=PLACEMENT_GROUP, name="spread-1"
    )
    assert not cloud_failed(args)
    assert said[0].startswith("spread-1: the cloud will not delete this placement group")


@pytest.mark.parametrize(
    ("there", "said"),
    [
        (("s-web-1", "s-web-9"), "spread-1: the server s-web-9 is in this placement group, but this stack's"),
        (("s-web-1",), "spread-1: the cloud will not delete this placement group"),
    ],
)
def test_a_server_that_the_state_does_not_know_is_named_as_what_keeps_a_placement_group(
    monkeypatch: pytest.MonkeyPatch, there: tuple[str, ...], said: str
) -> None:
    heard: list[str] = []
    monkeypatch.setattr(pulumi.log, "error", heard.append)
    monkeypatch.setattr(
        "mesh.program.machines.hetzner.errors.servers_of_mesh", lambda _access, _stack, _names: there
    )
    known = Previous(nodes={"web-1": {}}, records={(SERVER, "web-1-server"): {"name": "s-web-1"}})
    args = failed("in use (resource_in_use)", type_=PLACEMENT_GROUP, name="spread-1")
    assert not _answer(known)(args)
    assert heard[0].startswith(said)


@pytest.mark.parametrize("kind", [SERVER, PLACEMENT_GROUP])
def test_a_server_that_is_gone_already_is_told_with_a_refresh(said: list[str], kind: str) -> None:
    args = failed("server with ID '4711' not found (not_found, 3f2a)", type_=kind, name="db-1-server")
    args.failed_operation = "delete"
    assert not cloud_failed(args)
    assert said[0].startswith("db-1-server: the cloud does not have this")
    assert "`pulumi destroy --refresh`" in said[0]


def test_any_other_error_of_the_cloud_is_left_as_it_is(said: list[str]) -> None:
    assert not cloud_failed(failed("resource_limit_exceeded", type_=SERVER))
    assert said == []


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ({"wireguard-mesh/stack": "prod-eu"}, "which belongs to the stack prod-eu. Delete nothing."),
        ({}, "which belongs to no stack. Delete nothing."),
        ({"wireguard-mesh/stack": "s"}, "most likely a run was stopped while it created this server"),
        (None, "most likely a run was stopped while it created this server"),
    ],
)
def test_a_name_that_somebody_else_has_is_never_called_a_leftover(
    monkeypatch: pytest.MonkeyPatch, labels: dict[str, str] | None, said: str
) -> None:
    heard: list[str] = []
    monkeypatch.setattr(pulumi.log, "error", heard.append)
    monkeypatch.setattr(CloudAccess, "configured", lambda: CloudAccess(token="t" * 64, endpoint=None))
    monkeypatch.setattr(
        "mesh.program.machines.hetzner.errors.labels_of", lambda _access, _kind, _name: labels
    )
    known = Previous(nodes={"db-1": {}}, records={(SERVER, "db-1-server"): {"name": "s-db-1"}})
    args = failed("server name is already used (uniqueness_error)", type_=SERVER, inputs={"name": "s-web-1"})
    assert not _answer(known)(args)
    assert said in heard[0]
    assert ("hcloud server delete" in heard[0]) == ("most likely" in said)
