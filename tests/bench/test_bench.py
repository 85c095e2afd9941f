"""The benchmarks still measure what they say: the small size of all of them, on real hosts."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bench.fleet import FOLDER
from lab.testing import REPOSITORY

pytestmark = [pytest.mark.hosts, pytest.mark.long]


def test_the_small_size_measures_everything_and_leaves_no_host(tmp_path: Path) -> None:
    results, page = tmp_path / "results.json", tmp_path / "benchmarks.md"
    run = subprocess.run(
        [sys.executable, "-m", "bench", "--quick", "--results", str(results), "--page", str(page)],
        cwd=REPOSITORY, check=False, timeout=900, text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout
    found = json.loads(results.read_text())
    (pure,) = found["pure"]
    assert pure["peers"] == 100 * 99
    (ours,), (playbook,) = (found["compare"][tool]["3"] for tool in ("ours", "playbook"))
    assert ours["lost"] == 0
    assert playbook["lost"] > 0
    for size, (grown,) in found["growth"].items():
        # bootstrap, copy, agent, keys, and apply twice
        assert grown["connections"] == 6 * int(size)
    text = page.read_text()
    assert "| lost meanwhile | 3 | 0 packets |" in text
    assert page.with_suffix(".svg").read_text().count("nothing changed") == 1
    assert not list((FOLDER / "worlds").glob("*"))
