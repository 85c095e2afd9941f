"""Keys that never leave the node: what is declared for them, and what becomes of the other kind."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pulumi
import pytest

from mesh.names import COMMAND, MeshNames
from mesh.program import rotation
from mesh.program.access import plan_access
from mesh.program.former import former_names
from mesh.program.generations import refuse_generations
from mesh.program.rotation import plan_rotation
from mesh.program.settling import Answers
from mesh.remote import read_own_key
from tests.unit.meshes import plan_of
from tests.unit.program.recording import Recording, is_secret, previous_of, run

OWN = {"keySource": "node"}


def _mesh(a: Any = (), b: Any = (), **more: Any) -> dict[str, Any]:
    nodes = {"a": {"address": "10.10.0.1", **dict(a)}, "b": {"address": "10.10.0.2", **dict(b)}}
    return {"cidr": "10.10.0.0/24", "nodes": nodes, **more}


ROTATES: dict[str, Any] = {"rotation": {}}


@pytest.fixture(scope="module", autouse=True)
def reached() -> Iterator[None]:
    """Every node answers when it is asked how far it is."""

    async def look(*_: Any) -> Answers:
        return Answers(reports={}, silent={})

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rotation, "look_ahead", look)
        yield


@pytest.fixture(scope="module")
def own() -> Recording:
    return run(_mesh(OWN, rollout={"canary": "b"}, **ROTATES))


@pytest.fixture(scope="module")
def kept() -> Recording:
    return run(_mesh(**ROTATES))


def _files(recording: Recording, node: str) -> str:
    return str(recording[f"{node}-apply"].inputs["stdin"])


def _key(recording: Recording, node: str = "a") -> Any:
    state = recording.state[recording[f"{node}-own-key"].urn]
    found = read_own_key(state["stdout"])
    assert found is not None
    return found


def _bundle(recording: Recording, node: str) -> Any:
    return json.loads(recording[f"{node}-keys"].inputs["stdin"]["value"])


def _failed(before: Recording, after: Recording, *names: str) -> Recording:
    """The state after a run in which these resources were not done."""
    state = dict(after.state)
    for name in names:
        urn = after[name].urn
        state[urn] = before.state[urn]
    return Recording(resources={**before.resources, **after.resources}, state={**before.state, **state})


def test_the_program_never_has_the_private_half(own: Recording) -> None:
    assert "a-identity" not in own.resources
    assert "b-own-key" not in own.resources
    assert _bundle(own, "a")["keys"] == _bundle(own, "b")["keys"][1:], "the pre-shared key of the pair"
    key = _key(own)
    assert f"# PrivateKey = key:{key.name}\n" in _files(own, "a")
    assert f"PublicKey = {key.public_key}\n" in _files(own, "b")
    assert own["directory"].inputs["input"]["a"]["public_key"] == key.public_key


def test_the_node_is_asked_before_the_directory_is_made_whoever_the_canary_is(own: Recording) -> None:
    asked = own["a-own-key"]
    assert asked.dependencies >= {"a-agent-file"}
    assert json.loads(asked.inputs["stdin"]) == {"format": 1, "generation": 1}
    assert asked.inputs["triggers"][1:] == [1.0]
    assert "a-own-key" in own["directory"].dependencies
    assert "a-own-key" in own["a-keys"].dependencies
    assert not {"b-apply", "directory"} & (own["a-agent-file"].dependencies | asked.dependencies)
    assert "b-apply" in own["a-keys"].dependencies, "the canary holds up all else"
    assert "sha256" not in asked.inputs["create"], "a new agent is no reason for a new key"


def test_a_higher_number_has_the_node_make_another_key_that_no_preview_knows(own: Recording) -> None:
    raised = _mesh({**OWN, "generation": 2}, **ROTATES)
    preview = run(raised, existing=own, preview=True, replaced=["a-own-key"])
    assert preview["a-own-key"].inputs["triggers"][1:] == [2.0]
    assert "# PrivateKey = key:<known after up>\n" in _files(preview, "a")
    assert "PublicKey = <known after up>\n" in _files(preview, "b")
    up = run(raised, existing=own)
    assert _key(up) != _key(own)
    assert f"PublicKey = {_key(up).public_key}\n" in _files(up, "b")
    assert run(raised, existing=up).state[up["b-apply"].urn] == up.state[up["b-apply"].urn]


def test_a_mesh_of_one_node_has_no_key_to_be_sent() -> None:
    alone = {"cidr": "10.10.0.0/24", "nodes": {"a": {"address": "10.10.0.1", **OWN}}}
    assert _bundle(run(alone), "a")["keys"] == []


def test_a_node_that_takes_no_part_is_left_alone(own: Recording) -> None:
    out = run(_mesh({**OWN, "enabled": False}, rotation={"generation": 2}), existing=own)
    assert {"triggers", "stdin"} <= {*out["a-own-key"].request.ignoreChanges}
    assert _key(out) == _key(own)
    back = run(_mesh(OWN, rotation={"generation": 2}), existing=out)
    assert _key(back) != _key(own)


def test_a_renamed_node_keeps_its_key(own: Recording) -> None:
    nodes = {"c": {"address": "10.10.0.1", "formerly": ["a"], **OWN}, "b": {"address": "10.10.0.2"}}
    renamed = run({"cidr": "10.10.0.0/24", "nodes": nodes, **ROTATES}, existing=own)
    assert _key(renamed, "c") == _key(own)


# ------------------------------------------------------------------ from one source to the other


def _told(mesh: Any, existing: Recording | None) -> list[str]:
    plan, names = plan_of(mesh), MeshNames("mesh")
    before = previous_of(existing).of(names, former_names(plan))
    return [str(problem) for problem in refuse_generations(plan, before, {})]


def test_another_source_needs_a_higher_number(kept: Recording, own: Recording) -> None:
    assert _told(_mesh(OWN, **ROTATES), None) == []
    assert _told(_mesh(OWN, **ROTATES), kept) == [
        (
            "mesh.nodes.a.keySource: node gives a another key, which a higher number has to say; write "
            "`generation: 2` beside, or write state"
        )
    ]
    assert _told(_mesh(**ROTATES), own) == [
        (
            "mesh.nodes.a.keySource: state gives a another key, which a higher number has to say; write "
            "`generation: 2` beside, or write node"
        )
    ]
    assert _told(_mesh({**OWN, "generation": 2}, **ROTATES), kept) == []
    assert _told(_mesh(OWN, rotation={"generation": 2}), kept) == []
    assert _told(_mesh({"generation": 2}, **ROTATES), own) == []


def test_another_source_is_refused_without_rotation_and_at_a_node_that_takes_no_part(kept: Recording) -> None:
    assert _told(_mesh(OWN), run(_mesh())) == [
        (
            "mesh.nodes.a.keySource: node gives a another key, and this mesh has no rotation of keys; add "
            "`rotation: {}` to the mesh and `generation: 2` to a, or write state"
        )
    ]
    assert _told(_mesh(), run(_mesh(OWN)))[0].startswith("mesh.nodes.a.keySource: state gives a another key")
    assert _told(_mesh({**OWN, "enabled": False, "generation": 2}, **ROTATES), kept) == [
        (
            "mesh.nodes.a.keySource: node gives a another key, and a takes no part; write state until a "
            "takes part again"
        )
    ]


def test_a_mesh_without_rotation_may_have_such_nodes_and_get_rotation_later() -> None:
    plain = run(_mesh(OWN))
    assert _told(_mesh(OWN, **ROTATES), plain) == []
    assert _key(run(_mesh(OWN, **ROTATES), existing=plain)) == _key(plain)


def test_a_source_that_a_run_did_not_come_to_use_is_not_taken_back_silently(kept: Recording) -> None:
    """The number says which key: one number for two keys would pass for no rotation."""
    begun = run(_mesh({**OWN, "generation": 2}, **ROTATES), existing=kept)
    assert _told(_mesh({"generation": 2}, **ROTATES), begun)[0].startswith("mesh.nodes.a.keySource: state")
    assert _told(_mesh({"generation": 3}, **ROTATES), begun) == []


def test_the_former_key_stays_declared_until_the_node_has_committed_the_other(kept: Recording) -> None:
    """Else the engine may delete what steps of the state depend on that were skipped."""
    mesh = _mesh({**OWN, "generation": 2}, **ROTATES)
    first = run(mesh, existing=kept)
    assert {"a-identity", "a-own-key"} <= first.resources.keys()
    assert "a-identity" not in first["a-keys"].dependencies | first["a-apply"].dependencies
    assert "a-identity" in run(mesh, existing=_failed(kept, first, "a-apply")).resources
    assert "a-identity" not in run(mesh, existing=first).resources


def test_so_does_the_step_in_which_the_node_made_its_key(own: Recording) -> None:
    mesh = _mesh({"generation": 2}, **ROTATES)
    first = run(mesh, existing=own)
    assert {"a-identity", "a-own-key"} <= first.resources.keys()
    assert {"create", "stdin", "triggers", "connection"} <= {*first["a-own-key"].request.ignoreChanges}
    assert "a-own-key" not in first["a-keys"].dependencies | first["directory"].dependencies
    assert is_secret(first["a-identity"].inputs["input"])
    assert "a-own-key" in run(mesh, existing=_failed(own, first, "a-apply")).resources
    assert "a-own-key" not in run(mesh, existing=first).resources


# ------------------------------------------------------------------ gate and report


def test_the_record_at_the_end_has_the_public_keys(own: Recording) -> None:
    assert own["generations"].inputs["input"]["own"] == ["a"]
    assert own["rotation"].inputs["input"]["own"] == {"a": _key(own).public_key}


def _rotation(mesh: Any, existing: Recording) -> Any:
    plan, names = plan_of(mesh), MeshNames("mesh")
    before = previous_of(existing).of(names, former_names(plan))
    return plan_rotation(names, plan, before, plan_access(plan, before))


@pytest.mark.parametrize(
    ("mesh", "refuses"),
    [
        (_mesh({**OWN, "generation": 2}, **ROTATES), True),
        (_mesh({**OWN, "generation": 2, "enabled": False}, {"generation": 2}, **ROTATES), False),
        (_mesh(OWN, {"generation": 2}, **ROTATES), False),
    ],
    ids=["makes another", "takes no part", "keeps its own"],
)
def test_no_key_is_replaced_while_a_node_that_must_make_its_own_is_silent(
    own: Recording, monkeypatch: pytest.MonkeyPatch, mesh: Any, *, refuses: bool
) -> None:
    monkeypatch.setattr(pulumi.runtime, "is_dry_run", lambda: False)

    async def look(*_: Any) -> Answers:
        return Answers(reports={}, silent={"a": "refuses connections"})

    monkeypatch.setattr(rotation, "look_ahead", look)
    found = _rotation(mesh, own)
    if not refuses:
        found.require_settled()
        return
    with pytest.raises(pulumi.RunError, match=r"make their keys themselves .* a \(refuses connections\)"):
        found.require_settled()


@pytest.mark.parametrize(
    ("had", "waits"),
    [({"a": "former"}, True), ({"a": "now"}, False), ({}, False), (None, False)],
    ids=["a server made anew", "the same key", "a new node", "no record"],
)
def test_the_report_waits_where_a_server_that_was_made_anew_has_made_another_key(
    own: Recording, monkeypatch: pytest.MonkeyPatch, had: Any, *, waits: bool
) -> None:
    began = []

    async def wait(*_: Any, **__: Any) -> None:
        began.append(1)

    monkeypatch.setattr(rotation, "wait_until_settled", wait)
    numbers = {"mesh": 1, "nodes": {}, "preshared": 1, "out": []}
    args = pulumi.ResourceHookArgs(
        urn="",
        id="",
        name="",
        type=COMMAND,
        old_inputs=None if had is None else {"input": {**numbers, "own": had}},
        new_inputs={"input": {**numbers, "own": {"a": "now"}}},
    )
    made: Any = {name: _Made() for name in "ab"}
    ways: Any = {name: _Way() for name in "ab"}
    asyncio.run(_rotation(_mesh(OWN, **ROTATES), own).wait_and_report(ways, made, made)(args))
    assert bool(began) is waits


class _Way:
    """What a run dials a node by."""

    address, port, host_key, private_key = "192.0.2.1", 22.0, "ssh-ed25519 A", "private"


class _Made:
    """A node and its commands, as a run has them."""

    def __init__(self) -> None:
        self.public_key = "key"
        self.apply = self
        self.stdout = "CONFIRMED"
        self.stdin = "files"
