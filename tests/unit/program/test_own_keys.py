"""Keys that never leave the node: what is declared for them, and what becomes of the other kind."""

import asyncio
import copy
from collections.abc import Iterator
from typing import Any

import pulumi
import pytest

from mesh.names import COMMAND, STASH, MeshNames
from mesh.program import rotation
from mesh.program.access import plan_access
from mesh.program.former import former_names
from mesh.program.generations import refuse_generations
from mesh.program.remedies import remedy
from mesh.program.rotation import plan_rotation
from mesh.program.settling import Answers
from mesh.remote import read_own_key, read_secret_input
from tests.unit.meshes import plan_of
from tests.unit.program.agents import Made, Way
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
    return read_secret_input(recording[f"{node}-keys"].inputs["stdin"]["value"])


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
    stdin = read_secret_input(asked.inputs["stdin"]["value"])
    assert stdin.keys() == {"format", "generation", "owner", "host_key"}
    assert stdin["generation"] == 1
    assert asked.inputs["triggers"][1:] == [1.0]
    assert "a-own-key" in own["directory"].dependencies
    assert "a-own-key" in own["a-keys"].dependencies
    assert not {"b-apply", "directory"} & (own["a-agent-file"].dependencies | asked.dependencies)
    again = run(_mesh(OWN, rollout={"canary": "b"}, **ROTATES), existing=own)
    assert "b-apply" in again["a-keys"].dependencies, "the canary holds up all else"
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


def test_another_source_is_refused_without_rotation() -> None:
    assert _told(_mesh(OWN), run(_mesh())) == [
        (
            "mesh.nodes.a.keySource: node gives a another key, and this mesh has no rotation of keys; add "
            "`rotation: {}` to the mesh and `generation: 2` to a, or write state"
        )
    ]
    assert _told(_mesh(), run(_mesh(OWN)))[0].startswith("mesh.nodes.a.keySource: state gives a another key")


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
    assert "made" not in own["generations"].inputs["input"]
    assert own["rotation"].inputs["input"]["made"] == {"a": _key(own).public_key}


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


