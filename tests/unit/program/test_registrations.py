import copy
import hashlib
import json
from itertools import pairwise
from typing import Any

import pytest
from google.protobuf import struct_pb2

from mesh.program.agent import AgentFile
from mesh.program.machines.hetzner.api import CloudAccess
from mesh.zipapp import pack_agent
from tests.unit.program.off import cloud_with_servers_off
from tests.unit.program.recording import Recording, Registration, is_secret, run

MESH: dict[str, Any] = {
    "cidr": "10.10.0.0/24",
    "nodes": {
        "web-1": {"address": "10.10.0.1", "public": ["tcp/443"]},
        "web-2": {"address": "10.10.0.2", "public": ["tcp/443"]},
        "db-1": {"address": "10.10.0.11", "location": "nbg1"},
    },
}
COMMANDS = ("keys", "apply")


@pytest.fixture(scope="module")
def three() -> Recording:
    return run(MESH)


def _of(count: int) -> Recording:
    return run(
        {"cidr": "10.10.0.0/24", "nodes": {f"n{i}": {"address": f"10.10.0.{i + 1}"} for i in range(count)}}
    )


def test_dependencies_grow_with_the_nodes_not_with_the_pairs() -> None:
    def total(count: int) -> int:
        return sum(len(each.dependencies) for each in _of(count).resources.values())

    two, four, eight = total(2), total(4), total(8)
    assert eight - four == 2 * (four - two)


def test_a_node_gives_the_state_at_most_so_many_bytes_beside_its_own_files_and_keys(three: Recording) -> None:
    """A command's inputs lie in the state twice, a stash's three times; secret ones a third longer."""
    given = {each.name: each.inputs for each in three.resources.values() if each.name.startswith("web-1-")}
    for own in ("web-1-keys", "web-1-apply"):
        del given[own]["stdin"]
    assert len(json.dumps([*given.values()])) < 11_000


def test_only_the_directory_waits_for_other_nodes(three: Recording) -> None:
    for each in three.resources.values():
        owners = {name for name in MESH["nodes"] for other in each.dependencies if other.startswith(name)}
        own = {name for name in MESH["nodes"] if each.name.startswith(name)}
        assert owners <= own or each.name == "directory", each.name


def test_urns_never_change() -> None:
    prefix = "urn:pulumi:test::wireguard-mesh::pulumi:pulumi:Stack$wireguard-mesh:index:Mesh"
    one = run({"cidr": "10.10.0.0/24", "nodes": {"a": {"address": "10.10.0.1"}}})
    assert sorted(each.urn.removeprefix(prefix) for each in one.resources.values()) == sorted(
        [
            "::mesh",
            "$pulumi:index:Stash::management-key",
            "$pulumi:index:Stash::preshared-root",
            "$pulumi:index:Stash::directory",
            "$hcloud:index/sshKey:SshKey::management",
            "$hcloud:index/firewall:Firewall::firewall-private",
            "$hcloud:index/placementGroup:PlacementGroup::spread-0",
            "$wireguard-mesh:index:Node::a",
            "$wireguard-mesh:index:Node$pulumi:index:Stash::a-identity",
            "$wireguard-mesh:index:Node$pulumi:index:Stash::a-host-key",
            "$wireguard-mesh:index:Node$pulumi:index:Stash::a-first-contact-key",
            "$wireguard-mesh:index:Node$hcloud:index/primaryIp:PrimaryIp::a-ip",
            "$wireguard-mesh:index:Node$hcloud:index/server:Server::a-server",
            "$wireguard-mesh:index:Node$command:remote:CopyToRemote::a-agent-file",
            "$wireguard-mesh:index:Node$command:remote:Command::a-keys",
            "$wireguard-mesh:index:Node$command:remote:Command::a-apply",
        ]
    )


def test_names_that_look_like_a_nodes_parts_do_not_collide() -> None:
    names = ["a", "a-agent", "a-host", "a-first-contact", "management", "preshared", "spread", "directory"]
    nodes = {name: {"address": f"10.10.0.{index}"} for index, name in enumerate(names, start=1)}
    run({"cidr": "10.10.0.0/24", "nodes": nodes})  # the monitor refuses a URN that comes twice


