import json
from pathlib import Path

from rich.console import Console

from mesh.calls.reports import Report, ReportedDifference, ReportedPair, ReportedRotation, parse_report
from mesh.cli.outputs import read_outputs
from mesh.cli.results import as_json
from mesh.cli.status import NodeStatus, table
from tests.unit.cli.stack import OUTPUTS, engine

REPORT = Report(agent="ab" * 32, current=None, differences=[], peers={}, state="idle", trial=None)


def test_before_its_first_commit_a_node_has_no_generation(tmp_path: Path) -> None:
    mesh = read_outputs(engine(tmp_path, OUTPUTS), None)
    console = Console(width=120)
    with console.capture() as printed:
        console.print(table(mesh, [NodeStatus(node="web-1", report=REPORT)]))
    (row,) = [line for line in printed.get().splitlines() if "web-1" in line]
    assert [cell.strip() for cell in row.split("│")[2:5]] == ["idle", "none", "ab" * 6]


def test_json_has_the_fields_that_the_node_gave() -> None:
    given = {**REPORT.model_dump(), "peers": {"key": {"handshake_age": None, "received": 1, "sent": 2}}}
    status = NodeStatus(node="web-1", report=parse_report(json.dumps({**given, "unknown": 1})))
    assert json.loads(as_json([status]))["nodes"]["web-1"]["report"] == given


def _rows(report: Report, nodes: int, tmp_path: Path) -> str:
    mesh = read_outputs(engine(tmp_path, OUTPUTS), None)
    console = Console(width=200)
    with console.capture() as printed:
        console.print(
            table(mesh, [NodeStatus(node=f"web-{number}", report=report) for number in range(nodes)])
        )
    return printed.get()


def test_how_far_a_rotation_of_keys_is_stands_beside_the_node(tmp_path: Path) -> None:
    pairs = {
        "db-1": ReportedPair(route="old", waits="no word on port 51821"),
        "db-2": ReportedPair(route="next", waits=""),
    }
    rotating = REPORT.model_copy(update={"rotation": ReportedRotation(phase="both", since=1e9, pairs=pairs)})
    lingering = REPORT.model_copy(update={"rotation": ReportedRotation(phase="linger", since=1e9, pairs={})})
    for nodes in (1, 9):
        assert _rows(rotating, nodes, tmp_path).count("rotating, 1 of 2 pairs") == nodes
        assert _rows(lingering, nodes, tmp_path).count("idle") == nodes
    differs = rotating.model_copy(
        update={"differences": [ReportedDifference(item="mtu", live="1400", wanted="1420")]}
    )
    assert "1 differences" in _rows(differs, 1, tmp_path)
