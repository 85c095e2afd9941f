"""What is told of many nodes, of long names and of nodes that are off fits a terminal of 80 columns."""

import errno
import json
from pathlib import Path
from typing import Any

import asyncssh
import pytest
from rich.console import Console

from mesh.calls.reports import Peer, Report, ReportedPair, ReportedRotation
from mesh.calls.trouble import in_words
from mesh.cli.reach import Reach
from mesh.cli.reach_table import as_json, lost_in_words, table
from mesh.cli.status import NodeStatus
from mesh.cli.status import table as status_table
from mesh.outputs import MeshOutputs, NodeOutputs
from tests.unit.cli.stack import OUTPUTS, type_command
from tests.unit.cli.test_reach import VIA, mesh

__all__ = ["mesh"]


def _mesh(names: list[str]) -> MeshOutputs:
    nodes = {
        name: NodeOutputs(
            name=name,
            address=f"10.10.0.{index}",
            public_ip="192.0.2.1",
            public_key=f"key of {name}",
            host_key="",
            enabled=True,
            ssh_port=22,
        )
        for index, name in enumerate(names, 1)
    }
    return MeshOutputs(nodes=nodes, unmade={}, ssh_private_key="")


def _reach(names: list[str], *silent: str) -> Reach:
    pairs = {(a, b): None if b in silent or a in silent else 1.5 for a in names for b in names if a != b}
    return Reach(pairs=pairs, problems={})


def _printed(renderable: Any, width: int = 80) -> str:
    console = Console(width=width)
    with console.capture() as printed:
        console.print(renderable)
    return printed.get()


@pytest.mark.parametrize("count", [2, 3, 6, 9, 30, 100])
@pytest.mark.parametrize(
    "name", ["kube-worker-{}", "n-{}", "a-name-of-forty-eight-characters-which-is-long-{}"]
)
def test_every_name_is_whole_and_no_line_is_wider_than_the_terminal(count: int, name: str) -> None:
    names = [name.format(index)[-48:] for index in range(count)]
    lost = names[-1]
    text = _printed(table(_mesh(names), _reach(names, lost), width=80))
    assert max(map(len, text.splitlines())) <= 80
    assert "…" not in text
    cells = [line.split("│")[1].strip() for line in text.splitlines() if line.startswith("│")]
    written = "".join(cells).replace(" ", "")
    assert all(each in written for each in names)


def test_few_nodes_are_a_table_and_many_a_line_each() -> None:
    few, many = [f"n-{index}" for index in range(4)], [f"node-{index}" for index in range(30)]
    assert "n-3\n" not in _printed(table(_mesh(few), _reach(few)))
    assert "10.10.0.4" in _printed(table(_mesh(few), _reach(few)))
    text = _printed(table(_mesh(many), _reach(many, "node-7")))
    (row,) = [line for line in text.splitlines() if line.startswith("│ node-3 ")]
    assert "28/29" in row
    assert "node-7" in row


def test_a_node_that_nobody_reaches_is_one_line() -> None:
    names = ["web-1", "web-2", "db-1", "db-2"]
    assert lost_in_words(_reach(names, "db-2")) == (
        "db-2 answers no node (6 of 12 pairs lost); all other pairs answer"
    )
    assert (
        lost_in_words(_reach(names, "db-1", "db-2"))
        == "db-1 and db-2 answer no node (10 of 12 pairs lost); all other pairs answer"
    )


def test_pairs_that_follow_no_pattern_are_listed() -> None:
    names = ["web-1", "web-2", "db-1"]
    reach = _reach(names)
    reach = Reach(pairs={**reach.pairs, ("web-1", "db-1"): None}, problems={})
    assert lost_in_words(reach) == "no answer: web-1 -> db-1"
    alone = Reach(pairs=dict.fromkeys(reach.pairs), problems={})
    assert lost_in_words(alone).startswith("no answer: web-1 -> web-2, ")


def test_pairs_beside_a_node_that_is_off_are_not_hidden() -> None:
    names = ["a", "b", "c", "d"]
    reach = _reach(names, "d")
    reach = Reach(pairs={**reach.pairs, ("a", "b"): None}, problems={})
    assert lost_in_words(reach) == "d answers no node; no answer: a -> b (7 of 12 pairs lost)"


def test_reach_as_json(mesh: MeshOutputs, tmp_path: Path) -> None:
    (tmp_path / "answers").write_text("web-1 10.10.0.11\n")
    result = type_command(tmp_path, OUTPUTS, "reach", "--via", VIA, "--rounds", "1", "--json")
    assert result.returncode == 1
    found = json.loads(result.stdout)
    assert found["good"] is False
    assert found["pairs"] == {"web-1": {"db-1": 0.5}, "db-1": {"web-1": None}}
    assert json.loads(as_json(_reach(["a", "b"])))["good"] is True


def _report(ages: dict[str, int | None]) -> Report:
    return Report(
        agent="ab" * 32,
        current="cd" * 32,
        differences=[],
        peers={name: Peer(handshake_age=age, received=1, sent=1) for name, age in ages.items()},
        state="idle",
        trial=None,
    )


