"""What a check of stack files comes to: lines for people and editors, JSON for programs."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from mesh.settings.problems import Instead
from mesh.stackfile.check import Report
from mesh.stackfile.document import Found

__all__ = ["as_json", "lines"]


def lines(report: Report) -> Iterator[str]:
    """Yield a line for each mistake and warning, `FILE:LINE:COLUMN: path: message`; one for a valid file."""
    for found in report.problems:
        yield _line(report.file, "", found)
    for found in report.warnings:
        yield _line(report.file, "warning: ", found)
    if report.settings is not None:
        nodes = len(report.settings.nodes)
        count = "1 node" if nodes == 1 else f"{nodes} nodes"
        yield f"{report.file}: valid, {count} in {report.settings.cidr}"


def as_json(reports: Sequence[Report]) -> str:
    """Return everything as JSON: `{"files": [{"file", "valid", "problems", "warnings"}]}`.

    A problem has `line`, `column`, `path`, `message`, and `instead`: every remedy that can be applied
    literally, as `{"value": ...}`, `{"key": "..."}` or `{"remove": true}`.
    """
    files = [
        {
            "file": report.file,
            "valid": report.valid,
            "problems": [_record(found) for found in report.problems],
            "warnings": [_record(found) for found in report.warnings],
        }
        for report in reports
    ]
    return json.dumps({"files": files}, indent=2, ensure_ascii=False)


def _line(file: str, kind: str, found: Found) -> str:
    return f"{file}:{found.mark.line}:{found.mark.column}: {kind}{found.path}: {found.message}"


def _record(found: Found) -> dict[str, Any]:
    return {
        "line": found.mark.line,
        "column": found.mark.column,
        "path": found.path,
        "message": found.message,
        "instead": [_remedy(remedy) for remedy in found.instead],
    }


def _remedy(remedy: Instead) -> dict[str, Any]:
    return {"remove": True} if remedy.kind == "remove" else {remedy.kind: remedy.write}
