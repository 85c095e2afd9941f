"""The bootstrap script as servers get it."""

import os
import subprocess
from pathlib import Path

import pytest

from mesh.program import first_contact
from mesh.program.first_contact import BOOTSTRAP_SCRIPT, packed


def as_bash_reads(script: str) -> str:
    """The script as bash prints what it has understood: without comments, at bash's own indentation."""
    return subprocess.run(
        ["bash"], input=f"f() {{\n{script}\n}}\ndeclare -f f\n", text=True, check=True, capture_output=True
    ).stdout


def test_the_bare_script_means_the_same() -> None:
    written = first_contact._SCRIPT.read_text()
    assert len(BOOTSTRAP_SCRIPT) < 0.8 * len(written)
    assert as_bash_reads(BOOTSTRAP_SCRIPT) == as_bash_reads(written)
    subprocess.run(["sh", "-n"], input=BOOTSTRAP_SCRIPT, text=True, check=True)


def as_a_server_runs(command: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        ["sh", "-c", command],
        input="given\n",
        env={**os.environ, **environment},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )


def test_a_packed_script_runs_as_it_would_by_itself() -> None:
    """The same input, words, errors and exit code."""
    script = 'read -r line\necho "$line, $word"\nno-such-command\nexit 7\n'
    assert "\n" not in packed(script)
    run = as_a_server_runs(packed(script), word="exported")
    assert (run.stdout, run.returncode) == ("given, exported\nsh: 3: no-such-command: not found\n", 7)
    assert run.stdout == as_a_server_runs(script, word="exported").stdout


def test_of_a_script_that_does_not_arrive_whole_nothing_runs() -> None:
    command = packed("echo began\n" * 50)
    text = command.partition("echo ")[2].partition(" |")[0]
    middle = len(text) // 2
    other = "A" if text[middle] != "A" else "B"
    for damaged in (text[:-8], text[:middle], f"{text[:middle]}{other}{text[middle + 1 :]}", "", "!"):
        run = as_a_server_runs(command.replace(text, damaged))
        assert run.returncode == 1, damaged
        assert run.stdout.endswith("bootstrap: cannot unpack bootstrap.sh by base64 and gzip\n")
        assert "began" not in run.stdout


@pytest.mark.parametrize("missing", ["base64", "gzip"])
def test_a_host_that_cannot_unpack_the_script_says_so(tmp_path: Path, missing: str) -> None:
    for tool in {"base64", "gzip"} - {missing}:
        (tmp_path / tool).symlink_to(f"/usr/bin/{tool}")
    run = as_a_server_runs(f"PATH={tmp_path}; {packed('echo began')}")
    assert run.returncode == 1
    assert f"{missing}: not found" in run.stdout
    assert run.stdout.endswith("bootstrap: cannot unpack bootstrap.sh by base64 and gzip\n")


def test_a_state_has_the_script_in_little_more_than_half_its_length() -> None:
    """Twice per node: as input and as output."""
    assert len(packed(BOOTSTRAP_SCRIPT)) < 0.6 * len(BOOTSTRAP_SCRIPT)
    assert not {"'", "\n", "\\"} & {*packed(BOOTSTRAP_SCRIPT)}
