"""`mesh settle` against SSH servers that answer as agents do: who is told what, and what is said of it."""

import asyncio
import contextlib
import hashlib
import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from mesh.calls.reports import Report, parse_report
from mesh.cli.check import check_mesh, verdict, with_rotations
from mesh.cli.engine import CliError
from mesh.cli.results import as_json, bad
from mesh.cli.rotation import WHAT_HELPS, lines
from mesh.cli.settle import NodeRotation, refuse_unknown, settle_mesh
from mesh.cli.state import parse_state
from mesh.outputs import ClientOutputs, MeshOutputs, NodeOutputs
from tests.unit.cli.stack import (
    KEY,
    OUTPUTS,
    changed,
    command,
    document_of,
    exported,
    public_key,
    type_command,
)

WEB, DB = public_key("web"), public_key("db")
NO_WORD = "no word on port 51821"
DOCUMENTS = {"web-1": document_of({"db-1": (DB, "11")}), "db-1": document_of({"web-1": (WEB, "11")})}


@dataclass
class Agent:
    """A node: what it reports, its keys, and what it was told; `after` is its rotation once it is told."""

    name: str
    keys: str
    rotation: dict[str, Any] | None = None
    after: dict[str, Any] | None = None
    answer: str = "HELD db-1: no word on port 51821"
    code: int = 0
    told: list[dict[str, Any]] = field(default_factory=list)

    async def __call__(self, process: "asyncssh.SSHServerProcess[str]") -> None:
        line = process.command or ""
        if "wg show" in line:
            process.stdout.write(self.keys)
        elif "settle" in line:
            self.told.append(json.loads(await process.stdin.read()))
            process.stdout.write(f"{self.answer}\n")
            self.rotation = self.after
            process.exit(self.code)
            return
        else:
            process.stdout.write(json.dumps(self._report()))
        process.exit(0)

    def _report(self) -> dict[str, Any]:
        return {
            "agent": "ab",
            "current": hashlib.sha256(DOCUMENTS[self.name].encode()).hexdigest(),
            "differences": [],
            "peers": {},
            "rotation": self.rotation,
            "state": "idle",
            "trial": None,
        }


def rotating(peer: str, *, ago: float = 0, waits: str = NO_WORD) -> dict[str, Any]:
    pairs = {peer: {"route": "old", "waits": waits}, "other": {"route": "next", "waits": ""}}
    return {"phase": "both", "since": int(time.time() - ago), "pairs": pairs}


def web(**more: Any) -> Agent:
    """web-1 has its new key, and is through."""
    return Agent(name="web-1", keys=f"wg0\t{WEB}\n", **more)


def db(**more: Any) -> Agent:
    """db-1 waits for web-1."""
    keys = f"wg0\t{DB}\nwg0-next\t{DB}\n"
    return Agent(name="db-1", keys=keys, **{"rotation": rotating("web-1"), **more})


async def _with_nodes(agents: list[Agent], ask: Any) -> Any:
    async with contextlib.AsyncExitStack() as stack:
        nodes = {}
        for agent in agents:
            server = await asyncssh.listen(
                "127.0.0.1",
                0,
                server_host_keys=[KEY],
                authorized_client_keys=asyncssh.import_authorized_keys(KEY.export_public_key().decode()),
                process_factory=agent,
            )
            await stack.enter_async_context(server)
            nodes[agent.name] = _node(agent.name, server.get_port())
        mesh = MeshOutputs(nodes=nodes, unmade={}, ssh_private_key=OUTPUTS["ssh_private_key"])
        resources = [command(f"{name}-apply", document) for name, document in DOCUMENTS.items()]
        return await ask(mesh, parse_state(exported(*resources), list(nodes)))


def _node(name: str, port: int) -> NodeOutputs:
    return NodeOutputs(
        name=name,
        address="10.10.0.2",
        public_ip="127.0.0.1",
        public_key="as the outputs have it",
        host_key=KEY.export_public_key().decode(),
        enabled=True,
        ssh_port=port,
    )


def settle(*agents: Agent, without: tuple[str, ...] = (), patience: float = 0) -> list[NodeRotation]:
    def ask(mesh: Any, state: Any) -> Any:
        return settle_mesh(mesh, state, without=without, patience=patience)

    found: list[NodeRotation] = asyncio.run(_with_nodes(list(agents), ask))
    return found


def test_who_waits_is_told_who_has_finished_and_asked_again() -> None:
    waiting, through = db(), web()
    found = settle(waiting, through, patience=20)
    assert waiting.told == [{"format": 1, "settled": {"web-1": WEB}, "gone": []}]
    assert through.told == []
    assert bad(found) == []


def test_a_node_that_nobody_can_help_is_left_alone_and_named() -> None:
    waiting, other = db(), web(rotation=rotating("db-1", waits=""))
    found = settle(waiting, other)
    assert waiting.told == other.told == []
    assert bad(found) == ["db-1", "web-1"]
    said = list(lines({each.node: each.rotation for each in found}, time.time()))
    assert said == [
        f"db-1: keys: rotating, 1 of 2 pairs; db-1 waits for web-1: {NO_WORD}",
        "web-1: keys: rotating, 2 of 2 pairs",
    ]
    nodes = json.loads(as_json(found))["nodes"]
    assert nodes["db-1"]["rotation"]["pairs"]["web-1"] == {"route": "old", "waits": NO_WORD}