def test_keys_and_connections_are_secret_and_files_are_not(three: Recording) -> None:
    for node in MESH["nodes"]:
        for step in (*COMMANDS, "agent-file"):
            assert is_secret(three[f"{node}-{step}"].inputs["connection"])
        secret = {step: is_secret(three[f"{node}-{step}"].inputs["stdin"]) for step in COMMANDS}
        assert secret == {"keys": True, "apply": False}
        assert is_secret(three[f"{node}-server"].inputs["userData"])
        for stash in ("identity", "host-key", "first-contact-key"):
            assert is_secret(three[f"{node}-{stash}"].inputs["input"])
    assert is_secret(three["management-key"].inputs["input"])
    assert is_secret(three["preshared-root"].inputs["input"])
    assert not is_secret(three["directory"].inputs["input"])


def _secret_words(recording: Recording) -> set[str]:
    """Every secret of the run in the forms it could leak in."""
    words = set()
    for each in recording.of_type(":Stash"):
        value = each.inputs["input"]
        if is_secret(value):
            # of an OpenSSH key file the lines that hold the private half; of a WireGuard key all
            words |= {line for line in value["value"].splitlines() if not line.startswith("-----")}
    for each in recording.of_type(":Command"):
        if each.name.endswith("-keys"):
            words |= {part for part in each.inputs["stdin"]["value"].split('"') if len(part) == 44}
    return {word for word in words if len(word) > 20}


def test_no_secret_is_in_an_input_that_is_not_secret(three: Recording) -> None:
    words = _secret_words(three)
    assert len(words) > 20
    for each in three.resources.values():
        for text in each.plain():
            assert not [word for word in words if word in text], each.name


def test_commands_live_and_die_with_their_server(three: Recording) -> None:
    for node in MESH["nodes"]:
        server = f"{node}-server"
        server_id = three[f"{node}-apply"].inputs["triggers"]
        for step in (*COMMANDS, "agent-file"):
            each = three[f"{node}-{step}"]
            assert each.deleted_with == server
            assert each.inputs["triggers"] == server_id
            assert server in each.dependencies
            assert "delete" not in each.inputs
    assert len({three[f"{node}-apply"].inputs["triggers"][0] for node in MESH["nodes"]}) == 3


def test_steps_of_a_node_come_one_after_the_other(three: Recording) -> None:
    order = [
        "web-1-server",
        "web-1-agent-file",
        "web-1-keys",
        "web-1-apply",
    ]
    for before, after in pairwise(order):
        assert before in three[after].dependencies


def test_commands_keep_quiet_and_pin_the_host_key(three: Recording) -> None:
    for each in three.of_type(":Command"):
        assert each.inputs["logging"] == "none"
        assert each.inputs["addPreviousOutputInEnv"] is False
        assert len(each.inputs["create"]) < (80 if each.name.endswith("-apply") else 400)
    first = {"ecdsa-sha2-nistp256", 40}
    later = {"ssh-ed25519", 10}
    assert _dialled(three) == {"agent-file": first, "keys": first, "apply": later}
    again = run(MESH, existing=three)
    assert [*_dialled(again).values()] == [later] * 3, "so is a step that is replaced by hand"


def _dialled(recording: Recording) -> dict[str, set[Any]]:
    """By step, the kind of host key that a node is pinned to, and how often it is tried."""
    found: dict[str, set[Any]] = {}
    for node in MESH["nodes"]:
        for step in (*COMMANDS, "agent-file"):
            connection = recording[f"{node}-{step}"].inputs["connection"]["value"]
            kind = connection["hostKey"].partition(" ")[0]
            found.setdefault(step, set()).update({kind, connection["dialErrorLimit"]})
    return found


