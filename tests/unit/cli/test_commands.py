"""`check` and `status` as an operator types them, where no node has to be asked."""

import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.unit.cli.stack import REPOSITORY, UNKNOWN, changed, generations, type_command

OUT = {"enabled": False}


@pytest.mark.parametrize("command", ["check", "status"])
def test_a_node_that_is_not_enabled_is_shown_as_such_and_not_bad(tmp_path: Path, command: str) -> None:
    outputs = changed(web_1=OUT, db_1={**OUT, "public_ip": UNKNOWN})
    shown = type_command(tmp_path, outputs, command)
    assert shown.returncode == 0, shown.stderr
    assert "web-1: not enabled\ndb-1: not enabled\n" in shown.stdout
    told = json.loads(type_command(tmp_path, outputs, command, "--json").stdout)
    assert told["good"]
    assert [told["nodes"][node]["enabled"] for node in ("web-1", "db-1")] == [False, False]


@pytest.mark.parametrize("command", ["check", "status"])
def test_a_node_that_was_never_made_is_bad_and_named(tmp_path: Path, command: str) -> None:
    outputs = changed(web_1=OUT, db_1={"public_ip": UNKNOWN})
    shown = type_command(tmp_path, outputs, command)
    assert shown.returncode == 1
    assert "db-1: not made yet: run `up` again\n" in shown.stdout
    assert shown.stderr.endswith(": db-1\n")
    told = json.loads(type_command(tmp_path, outputs, command, "--json").stdout)
    assert not told["good"]
    assert [told["nodes"][node]["good"] for node in ("web-1", "db-1")] == [True, False]


TODAY = datetime.now(UTC).date().isoformat()
NEW = {"nodes": {"web-1": TODAY, "db-1": TODAY}, "preshared": TODAY, "ssh": TODAY}
OLD = {"nodes": {"web-1": "2020-01-01", "db-1": "2020-02-01"}, "preshared": "2020-01-01", "ssh": "2020-01-01"}


def test_check_warns_of_old_keys_and_calls_them_no_drift(tmp_path: Path) -> None:
    more = [generations(maxAge=90, dates=OLD, out=["db-1"])]
    outputs = changed(web_1=OUT, db_1=OUT)
    shown = type_command(tmp_path, outputs, "check", more=more)
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.endswith(
        "warning: keys are older than 90 days (rotation.maxAge): identity of web-1 (made 2020-01-01); "
        "pre-shared keys (made 2020-01-01); SSH keys (made 2020-01-01). For other keys, run `mesh rotate` "
        "and `mesh rotate --preshared --ssh`, then `pulumi up` (docs/rotation.md).\n"
        "all 0 nodes match the stack\n"
    )
    printed = type_command(tmp_path, outputs, "check", "--json", more=more)
    assert printed.returncode == 0
    told = json.loads(printed.stdout)
    assert told["good"]
    assert told["old_keys"]["nodes"] == {"web-1": "2020-01-01"}
    assert told["old_keys"]["rotate"] == [[], ["--preshared", "--ssh"]]
    assert f"warning: {told['old_keys']['told']}\n" in shown.stdout


def test_check_warns_of_old_keys_beside_nodes_that_are_bad(tmp_path: Path) -> None:
    shown = type_command(
        tmp_path,
        changed(web_1=OUT, db_1={"public_ip": UNKNOWN}),
        "check",
        more=[generations(maxAge=1, dates=OLD)],
    )
    assert shown.returncode == 1
    assert "warning: keys are older than 1 day (" in shown.stdout
    assert shown.stderr == "different from the stack: db-1\n"


@pytest.mark.parametrize(
    "state",
    [[], [generations(dates=OLD)], [generations(maxAge=90, dates=NEW)], [generations(maxAge=90)]],
    ids=["no rotation", "no highest age", "new keys", "no days"],
)
def test_check_says_nothing_where_no_key_is_too_old(tmp_path: Path, state: list[dict[str, Any]]) -> None:
    outputs = changed(web_1=OUT, db_1=OUT)
    shown = type_command(tmp_path, outputs, "check", more=state)
    assert shown.stdout == "web-1: not enabled\ndb-1: not enabled\nall 0 nodes match the stack\n"
    printed = type_command(tmp_path, outputs, "check", "--json", more=state)
    assert json.loads(printed.stdout)["old_keys"] is None


def test_a_shell_on_a_node_that_was_never_made_says_so(tmp_path: Path) -> None:
    shown = type_command(tmp_path, changed(db_1={"public_ip": UNKNOWN}), "ssh", "db-1")
    assert shown.returncode == 1
    assert shown.stderr == "error: db-1: not made yet: run `up` again\n"


def test_they_ask_the_engine_before_costly_imports_and_never_import_pulumi() -> None:
    costly = ("pulumi", "asyncssh", "cryptography", "rich")
    loaded = f"import sys, mesh.__main__; print([name for name in sys.modules if name.startswith({costly})])"
    run = subprocess.run(
        [sys.executable, "-c", loaded], cwd=REPOSITORY, check=True, capture_output=True, text=True
    )
    assert run.stdout == "[]\n"
