"""What becomes of resources whose dependency fails while the rest goes on."""

import json
import os
import subprocess
import sys
from pathlib import Path

PROGRAM = """
import pulumi
from pulumi_command import local

first = local.Command("first", create="test ! -e down", stdin=open("text").read())
behind = pulumi.ResourceOptions(depends_on=[first])
local.Command("second", create="true", delete="touch deleted", opts=behind)
"""


def test_a_resource_behind_a_failed_one_stays_in_the_state(tmp_path: Path) -> None:
    """A node that is down fails alone, and nothing that is on it is taken for removed."""
    runtime = {"name": "python", "options": {"virtualenv": str(Path(sys.prefix))}}
    (tmp_path / "Pulumi.yaml").write_text(json.dumps({"name": "p", "runtime": runtime}))
    (tmp_path / "__main__.py").write_text(PROGRAM)
    (tmp_path / "text").write_text("one")
    environment = {
        **os.environ,
        "PULUMI_BACKEND_URL": f"file://{tmp_path}/state",
        "PULUMI_CONFIG_PASSPHRASE": "known",
        "PYTHONPATH": str(Path(__file__).parents[3]),
    }

    def engine(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "lab.engine", *words],
            cwd=tmp_path, env=environment, check=False, capture_output=True, text=True,
        )  # fmt: skip

    def names() -> set[str]:
        deployment = json.loads(engine("stack", "export").stdout)["deployment"]
        return {resource["urn"].rsplit("::", 1)[1] for resource in deployment["resources"]}

    assert engine("stack", "init", "s").returncode == 0
    assert engine("up", "--yes", "--skip-preview").returncode == 0
    (tmp_path / "text").write_text("two")
    (tmp_path / "down").touch()
    assert engine("up", "--yes", "--skip-preview", "--continue-on-error").returncode == 1
    assert {"first", "second"} <= names()
    assert not (tmp_path / "deleted").exists()
    (tmp_path / "down").unlink()
    done = engine("up", "--yes", "--skip-preview")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 updated" in done.stdout
    assert not (tmp_path / "deleted").exists()
