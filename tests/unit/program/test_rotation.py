"""A rotation as the engine sees it: two stashes around all nodes, and whom their hooks ask."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pulumi
import pytest

from mesh.names import STASH, MeshNames
from mesh.program import rotation
from mesh.program.access import plan_access
from mesh.program.former import former_names
from mesh.program.previous import Previous
from mesh.program.rotation import Rotation, plan_rotation
from mesh.program.settling import Answers, Dialled
from tests.unit.meshes import plan_of
from tests.unit.program.agents import Agent, Made, Way, dialled, nodes, rotating
from tests.unit.program.recording import Recording, is_secret, previous_of, run

NODES: dict[str, Any] = {"a": {"address": "10.10.0.1"}, "b": {"address": "10.10.0.2"}}


def _mesh(numbers: Any = None, nodes: Mapping[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    rotates = {} if numbers is None else {"rotation": numbers}
    own = {name: {**keys, **(nodes or {}).get(name, {})} for name, keys in NODES.items()}
    return {"cidr": "10.10.0.0/24", "nodes": own, **rotates, **more}


@pytest.fixture(scope="module")
def plain() -> Recording:
    return run(_mesh())


@pytest.fixture(scope="module")
def ready(plain: Recording) -> Recording:
    return run(_mesh({}), existing=plain)


def _versions(recording: Recording) -> dict[str, float]:
    return {
        name: recording[name].request.replacement_trigger.number_value
        for name in ("a-identity", "b-identity", "preshared-root", "a-host-key", "management-key")
    }


def _kept(recording: Recording, name: str) -> Any:
    return recording[name].inputs["input"]


def test_a_mesh_that_gets_rotation_has_two_stashes_more_and_keeps_its_keys(
    plain: Recording, ready: Recording
) -> None:
    assert ready.resources.keys() - plain.resources.keys() == {"generations", "rotation"}
    assert set(_versions(plain).values()) == set(_versions(ready).values()) == {1}
    assert {_kept(plain, "directory")["a"]["public_key"]} == {_kept(ready, "directory")["a"]["public_key"]}
    first = {"mesh": 1, "nodes": {}, "preshared": 1, "out": []}
    assert _kept(ready, "generations") == _kept(ready, "rotation") == first


def test_the_report_waits_for_no_node_and_nothing_for_the_report(ready: Recording) -> None:
    behind = {each.name for each in ready.resources.values() if "generations" in each.dependencies}
    assert behind == {"rotation"}
    assert not [each.name for each in ready.resources.values() if "rotation" in each.dependencies]
    assert ready["rotation"].dependencies == {"generations"}
    hooks = ready["rotation"].request.hooks
    assert [*hooks.before_create] == [*hooks.before_update] == [rotation.REPORT]


def test_two_meshes_of_a_stack_have_hooks_and_stashes_of_their_own() -> None:
    other = {"cidr": "10.20.0.0/24", "nodes": {"a": {"address": "10.20.0.1"}}, "rotation": {}}
    both = run(_mesh({}), beside={"office": other})
    assert [*both["office.rotation"].request.hooks.before_update] == [f"office.{rotation.REPORT}"]
    assert both["office.rotation"].dependencies == {"office.generations"}


@pytest.mark.parametrize(
    ("numbers", "own", "versions"),
    [
        ({"generation": 2}, {}, (2, 2, 1)),
        ({}, {"a": {"generation": 3}}, (3, 1, 1)),
        ({"generation": 2}, {"a": {"generation": 3}}, (4, 2, 1)),
        ({"preshared": 2}, {}, (1, 1, 2)),
    ],
)
def test_numbers_replace_the_keys_that_they_stand_for(
    ready: Recording, numbers: Any, own: Any, versions: Any
) -> None:
    found = _versions(run(_mesh(numbers, own), existing=ready))
    assert tuple(found.values()) == (*versions, 1, 1)


def test_a_preview_shows_the_rotation_in_two_rows_and_no_key(ready: Recording) -> None:
    preview = run(
        _mesh({"generation": 2}), existing=ready, preview=True, replaced=["a-identity", "b-identity"]
    )
    assert _kept(preview, "generations") == _kept(preview, "rotation") == {
        "mesh": 2, "nodes": {}, "preshared": 1, "out": []
    }  # fmt: skip
    assert is_secret(_kept(preview, "a-identity"))
    files = preview["b-apply"].inputs["stdin"]
    assert "PublicKey = <known after up>" in files
    assert "# NextPort = 51821" in files


def test_a_revoked_node_is_in_nobodys_files_and_its_own_stay(ready: Recording) -> None:
    revoked = run(_mesh({}, {"b": {"revoked": True}}), existing=ready)
    assert "# b\n" not in revoked["a-apply"].inputs["stdin"]
    assert "stdin" in revoked["b-apply"].request.ignoreChanges
    assert _kept(revoked, "generations")["revoked"] == {"b": 1}


def test_the_clouds_firewall_has_both_ports_as_one_range(plain: Recording, ready: Recording) -> None:
    def ports(recording: Recording) -> list[str]:
        rules = recording["firewall-private"].inputs["rules"]
        return [rule["port"] for rule in rules if rule["description"] == "WireGuard"]

    assert ports(plain) == ["51820"]
    assert ports(ready) == ["51820-51821"]
    moving = run(_mesh({}, port=4000), existing=ready)
    assert ports(moving) == ["4000-4001", "51820-51821"]
    assert ports(run(_mesh({}, port=4000), existing=run(_mesh({}, port=4000), existing=moving))) == [
        "4000-4001"
    ]


def test_devices_whose_nodes_get_other_keys_are_told_before(
    plain: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    monkeypatch.setattr(pulumi.log, "warn", lambda words, *_: told.append(words))
    devices = {
        "laptop": {"address": "10.10.0.200", "to": ["a"]},
        "phone": {"address": "10.10.0.201", "to": ["b"]},
        "tablet": {"address": "10.10.0.202", "to": ["a"], "enabled": False},
    }
    run(_mesh({}, {"a": {"generation": 2}}, clients=devices), existing=plain, preview=True)
    assert [words.partition(":")[0] for words in told if "configuration again" in words] == ["laptop"]
    told.clear()
    run(_mesh({"preshared": 2}, clients=devices), existing=plain, preview=True)
    assert [words.partition(":")[0] for words in told if "configuration again" in words] == ["laptop, phone"]


# ------------------------------------------------------------------ hooks


def _rotation(mesh: Any, existing: Recording | None) -> Rotation:
    plan, names = plan_of(mesh), MeshNames("mesh")
    before = previous_of(existing).of(names, former_names(plan))
    found = plan_rotation(names, plan, before, plan_access(plan, before))
    assert found is not None
    return found


def _args(had: Any) -> pulumi.ResourceHookArgs:
    old = None if had is None else {"input": had}
    return pulumi.ResourceHookArgs(urn="", id="", name="", type="", old_inputs=old)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The nodes that are asked, each time."""
    found: list[list[str]] = []

    async def ask(dialled: Mapping[str, Dialled], *_: Any, **__: Any) -> Any:
        found.append(sorted(dialled))
        return Answers(reports={}, silent={})

    monkeypatch.setattr(rotation, "look_ahead", ask)
    return found


