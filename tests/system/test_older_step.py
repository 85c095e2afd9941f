"""A state with resources of their own for first contact and for the agent's installation.

They go once nothing depends on them.
"""

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.system.world import World

pytestmark = [pytest.mark.hosts, pytest.mark.long]

NODES = ("web-1", "web-2", "db-1")
UP = ("run", "up", "--yes", "--skip-preview")
AGENT = "/usr/local/lib/wgmesh/wgmesh.pyz"


def _older(state: dict[str, Any]) -> dict[str, Any]:
    """Return the state as versions wrote it that had a step for first contact, and one for the agent."""
    resources = []
    commands = {
        each["urn"].rpartition("::")[2]: each
        for each in state["deployment"]["resources"]
        if each["type"].startswith("command:")
    }
    for each in state["deployment"]["resources"]:
        node, _, step = each["urn"].rpartition("::")[2].rpartition("-")
        agent = f"{each['urn'].rpartition('::')[0]}::{node}-agent"
        if each["type"] == "wireguard-mesh:index:Node":
            each["outputs"].pop("agent")
        elif each["type"] == "command:remote:CopyToRemote":
            node = node.removesuffix("-agent")
            met = copy.deepcopy(commands[f"{node}-keys"])
            urn = f"{met['urn'].rpartition('::')[0]}::{node}-bootstrap"
            met |= {"urn": urn, "id": f"{node}-met0000", "dependencies": list(each["dependencies"])}
            met["propertyDependencies"].pop("stdin", None)
            for values in (met["inputs"], met["outputs"]):
                values |= {"create": "exec true", "stdin": "0" * 64}
            resources.append(met)
            for values in (each["inputs"], each["outputs"]):
                values["source"]["hash"] = "0" * 64
                values["connection"] = commands[f"{node}-apply"]["inputs"]["connection"]
            each["dependencies"].append(urn)
        elif each["type"] == "command:remote:Command" and step == "keys":
            installs = copy.deepcopy(each) | {"urn": agent, "id": f"{node}-agent0000"}
            installs["propertyDependencies"].pop("stdin", None)
            for values in (installs["inputs"], installs["outputs"]):
                values |= {"create": f"exec timeout -s KILL 120 python3 {AGENT} install", "stdin": "0" * 64}
            resources.append(installs)
            for values in (each["inputs"], each["outputs"]):
                values["create"] = f"exec timeout -s KILL 120 python3 {AGENT} keys"
                values["connection"] = commands[f"{node}-apply"]["inputs"]["connection"]
            each["dependencies"].append(agent)
        elif each["type"] == "command:remote:Command" and step == "apply":
            each["dependencies"].append(agent)
        resources.append(each)
    return {**state, "deployment": {**state["deployment"], "resources": resources}}


def _steps(world: World) -> dict[str, str]:
    """Return the command lines that the state has, by resource."""
    resources = world.json("stack", "export")["deployment"].get("resources") or []
    return {
        each["urn"].rpartition("::")[2]: each["inputs"].get("create", "")
        for each in resources
        if each["type"].startswith("command:")
    }


@pytest.fixture
def older(world: World) -> Iterator[World]:
    """Three nodes with the state of a version before, which had sent them another agent."""
    world.bring()
    for node in NODES:
        world.on(node, f"sed -i '1s/.*/{'0' * 64}/' /usr/local/lib/wgmesh/wgmesh.sha256")
    before = world.folder / "older.json"
    before.write_text(json.dumps(_older(world.json("stack", "export"))))
    world.ok("stack", "import", "--file", str(before))
    assert _of(*NODES) <= _steps(world).keys()
    yield world
    world.on("web-2", "systemctl start ssh", check=False)


def _of(*nodes: str) -> set[str]:
    return {f"{node}-{step}" for node in nodes for step in ("bootstrap", "agent")}


def _older_steps(world: World) -> set[str]:
    return {name for name in _steps(world) if name.endswith(("-agent", "-bootstrap"))}


def _whole(world: World) -> None:
    """No node has the step any more, and each has the agent and the keys by the new one."""
    assert _older_steps(world) == set()
    assert world.lab("run", "preview", "--expect-no-changes").code == 0
    check = world.command(".venv/bin/python", "-m", "mesh", "check")
    assert check.code == 0, check.out
    reach = world.reach()
    assert reach.code == 0, reach.out


def test_the_next_up_takes_two_connections_for_a_node_and_changes_no_files(older: World) -> None:
    look = "readlink /var/lib/wgmesh/current; stat -c %Y /var/lib/wgmesh/current; cat /etc/machine-id"
    before = {node: (older.on(node, look), older.ssh_connections(node)) for node in NODES}
    printed = older.up()
    assert "replaced" not in printed
    for node in NODES:
        assert older.on(node, look) == before[node][0]
        assert older.ssh_connections(node) - before[node][1] == 2, "the agent's file, keys"
        assert "incoming" not in older.on(node, "ls /usr/local/lib/wgmesh")
    assert _older_steps(older) == _of(*NODES), "the state names them until now"
    connections = {node: older.ssh_connections(node) for node in NODES}
    assert "6 deleted" in older.up()
    assert {node: older.ssh_connections(node) for node in NODES} == connections
    _whole(older)


def test_a_node_that_is_out_and_one_that_is_down_come_later(older: World) -> None:
    lines = _steps(older)
    older.edit_mesh(lambda mesh: mesh["nodes"]["db-1"].update(enabled=False))
    older.on("web-2", "systemctl stop ssh")
    for _ in range(2):
        run = older.lab(*UP, "--continue-on-error")
        assert run.code == 1, run.out
    assert _of("web-2", "db-1") <= _older_steps(older), "steps that were not done depend on them"
    older.on("web-2", "systemctl start ssh")
    for _ in range(2):
        older.up()
    now = _steps(older)
    assert _older_steps(older) == _of("db-1")
    assert now["db-1-keys"] == lines["db-1-keys"], "a node that is out keeps its commands"
    assert now["web-2-keys"] != lines["web-2-keys"]
    older.edit_mesh(lambda mesh: mesh["nodes"]["db-1"].pop("enabled"))
    for _ in range(2):
        older.up()
    _whole(older)


def test_a_part_of_the_nodes_comes_first(older: World) -> None:
    steps = _steps(older)
    urns = {
        name: each["urn"]
        for each in older.json("stack", "export")["deployment"]["resources"]
        if (name := each["urn"].rpartition("::")[2]) in steps
    }
    run = older.lab(*UP, "--target", urns["web-1-keys"])
    assert run.code == 1, run.out
    said = " ".join(run.out.split())
    assert f"name '{urns['web-1-agent-file']}' and '{urns['web-1-keys']}', too" in said, run.out
    older.ok(*UP[1:], "--target", urns["web-1-agent-file"], "--target", urns["web-1-keys"])
    now = _steps(older)
    assert now["web-1-keys"] != steps["web-1-keys"]
    assert now["web-2-keys"] == steps["web-2-keys"]
    for _ in range(2):
        older.up()
    _whole(older)


def test_down_leaves_nothing(older: World) -> None:
    run = older.lab("down")
    assert run.code == 0, run.out
    assert _steps(older) == {}
