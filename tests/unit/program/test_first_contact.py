"""The bootstrap script as servers get it."""

import subprocess

from mesh.program import first_contact
from mesh.program.first_contact import BOOTSTRAP_SCRIPT


def as_bash_reads(script: str) -> str:
    """The script as bash prints what it has understood: without comments, at bash's own indentation."""
    return subprocess.run(
        ["bash"], input=f"f() {{\n{script}\n}}\ndeclare -f f\n", text=True, check=True, capture_output=True
    ).stdout


def test_the_bare_script_means_the_same() -> None:
    written = (first_contact._HERE / "bootstrap.sh").read_text()
    assert len(BOOTSTRAP_SCRIPT) < 0.8 * len(written)
    assert as_bash_reads(BOOTSTRAP_SCRIPT) == as_bash_reads(written)
    subprocess.run(["sh", "-n"], input=BOOTSTRAP_SCRIPT, text=True, check=True)
