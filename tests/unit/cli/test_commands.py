"""`check` and `status` as an operator types them, where no node has to be asked."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.cli.stack import REPOSITORY, UNKNOWN, changed, type_command

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