def test_ages_are_readable_and_red_when_a_session_is_over() -> None:
    report = _report({"key of b": 119, "key of c": 7384, "key of d": 200_000, "key of e": None})
    grid = status_table(_mesh(["a", "b", "c", "d", "e"]), [NodeStatus(node="a", report=report)])
    cells = list(grid.columns[5].cells)
    assert cells == ["119 s ago", "[red]2 h ago[/red]", "[red]2 d ago[/red]", "[red]never[/red]"]


def test_a_peer_that_is_waited_for_is_named_by_the_key_it_had_before() -> None:
    pairs = {
        "b": ReportedPair(route="old", waits="no word", former="former key of b"),
        "stranger": ReportedPair(route="old", waits="no word", former="key of nobody"),
    }
    rotation = ReportedRotation(phase="both", since=0.0, pairs=pairs)
    report = _report({"former key of b": 20, "key of nobody": 20})
    report = report.model_copy(update={"rotation": rotation})
    grid = status_table(_mesh(["a", "b"]), [NodeStatus(node="a", report=report)])
    assert [str(cell) for cell in grid.columns[4].cells] == ["b", "key of nobody"]


def _quiet(node: str, other: str, keepalive: int | None) -> NodeStatus:
    peers = {f"key of {other}": Peer(handshake_age=7384, received=1, sent=1, keepalive=keepalive)}
    return NodeStatus(node=node, report=_report({}).model_copy(update={"peers": peers}))


@pytest.mark.parametrize(
    ("one", "other", "red"),
    [(0, 0, False), (25, 0, True), (0, 25, True), (0, None, True), (None, None, True)],
)
def test_an_old_session_is_no_news_where_neither_end_sends_keepalives(
    one: int | None, other: int | None, *, red: bool
) -> None:
    grid = status_table(_mesh(["a", "b"]), [_quiet("a", "b", one), _quiet("b", "a", other)])
    wanted = "[red]2 h ago[/red]" if red else "2 h ago"
    assert [*grid.columns[5].cells] == [wanted] * 2


def test_of_many_nodes_the_one_that_is_named_is_one_that_should_be_heard() -> None:
    names = [f"node-{index}" for index in range(12)]
    peers = {
        "key of node-1": Peer(handshake_age=9000, received=1, sent=1, keepalive=0),
        "key of node-2": Peer(handshake_age=300, received=1, sent=1, keepalive=25),
    }
    first = NodeStatus(node="node-0", report=_report({}).model_copy(update={"peers": peers}))
    back = {"key of node-0": Peer(handshake_age=9000, received=1, sent=1, keepalive=0)}
    second = NodeStatus(node="node-1", report=_report({}).model_copy(update={"peers": back}))
    rest = [NodeStatus(node=name, problem="is off") for name in names[2:]]
    grid = status_table(_mesh(names), [first, second, *rest])
    assert [*grid.columns[4].cells][:2] == ["node-2 [red]5 min ago[/red]", "node-0 2 h ago"]
    assert [*grid.columns[3].cells][:2] == ["[red]0/2[/red]", "0/1"]


def test_the_status_of_many_nodes_is_a_line_each() -> None:
    names = [f"node-{index}" for index in range(12)]
    ages: dict[str, int | None] = {f"key of {name}": 20 for name in names[1:]}
    ages["key of node-7"] = 9000
    found = [NodeStatus(node=name, report=_report(ages)) for name in names[:-1]]
    text = _printed(status_table(_mesh(names), [*found, NodeStatus(node="node-11", problem="is off")]))
    rows = [line for line in text.splitlines() if line.startswith("│")]
    assert len(rows) == 12
    assert "10/11" in rows[0]
    assert "node-7 2 h ago" in rows[0]
    assert "no report" in rows[-1]
    assert max(map(len, text.splitlines())) <= 80


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (
            OSError(errno.ENETUNREACH, "Connect call failed ('192.0.2.1', 22)"),
            "192.0.2.1 does not answer on port 22",
        ),
        (
            OSError(errno.EHOSTUNREACH, "Connect call failed ('192.0.2.1', 22)"),
            "192.0.2.1 does not answer on port 22",
        ),
        (
            OSError("Multiple exceptions: [Errno 101] Connect call failed, [Errno 113] x"),
            "192.0.2.1 does not answer",
        ),
        (ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"), "192.0.2.1 cut the connection"),
        (asyncssh.ConnectionLost("Connection lost"), "192.0.2.1 closed the connection before it answered"),
        (
            asyncssh.PermissionDenied("Permission denied"),
            "192.0.2.1 does not accept this stack's SSH key for root",
        ),
        (OSError(errno.EMFILE, "Too many open files"), "192.0.2.1: too many open files"),
    ],
)
def test_an_error_of_a_connection_is_words_and_no_number(error: Any, says: str) -> None:
    words = in_words(error, "192.0.2.1", 22)
    assert words.startswith(says)
    assert "rrno" not in words
    assert "Connect call" not in words