@pytest.fixture
def began(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Each time that the report waits."""
    found: list[int] = []

    async def wait(*_: Any, **__: Any) -> None:
        found.append(1)

    monkeypatch.setattr(rotation, "wait_until_settled", wait)
    return found


def _report(mesh: Any, before: Recording, after: Recording) -> None:
    """Call the hook of the last stash as the engine does between two runs."""
    made: Any = {name: Made() for name in "ab"}
    ways: Any = {name: Way() for name in "ab"}
    args = pulumi.ResourceHookArgs(
        urn="",
        id="",
        name="",
        type=STASH,
        old_inputs=before["rotation"].inputs,
        new_inputs=after["rotation"].inputs,
    )
    asyncio.run(_rotation(mesh, before).wait_and_report(ways, made, made)(args))


def _on_former_servers(recording: Recording, *names: str) -> Recording:
    """The state of a mesh in which these nodes were on other servers, and had made other keys there."""
    found = copy.deepcopy(recording.state)
    made = {}
    for name in names:
        state = found[recording[f"{name}-own-key"].urn]
        state["triggers"][0] = "gone"
        state["stdout"] = f"MADE 1 {'0' * 16} {'A' * 43}="
        made[name] = "A" * 43 + "="
    found[recording["rotation"].urn]["input"]["made"].update(made)
    return Recording(resources=recording.resources, state=found)


def test_the_report_waits_where_a_server_that_was_made_anew_has_made_another_key(
    own: Recording, began: list[int]
) -> None:
    mesh = _mesh(OWN, **ROTATES)
    _report(mesh, own, run(mesh, existing=own))
    assert began == []
    before = _on_former_servers(own, "a")
    after = run(mesh, existing=before)
    assert f"PublicKey = {_key(own).public_key}\n" in _files(after, "b")
    _report(mesh, before, after)
    assert began == [1]


@pytest.mark.parametrize("makers", ["a", "ab"])
def test_a_new_server_that_was_not_met_at_once_is_waited_for_later(makers: str, began: list[int]) -> None:
    """Until then all others go on with the key of the former server, and with everything else."""
    mesh = _mesh(OWN, OWN if "b" in makers else {}, **ROTATES)
    up = run(mesh)
    before = _on_former_servers(up, "a")
    public = run({**mesh, "nodes": {**mesh["nodes"], "b": {**mesh["nodes"]["b"], "public": ["tcp/80"]}}},
                 existing=before, failed=["a-own-key"])  # fmt: skip
    assert public.broken == {"a-own-key", "a-keys", "a-apply"}
    assert f"PublicKey = {'A' * 43}=\n" in _files(public, "b")
    assert public["rotation"].inputs["input"]["made"]["a"] == "A" * 43 + "="
    state = {**before.state, **public.state}
    once = Recording(resources={**before.resources, **public.resources}, state=state)
    after = run(mesh, existing=once)
    _report(mesh, once, after)
    assert began == [1]


@pytest.mark.parametrize("failed", ["a-agent-file", "a-own-key"])
def test_a_node_that_is_down_holds_up_nobody_unless_it_has_to_make_a_key(own: Recording, failed: str) -> None:
    down = run(_mesh(OWN, {"public": ["tcp/80"]}, **ROTATES), existing=own, failed=[failed])
    assert not {name for name in down.broken if not name.startswith("a-")}
    assert "80" in _files(down, "b")
    raised = run(_mesh({**OWN, "generation": 2}, **ROTATES), existing=own, failed=[failed])
    assert {"directory", "b-apply"} <= raised.broken


def test_a_new_way_in_is_no_reason_to_ask_for_the_key_again(own: Recording) -> None:
    ignored = {*own["a-own-key"].request.ignoreChanges}
    assert {"connection", "create", "stdin", "environment"} <= ignored
    assert "triggers" not in ignored


def _silent(monkeypatch: pytest.MonkeyPatch) -> None:
    """In `up`, `a` gives no answer."""
    monkeypatch.setattr(pulumi.runtime, "is_dry_run", lambda: False)

    async def look(*_: Any) -> Answers:
        return Answers(reports={}, silent={"a": "refuses connections"})

    monkeypatch.setattr(rotation, "look_ahead", look)


def test_a_node_that_takes_part_again_and_must_make_a_key_is_asked_for_first(
    own: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That it comes back is a reason to overlook its rotation of before, and not its silence."""
    out = run(_mesh({**OWN, "enabled": False}, **ROTATES), existing=own)
    _silent(monkeypatch)
    with pytest.raises(pulumi.RunError, match=r"a \(refuses connections\)"):
        _rotation(_mesh(OWN, rotation={"generation": 2}), out).require_settled()


def test_a_run_that_failed_to_have_a_key_made_may_be_run_again_on_another_server(
    kept: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No other key is replaced by that: it is no reason to ask a server that may be dead."""
    mesh = _mesh({**OWN, "generation": 2}, **ROTATES)
    begun = run(mesh, existing=kept, failed=["a-own-key"])
    state = {**kept.state, **begun.state}
    begun = Recording(resources={**kept.resources, **begun.resources}, state=state)
    assert _told(mesh, begun) == []
    assert _told(_mesh({"generation": 2}, **ROTATES), begun) == [], "no node was told another key"
    out = run(_mesh({**OWN, "generation": 2, "enabled": False}, **ROTATES), existing=begun)
    assert "a-own-key" not in out.resources, "nobody dials a node that is out"
    assert "a-identity" in out.resources
    _silent(monkeypatch)
    _rotation(mesh, begun).require_settled()


def test_the_key_that_a_node_gives_up_stays_in_the_state_as_it_is_until_then(kept: Recording) -> None:
    mesh = _mesh({**OWN, "generation": 2}, **ROTATES)
    begun = run(mesh, existing=kept, failed=["a-own-key", "rotation"])
    assert begun["a-identity"].request.replacement_trigger.number_value == 1
    state = {**kept.state, **begun.state}
    again = run(mesh, existing=Recording(resources={**kept.resources, **begun.resources}, state=state))
    assert again["a-identity"].request.replacement_trigger.number_value == 1


def test_devices_are_told_of_a_server_that_makes_another_key(
    own: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    monkeypatch.setattr(pulumi.log, "warn", lambda words, *_: told.append(words))
    devices = {
        "laptop": {"address": "10.10.0.200", "to": ["a"]},
        "phone": {"address": "10.10.0.201", "to": ["b"]},
    }
    mesh = _mesh(OWN, clients=devices, **ROTATES)
    run(mesh, existing=own)
    assert told == []
    run(mesh, existing=own, preview=True, replaced=["a-server", "a-own-key"])
    run(mesh, existing=_on_former_servers(own, "a"))
    told = [words for words in told if "makes another key" in words]
    assert [words.partition(":")[0] for words in told] == ["laptop", "laptop"]
    assert "the server of a is made anew" in told[0]


def test_a_node_that_has_told_nothing_is_asked_again_by_a_command_that_is_named(own: Recording) -> None:
    mute = copy.deepcopy(own.state)
    mute[own["a-own-key"].urn]["stdout"] = ""
    with pytest.raises(pulumi.RunError, match=r"not told .* `pulumi up --replace 'urn:.*a-own-key'"):
        run(_mesh(OWN, **ROTATES), existing=Recording(resources=own.resources, state=mute))


def test_a_node_that_has_lost_its_key_is_told_apart_from_one_that_was_not_sent_its_keys() -> None:
    said = "KEYS-MISSING key:00, this node's private key, is not in /var/lib/wgmesh/keys: send the keys"
    args = pulumi.ErrorHookArgs(
        urn=f"urn:pulumi:x::y::z${COMMAND}::web-1-apply", id="", name="web-1-apply", type=COMMAND,
        errors=[said], failed_operation="update",
    )  # fmt: skip
    assert "`mesh rotate web-1`" in (remedy(args, makers={"web-1"}) or "")
    assert "Send them again" in (remedy(args, makers={"web-2"}) or "")
