import json
from pathlib import Path

from rich.console import Console

from mesh.cli.outputs import read_outputs
from mesh.cli.reports import Report, parse_report
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