def test_a_new_agent_is_one_line_of_a_preview_and_leaves_the_secret_part_alone(
    three: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    newer = AgentFile(path="build/newer.pyz", sha256="ab" * 32)
    monkeypatch.setattr("mesh.program.mesh.agent_file", lambda: newer)
    after = run(MESH, existing=three)
    changed = _changed(three, after) - {
        (f"{node}-{step}", "connection") for node in MESH["nodes"] for step in ("agent-file", "keys")
    }
    steps = {("agent-file", "source"), ("keys", "create")}
    assert changed == {(f"{node}-{step}", key) for node in MESH["nodes"] for step, key in steps}
    assert "ab" * 32 in after["web-1-keys"].inputs["create"]


def _changed(before: Recording, after: Recording) -> set[tuple[str, str]]:
    """Each input of a resource that is another one than before, by the resource's name."""
    return {(name, key) for name, each in before.resources.items() for key in after[name].changed_since(each)}


def test_every_command_has_a_time_limit_on_the_node(three: Recording) -> None:
    """One that hangs there, or is stopped, ends all the same; the first one may have packages to install."""
    for each in three.of_type(":Command"):
        line = each.inputs["create"]
        if each.name.endswith("-keys"):
            assert line.startswith("exec timeout -s KILL 2520 sh -c ")
            assert line.count("timeout -s KILL 120 python3 ") == 2
        else:
            assert line.startswith("exec timeout -s KILL 120 ")


def test_a_step_that_has_nothing_to_do_keeps_the_connection_of_first_contact(three: Recording) -> None:
    """The state has the throw-away host key there. That alone is no reason to do the step again."""
    again = run(MESH, existing=three)
    assert _changed(three, again) == set()
    for node in MESH["nodes"]:
        for step in ("agent-file", "keys"):
            request = again[f"{node}-{step}"].request
            assert list(request.ignoreChanges) == ["connection"]
            work = ["source", "remotePath"] if step == "agent-file" else ["create", "stdin"]
            assert {*work} < {*request.replaceOnChanges}, "else it would be done over the former connection"
            was = three.state[three[f"{node}-{step}"].urn]["connection"]
            assert again.state[again[f"{node}-{step}"].urn]["connection"] == was
        assert list(again[f"{node}-apply"].request.ignoreChanges) == []


def test_a_step_with_work_gets_the_connection_of_today(
    three: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    nodes = {**MESH["nodes"], "web-3": {"address": "10.10.0.3", "public": ["tcp/443"]}}
    once = run(MESH, existing=three)
    added = run({**MESH, "nodes": nodes}, existing=once)
    newer = AgentFile(path="build/newer.pyz", sha256="ab" * 32)
    monkeypatch.setattr("mesh.program.mesh.agent_file", lambda: newer)
    agent = run(MESH, existing=once)
    for node in MESH["nodes"]:
        assert list(added[f"{node}-keys"].request.ignoreChanges) == []
        assert list(added[f"{node}-agent-file"].request.ignoreChanges) == ["connection"]
        for step in ("agent-file", "keys"):
            assert list(agent[f"{node}-{step}"].request.ignoreChanges) == []
    assert list(added["web-3-keys"].request.ignoreChanges) == [], "it is new"
    assert _dialled(added)["keys"] == {"ssh-ed25519", 10}
    settled = run({**MESH, "nodes": nodes}, existing=added)
    assert list(settled["web-1-keys"].request.ignoreChanges) == [], "the state has the connection of today"


def test_the_first_files_of_a_new_server_may_fail(three: Recording) -> None:
    """The engine keeps those of the former server in the state; the new one has lost its first host key."""
    before = Recording(resources={**three.resources}, state=copy.deepcopy(three.state))
    before.state[three["web-1-apply"].urn]["triggers"][0] = "gone"
    nodes = {**MESH["nodes"], "web-3": {"address": "10.10.0.3", "public": ["tcp/443"]}}
    added = run({**MESH, "nodes": nodes}, existing=before)
    connection = added["web-1-keys"].inputs["connection"]["value"]
    assert connection["hostKey"].startswith("ssh-ed25519 ")


def test_keys_that_a_start_file_kept_from_the_server_were_not_sent(three: Recording) -> None:
    before = Recording(resources={**three.resources}, state=copy.deepcopy(three.state))
    before.state[three["web-1-keys"].urn]["stdout"] = ""
    del before.state[three["web-1-apply"].urn]
    again = run(MESH, existing=before)
    connection = again["web-1-keys"].inputs["connection"]["value"]
    assert connection["hostKey"].startswith("ecdsa-sha2-nistp256 "), "the server has no other one"
    before.state[three["web-1-keys"].urn]["stdout"] = "STORED 3 keys"
    again = run(MESH, existing=before)
    assert again["web-1-keys"].inputs["connection"]["value"]["hostKey"].startswith("ssh-ed25519 ")


def test_a_node_that_has_told_its_key_alone_is_dialled_as_it_was_then() -> None:
    """By its port and management key, and by the host key that it has until its keys were sent."""
    mesh = {**MESH, "nodes": {**MESH["nodes"], "web-1": {**MESH["nodes"]["web-1"], "keySource": "node"}}}
    before = run(mesh)
    for step in COMMANDS:
        del before.state[before[f"web-1-{step}"].urn]
    after = run({**mesh, "ssh": {"port": 2222}}, existing=before, replaced=["management-key"])
    asked = before["web-1-own-key"].inputs["connection"]["value"]
    sent = after["web-1-keys"].inputs["connection"]["value"]
    for name in ("port", "privateKey", "hostKey"):
        assert sent[name] == asked[name], name
    assert after["web-1-apply"].inputs["connection"]["value"]["hostKey"].startswith("ssh-ed25519 ")


def test_a_new_server_is_met_again(three: Recording) -> None:
    before = Recording(resources={**three.resources}, state=copy.deepcopy(three.state))
    for step in (*COMMANDS, "agent-file"):
        before.state[three[f"web-1-{step}"].urn]["triggers"][0] = "gone"
    other = run(MESH, existing=before)
    for step in ("agent-file", "keys"):
        connection = other[f"web-1-{step}"].inputs["connection"]["value"]
        assert connection["hostKey"].startswith("ecdsa-sha2-nistp256 ")
        assert connection["dialErrorLimit"] == 40


def _with_step(before: Recording, step: str) -> Recording:
    """The same with a step of versions before on each node."""
    after = Recording(resources={**before.resources}, state=copy.deepcopy(before.state))
    for node in MESH["nodes"]:
        request = copy.deepcopy(before[f"{node}-keys"].request)
        request.name = f"{node}-{step}"
        former = Registration(before[f"{node}-keys"].urn.replace("-keys", f"-{step}"), request)
        after.state[former.urn] = struct_pb2.Struct()
        after.resources[request.name] = former
    return after


def test_first_contact_of_versions_before_goes_once_nothing_depends_on_it(three: Recording) -> None:
    """They had a step for it. Pulumi's engine would delete that under steps which a run leaves out."""
    before = _with_step(three, "bootstrap")
    before.state[before["web-1"].urn]["agent"] = hashlib.sha256(pack_agent()).hexdigest()
    for node in ("web-2", "db-1"):
        before.state[before[node].urn]["agent"] = "ab" * 32
    after = run(MESH, existing=before)
    kept = {name for name in after.resources if name.endswith("-bootstrap")}
    assert kept == {"web-2-bootstrap", "db-1-bootstrap"}
    for name in kept:
        assert {"connection", "create", "stdin"} <= {*after[name].request.ignoreChanges}
        assert after[name].dependencies == {name.replace("-bootstrap", "-server")}
    for each in after.resources.values():
        assert not kept & each.dependencies, each.name


def test_a_server_is_never_replaced_for_what_only_matters_at_birth(three: Recording) -> None:
    request = three["web-1-server"].request
    assert set(request.ignoreChanges) == {"userData", "sshKeys", "image", "placementGroupId"}
    assert request.deleteBeforeReplace


def test_keys_stay_until_their_version_changes(three: Recording) -> None:
    for each in three.of_type(":Stash"):
        if each.name != "directory":
            assert list(each.request.ignoreChanges) == ["input"]
            assert each.request.replacement_trigger.number_value == 1


def test_the_directory_holds_public_facts_alone(three: Recording) -> None:
    facts = three["directory"].inputs["input"]
    assert set(facts) == set(MESH["nodes"])
    assert set(facts["web-1"]) == {"address", "public_key", "endpoint"}
    assert facts["db-1"]["address"] == "10.10.0.11"
    assert facts["db-1"]["endpoint"].endswith(":51820")


def test_failed_commands_and_taken_names_are_answered(three: Recording) -> None:
    for each in three.resources.values():
        hooks = list(each.request.hooks.on_error)
        if ":remote:" in each.type:
            assert hooks == ["wireguard-mesh-reconnect"], each.name
        elif each.type.startswith("hcloud:"):
            assert hooks == ["wireguard-mesh-name-taken"], each.name
        else:
            assert hooks == []


def test_a_server_is_switched_on_before_anything_else_is_done_on_it(
    three: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    off, again = "off: will be started", "off again: will be started"
    assert not [name for name in three.resources if name.endswith("-power")], "nobody was off"
    with cloud_with_servers_off("test-web-1") as access:
        monkeypatch.setattr(CloudAccess, "configured", lambda: access)
        found = run(MESH, existing=three)
        twice = run(MESH, existing=found)
    power = found["web-1-power"]
    assert power.inputs["input"] == off
    assert list(power.request.hooks.before_update) == ["wireguard-mesh-power"]
    assert list(power.request.hooks.before_create) == ["wireguard-mesh-power"]
    assert power.deleted_with == "web-1-server"
    assert "web-1-power" in found["web-1-agent-file"].dependencies, "and all other steps come after that one"
    assert [name for name in found.resources if name.endswith("-power")] == ["web-1-power"]
    assert twice["web-1-power"].inputs["input"] == again
    with cloud_with_servers_off() as access:
        monkeypatch.setattr(CloudAccess, "configured", lambda: access)
        started = run(MESH, existing=twice)
    assert started["web-1-power"].inputs["input"] == again, "what was off once stays as it is"


def test_a_cloud_that_does_not_answer_leaves_it_to_the_state(
    three: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    with cloud_with_servers_off("test-web-1") as access:
        monkeypatch.setattr(CloudAccess, "configured", lambda: access)
        before = run(MESH, existing=three)
    before.state[before["web-1-server"].urn]["status"] = "off"
    before.state[before["web-2-server"].urn]["status"] = "off"
    later = run(MESH, existing=before)
    assert later["web-1-power"].inputs["input"] == "off: will be started"
    assert "web-2-power" not in later.resources


def test_the_cloud_never_limits_who_may_open_ssh(three: Recording) -> None:
    (rule,) = [rule for rule in three["firewall-tcp443"].inputs["rules"] if rule.get("port") == "22"]
    assert rule["sourceIps"] == ["0.0.0.0/0", "::/0"]
    assert [rule["port"] for rule in three["firewall-private"].inputs["rules"] if "port" in rule] == [
        "22",
        "51820",
    ]


def test_names_and_labels_make_a_lost_resource_findable(three: Recording) -> None:
    assert three["db-1-server"].inputs["name"] == "test-db-1"
    assert three["db-1-server"].inputs["labels"] == {
        "wireguard-mesh/stack": "test",
        "wireguard-mesh/node": "db-1",
    }
    for each in three.resources.values():
        if each.type.startswith("hcloud:"):
            assert each.inputs["name"].startswith("test-")
            assert each.inputs["labels"]["wireguard-mesh/stack"] == "test"


def test_the_older_step_stays_as_it_is_until_nothing_depends_on_it_any_more() -> None:
    """Pulumi's engine would delete it under steps that a run leaves out, and the state would be lost."""
    before = _with_step(run(MESH), "agent")
    before.state[before["web-1"].urn]["agent"] = "ab" * 32
    after = run(MESH, existing=before)
    kept = {name for name in after.resources if name.endswith("-agent")}
    assert kept == {"web-2-agent", "db-1-agent"}
    for name in kept:
        assert set(after[name].request.ignoreChanges) == set(after["web-2-agent"].request.ignoreChanges)
        assert {"connection", "create", "stdin", "triggers"} <= set(after[name].request.ignoreChanges)
        assert f"{name}-file" in after[name].dependencies
    for each in after.resources.values():
        assert not kept & each.dependencies, each.name


def test_a_state_may_have_both_older_steps(three: Recording) -> None:
    """Each is registered between what it needed and what needed it."""
    after = run(MESH, existing=_with_step(_with_step(three, "agent"), "bootstrap"))
    order = [*after.resources]
    for node in MESH["nodes"]:
        steps = [f"{node}-{step}" for step in ("bootstrap", "agent-file", "agent", "keys", "apply")]
        assert [name for name in order if name in steps] == steps


def test_a_second_run_asks_for_exactly_the_same(three: Recording) -> None:
    again = run(MESH, existing=three)
    assert again.resources.keys() == three.resources.keys()
    assert _changed(three, again) == set()
    for name, each in again.resources.items():
        assert each.dependencies == three[name].dependencies


def test_adding_a_node_changes_only_directory_keys_and_files_of_the_others(three: Recording) -> None:
    nodes = {**MESH["nodes"], "web-3": {"address": "10.10.0.3", "public": ["tcp/443"]}}
    after = run({**MESH, "nodes": nodes}, existing=three)
    changed = {name for name, _ in _changed(three, after)}
    assert changed == {"directory"} | {
        f"{node}-{step}" for node in MESH["nodes"] for step in ("keys", "apply")
    }