def test_a_node_that_is_given_up_is_told_to_the_others_alone() -> None:
    first, second = db(), web(rotation=rotating("db-1"))
    settle(first, second, without=("web-1",))
    assert first.told == [{"format": 1, "settled": {}, "gone": ["web-1"]}]
    assert second.told == []


@pytest.mark.parametrize(
    ("answer", "code", "said"),
    [
        ("SETTLED", 0, None),
        (f"HELD web-1: {NO_WORD}", 0, None),
        ("SETTLED", 1, "did not take the evidence (exit code 1: SETTLED)"),
        ("\x1b[2Jwhat?", 0, r"did not take the evidence (exit code 0: \x1b[2Jwhat?)"),
    ],
)
def test_what_an_agent_answers_is_read_and_anything_else_is_its_problem(
    answer: str, code: int, said: str | None
) -> None:
    found = settle(db(answer=answer, code=code), web())
    problem = found[0].problem
    assert (problem is None) if said is None else (said in str(problem))


def test_a_rotation_that_lingers_is_over() -> None:
    lingering = db(rotation={"phase": "linger", "since": 1, "pairs": {}})
    assert bad(settle(lingering, web(), patience=20)) == []
    assert lingering.told == []


def test_a_node_that_is_down_is_a_problem_and_the_others_are_told_nevertheless() -> None:
    waiting = db()

    async def ask(mesh: MeshOutputs, state: Any) -> list[NodeRotation]:
        down = _node("cache-1", 1)
        whole = MeshOutputs(
            nodes={**mesh.nodes, "cache-1": down}, unmade={}, ssh_private_key=mesh.ssh_private_key
        )
        return await settle_mesh(whole, state, patience=0)

    found = asyncio.run(_with_nodes([waiting, web()], ask))
    assert "cache-1" in bad(found)
    assert waiting.told[0]["settled"] == {"web-1": WEB}


def test_names_that_are_no_nodes_are_refused() -> None:
    laptop = ClientOutputs(
        name="laptop", address="10.10.0.9", enabled=True, mtu=1280, public_key="k", private_key=None, peers=()
    )
    mesh = MeshOutputs(
        nodes={"web-1": _node("web-1", 22)},
        unmade={"db-1": True},
        ssh_private_key="",
        clients={"laptop": laptop},
    )
    refuse_unknown(mesh, ["web-1", "db-1"])
    with pytest.raises(CliError, match="'web-9' is not a node of this stack; it has web-1, db-1"):
        refuse_unknown(mesh, ["web-9"])
    with pytest.raises(CliError, match="laptop is a client: no node waits for clients"):
        refuse_unknown(mesh, ["laptop"])


def test_a_rotation_is_no_drift_until_it_has_waited_for_ten_minutes() -> None:
    async def both(mesh: MeshOutputs, state: Any) -> Any:
        return await check_mesh(mesh, state)

    young = asyncio.run(_with_nodes([db(rotation=rotating("web-1", ago=500)), web()], both))
    assert bad(young) == []
    old = asyncio.run(_with_nodes([db(rotation=rotating("web-1", ago=700)), web()], both))
    assert bad(old) == ["db-1"]
    assert verdict(old) == "a rotation of keys waits for too long: db-1"
    assert list(lines({each.node: each.rotation for each in old}, time.time())) == [
        f"db-1: keys: rotating for 11 minutes, 1 of 2 pairs; db-1 waits for web-1: {NO_WORD}",
        WHAT_HELPS,
    ]
    settled = [NodeRotation(node="db-1"), NodeRotation(node="web-1")]
    assert bad(with_rotations(old, settled)) == []
    failed = [NodeRotation(node="db-1", rotation=old[0].rotation, problem="it said nothing")]
    (again, _) = with_rotations(old, failed)
    assert again.held
    assert again.problem == "it said nothing"


def test_an_agent_of_before_knows_no_rotation() -> None:
    report = Agent(name="web-1", keys="")._report()
    del report["rotation"]
    found: Report = parse_report(json.dumps(report))
    assert found.rotation is None
    assert list(lines({"web-1": found.rotation}, time.time())) == []


def test_many_that_are_waited_for_are_counted() -> None:
    pairs = {f"n-{number}": {"route": "old", "waits": NO_WORD} for number in range(9)}
    report = Agent(name="web-1", keys="", rotation={"phase": "both", "since": 1, "pairs": pairs})._report()
    (line, _) = lines({"web-1": parse_report(json.dumps(report)).rotation}, 2.0 + 10 * 60)
    assert line.startswith("web-1: keys: rotating for 10 minutes, 0 of 9 pairs; web-1 waits for n-0: no word")
    assert line.endswith("; and 4 more")


def test_a_name_that_is_no_nodes_is_refused_before_any_node_is_asked(tmp_path: Path) -> None:
    done = type_command(tmp_path, OUTPUTS, "settle", "--without", "web-9")
    assert done.returncode == 1
    assert done.stderr == "error: 'web-9' is not a node of this stack; it has web-1, db-1\n"


def test_a_mesh_without_nodes_that_take_part_is_settled(tmp_path: Path) -> None:
    outputs = changed(db_1={"enabled": False}, web_1={"enabled": False})
    done = type_command(tmp_path, outputs, "settle")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("no keys are being rotated on 0 nodes\n")
    found = json.loads(type_command(tmp_path, outputs, "settle", "--json").stdout)
    assert found["good"]
    assert found["nodes"]["db-1"]["rotation"] is None
