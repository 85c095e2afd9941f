"""What `--diff` shows is what Pulumi's own engine shows: recorded from it, character by character."""

import re
from pathlib import Path

from tests.lab.engine.harness import Project

SHOWN = Path(__file__).parent / "shown"
RUNS = [
    ("plan", "1", "preview --diff"),
    ("make", "1", "up --yes --skip-preview --diff"),
    ("leave", "1", "up --yes --skip-preview --diff"),
    ("plan-of-a-change", "2", "preview --diff"),
    ("change", "2", "up --yes --skip-preview --diff"),
    ("plan-of-nothing", "2", "preview --diff"),
    ("refresh", "2", "refresh --yes --skip-preview --diff"),
    ("destroy", "2", "destroy --yes --skip-preview --run-program --diff"),
]


def test_every_property_is_shown_as_pulumi_shows_it(tmp_path: Path) -> None:
    project = Project(tmp_path / "box")
    (project.folder / "__main__.py").write_text((SHOWN / "program.py").read_text())
    for name, step, words in RUNS:
        out = project.run(words, STEP=step).out
        out = re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}", "UUID", out)
        out = re.sub(r"Duration: .*", "Duration", out)
        assert out == (SHOWN / f"{name}.txt").read_text(), name
