"""A report is JSON without surprises: the fields of docs/protocol.md, as programs have read them since."""

import json

from mesh.host.commands.report import IDLE, PendingTrial, Report
from mesh.host.difference import Difference
from mesh.host.live.interface import Traffic
from mesh.host.rotation.told import PairState, RotationReport
from mesh.host.trial.rollback import Rollback


def test_a_report_of_a_trial_has_all_fields() -> None:
    report = Report(
        version="1",
        agent="a" * 64,
        current="c" * 64,
        state="live",
        trial=PendingTrial("0123456789abcdef", "d" * 64, "live", 12.5),
        last_rollback=Rollback("fedcba9876543210", "e" * 64, "silence"),
        rotation=RotationReport(
            "both", 1_800_000_000.5, {"web-2": PairState("old", "no word on port 51821", "former key")}
        ),
        peers={"key": Traffic("192.0.2.1:51820", None, 1, 2, 25)},
        differences=[Difference("MTU", "1300", "1420")],
    )
    assert json.loads(report.as_json()) == {
        "version": "1",
        "agent": "a" * 64,
        "current": "c" * 64,
        "state": "live",
        "trial": {"txn": "0123456789abcdef", "digest": "d" * 64, "phase": "live", "seconds_left": 12.5},
        "last_rollback": {"txn": "fedcba9876543210", "digest": "e" * 64, "reason": "silence"},
        "rotation": {
            "phase": "both",
            "since": 1_800_000_000.5,
            "pairs": {"web-2": {"route": "old", "waits": "no word on port 51821", "former": "former key"}},
        },
        "peers": {
            "key": {
                "endpoint": "192.0.2.1:51820",
                "handshake_age": None,
                "received": 1,
                "sent": 2,
                "keepalive": 25,
            },
        },
        "differences": [{"item": "MTU", "live": "1300", "wanted": "1420"}],
    }


def test_a_host_before_its_first_commit_reports_nothing_as_null() -> None:
    told = json.loads(Report("1", "a" * 64, None, IDLE, None, None, None, {}, []).as_json())
    nothing = [told[name] for name in ("current", "trial", "last_rollback", "rotation")]
    assert (nothing, told["state"]) == ([None] * 4, "idle")
