"""Stacks of hundreds of resources."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.lab.engine.harness import Project

ROOT = Path(__file__).parents[3]
MOST_KB = 300 * 1024
MEASURED = """
import sys
from lab.engine.cli.main import main
from tests.memory import peak_kb
try:
    sys.exit(main(sys.argv[1:]))
finally:
    print("peak", peak_kb(), file=sys.stderr)
"""


@pytest.mark.long
def test_five_hundred_resources_are_made_left_and_deleted_in_less_than_300_mb(tmp_path: Path) -> None:
    project = Project(tmp_path / "box")
    project.write(
        'for number in range(500):\n    Stash(f"s{number}", input={"number": number, "text": "x" * 200})\n'
    )
    for words, said in [
        ("up --yes --skip-preview", "+ 501 created"),
        ("up --yes --skip-preview", "501 unchanged"),
        ("destroy --yes --skip-preview", "- 501 deleted"),
    ]:
        ran = subprocess.run(
            [sys.executable, "-c", MEASURED, *words.split()],
            cwd=project.folder,
            env={**os.environ, **project.environment, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert ran.returncode == 0, ran.stdout + ran.stderr
        assert said in ran.stdout
        assert int(ran.stderr.split()[-1]) < MOST_KB
