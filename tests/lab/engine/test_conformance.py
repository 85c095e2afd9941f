"""What Pulumi's own engine did on small programs, recorded with it, against what this engine does."""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
CASES = Path(os.environ.get("WGMESH_SHARED") or ROOT.parent / "shared") / "data" / "engine-cases"
FEW = ("02-", "08-", "10-", "15-", "24-", "31-", "44-", "69-")

pytestmark = pytest.mark.skipif(not CASES.is_dir(), reason=f"the recorded cases are not at {CASES}")
NAMES = sorted(path.name for path in CASES.glob("??-*")) if CASES.is_dir() else []


def check(folder: Path, names: Sequence[str]) -> None:
    copy = folder / "cases"
    shutil.copytree(CASES, copy)
    engine = folder / "engine"
    engine.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m lab.engine "$@"\n')
    engine.chmod(0o755)
    ran = subprocess.run(
        [sys.executable, copy / "runner.py", "check", "--cli", engine, "--venv", sys.prefix, *names],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert ran.stdout.count("ok   ") == len(names)


def test_does_what_pulumi_did_on_some_programs(tmp_path: Path) -> None:
    names = [name for name in NAMES if name.startswith(FEW)]
    assert len(names) == len(FEW)
    check(tmp_path, names)


@pytest.mark.long
def test_does_what_pulumi_did_on_every_recorded_program(tmp_path: Path) -> None:
    check(tmp_path, NAMES)
