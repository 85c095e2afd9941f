"""The benchmarks still measure what they say: the small size of all of them, on real hosts."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bench.delay import ROUND_TRIP_SECONDS
from bench.fleet import FOLDER
from bench.rotation import WITHOUT
from lab.testing import REPOSITORY

pytestmark = [pytest.mark.hosts, pytest.mark.long]


def test_the_small_size_measures_everything_and_leaves_no_host(tmp_path: Path) -> None:
    results, page = tmp_path / "results.json", tmp_path / "benchmarks.md"
    run = subprocess.run(
        [sys.executable, "-m", "bench", "--quick", "--results", str(results), "--page", str(page)],
        cwd=REPOSITORY, check=False, timeout=1800, text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout
    found = json.loads(results.read_text())
    (pure,) = found["pure"]
    assert pure["peers"] == 100 * 99
    _compared(found["compare"]["sizes"])
    _delayed(found["delayed"]["sizes"])
    assert len(found["tunnel"]) == 3
    assert all(
        turn[f"{way} {name}"] > 0
        for turn in found["tunnel"]
        for way in ("table", "tracked", "bare", "link")
        for name in ("mbit", "packets")
    )
    (reached,) = found["reach"]["measured"]
    assert reached["pairs"] == 3 * 2
    for what, (rotated,) in found["rotation"]["measured"].items():
        assert rotated["sent"] > 0
        assert (rotated["lost"] <= rotated["no_room"]) == (what != WITHOUT), what
    for size, (grown,) in found["growth"].items():
        # bootstrap, copy, keys, and apply twice
        assert grown["connections"] == 4 * int(size)
    text = page.read_text()
    assert "| packets lost meanwhile | 3 | 0 |" in text
    assert "Not measured" not in text
    assert page.with_suffix(".svg").read_text().count("nothing changed") == 1
    assert not list((FOLDER / "worlds").glob("*"))


def _compared(sizes: dict[str, Any]) -> None:
    """Every tool has made the mesh, and was seen to do so."""
    for tool in ("ours", "playbook", "mitogen", "pyinfra"):
        (run,) = sizes[tool]["3"]
        assert run["first ssh"] >= 1
        assert all(run[f"{step} operator"] > 0 for step in ("first", "unchanged", "added"))
        assert run["first host"] > 0
        assert (run["lost"] == 0) == (tool == "ours")
    (ours,) = sizes["ours"]["3"]
    assert ours["unchanged ssh"] == 0


def _delayed(sizes: dict[str, Any]) -> None:
    """A first connection takes 7 ways to the host and back, so no tool is done before."""
    for tool in ("ours", "playbook"):
        (run,) = sizes[tool]["2"]
        assert run["first"] > 7 * ROUND_TRIP_SECONDS