@pytest.fixture
def in_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """The program runs for `up`, and not for a preview, which asks nobody."""
    monkeypatch.setattr(pulumi.runtime, "is_dry_run", lambda: False)


def _gate(mesh: Any, existing: Recording | None) -> None:
    _rotation(mesh, existing).require_settled()


@pytest.mark.usefixtures("in_up")
def test_the_gate_asks_nobody_where_no_key_is_replaced(ready: Recording, asked: list[list[str]]) -> None:
    _gate(_mesh({"generation": 2}), None)  # a new mesh
    _gate(_mesh({}), ready)
    _gate(_mesh({}, {"a": {"enabled": False}}), ready)
    _gate(_mesh({}, {"a": {"revoked": True, "generation": 2}}), ready)
    assert asked == []


@pytest.mark.usefixtures("in_up")
def test_the_gate_asks_the_nodes_that_take_part_and_exist(plain: Recording, asked: list[list[str]]) -> None:
    _gate(_mesh({"generation": 2}), plain)  # rotation comes with the first key that is replaced
    more = {**NODES, "c": {"address": "10.10.0.3"}}
    _gate(_mesh({"preshared": 2}) | {"nodes": more}, plain)
    _gate(_mesh({"generation": 2}, {"b": {"enabled": False}}), plain)
    assert asked == [["a", "b"], ["a", "b"], ["a"]]


def test_the_gate_dials_as_the_state_has_it(plain: Recording) -> None:
    rotates = _rotation(_mesh({"generation": 2}, port=4000, ssh={"port": 2222}), plain)
    found = rotates._as_before()["a"]
    connection = plain["a-apply"].inputs["connection"]["value"]
    assert found.node.public_ip == connection["host"]
    assert found.node.ssh_port == 22
    assert found.node.host_key == connection["hostKey"]
    private = connection["privateKey"]
    assert found.ssh_private_key == (private["value"] if is_secret(private) else private)
    assert found.ssh_private_key not in repr(rotates) + repr(found)


@pytest.mark.usefixtures("in_up")
def test_a_state_that_cannot_be_read_ends_the_run_before_a_key_is_made(plain: Recording) -> None:
    rotates = _rotation(_mesh({"generation": 2}), plain)
    unread = replace(rotates, before=Previous(unread="the engine is busy"))
    with pytest.raises(
        pulumi.RunError, match=r"the engine did not say what the state has \(the engine is busy"
    ):
        unread.require_settled()


@pytest.mark.usefixtures("in_up")
@pytest.mark.parametrize(("in_force", "asks"), [(2, False), (1, True)], ids=["seen in force", "never seen"])
def test_a_silent_node_counts_until_a_run_has_seen_the_keys_in_force(
    ready: Recording, monkeypatch: pytest.MonkeyPatch, *, in_force: int, asks: bool
) -> None:
    rotates = _rotation(_mesh({"generation": 3}), ready)
    numbers = {"mesh": 2, "nodes": {}, "preshared": 1, "out": []}
    records = {
        **rotates.before.records,
        (STASH, "generations"): {"input": numbers},
        (STASH, "rotation"): {"input": {**numbers, "mesh": in_force}},
    }
    silent = Answers(reports={}, silent={"b": "refuses connections"})

    async def look(*_: Any) -> Answers:
        return silent

    monkeypatch.setattr(rotation, "look_ahead", look)
    rotates = replace(rotates, before=replace(rotates.before, records=records))
    if asks:
        with pytest.raises(pulumi.RunError, match=r"b gives no answer \(refuses connections\)"):
            rotates.require_settled()
    else:
        rotates.require_settled()


def test_a_preview_asks_nobody(
    plain: Recording, asked: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pulumi.runtime, "is_dry_run", lambda: True)
    _gate(_mesh({"generation": 2}), plain)
    assert asked == []


@pytest.mark.usefixtures("in_up")
def test_the_gate_fails_while_the_nodes_are_not_done(
    plain: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    rotates = _rotation(_mesh({"generation": 2}), plain)

    async def look() -> None:
        async with nodes({"a": Agent(lambda _: rotating("a", b="no word"))}) as found:
            monkeypatch.setattr(Rotation, "_as_before", lambda _: found)
            await asyncio.to_thread(rotates.require_settled)

    with pytest.raises(pulumi.RunError, match="a waits for b"):
        asyncio.run(look())


@pytest.mark.parametrize(
    ("mesh", "had", "times"),
    [
        (_mesh({}), {"mesh": 1.0, "nodes": {}, "preshared": 1.0, "out": []}, 0),
        (_mesh({}, {"a": {"enabled": False}}), {"mesh": 1, "nodes": {}, "preshared": 1, "out": []}, 0),
        (_mesh({}), {"mesh": 1, "nodes": {}, "preshared": 1, "out": ["a"]}, 0),
        (_mesh({"generation": 2}), {"mesh": 1.0, "nodes": {}, "preshared": 1.0, "out": []}, 1),
        (_mesh({"generation": 2}), None, 1),
        (_mesh({"generation": 2}), {"mesh": 2, "nodes": {}, "preshared": 1, "out": ["a"]}, 1),
        (
            _mesh({"generation": 2}, {"a": {"enabled": False}}),
            {"mesh": 2, "nodes": {}, "preshared": 1, "out": []},
            0,
        ),
    ],
    ids=[
        "unchanged",
        "disabled",
        "back-before-any-rotation",
        "raised",
        "first",
        "back-after-one",
        "out-after-one",
    ],
)
def test_the_report_asks_where_keys_were_replaced_or_a_node_may_have_missed_that(
    ready: Recording, monkeypatch: pytest.MonkeyPatch, mesh: Any, had: Any, times: int
) -> None:
    began: list[dict[str, Any]] = []

    async def wait(dialled: Any, put: Any, *_: Any, port: int, what: str) -> None:
        began.append({"dialled": dict(dialled), "put": dict(put), "port": port, "what": what})

    monkeypatch.setattr(rotation, "wait_until_settled", wait)
    ways: dict[str, Any] = {name: Way() for name in NODES}
    made: dict[str, Any] = {name: Made() for name in NODES}
    made["b"].stdout = None  # its step failed
    asyncio.run(_rotation(mesh, ready).wait_and_report(ways, made, made)(_args(had)))
    assert len(began) == times
    if times:
        assert (began[0]["port"], began[0]["what"]) == (51821, "keys")
        assert began[0]["dialled"]["a"] == dialled_as(ways["a"])
        assert began[0]["put"]["a"].document == "files"
        assert began[0]["put"]["a"].public_key == "key"
        assert not began[0]["put"]["a"].canary
        assert began[0]["put"]["b"].document is None


def dialled_as(way: Way) -> Dialled:
    found = dialled("a", int(way.port), way.private_key)
    outputs = {"public_ip": way.address, "host_key": way.host_key}
    return Dialled(
        node=found.node.__class__(**{**vars(found.node), **outputs}), ssh_private_key=way.private_key
    )
