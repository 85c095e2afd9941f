"""From results to docs/benchmarks.md and its plot."""

import platform
import statistics
import subprocess
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from bench.rival import environment
from lab.hosts.errors import succeeds

__all__ = ["machine", "median", "today", "write"]

Runs = Sequence[Mapping[str, float]]
Rows = list[tuple[str, ...]]

_HERE: Final = Path(__file__).parent
_STEPS: Final = (
    ("first", "all pairs ping"),
    ("unchanged", "nothing changed"),
    ("added", "one node added, all pairs ping"),
)


def median(runs: Runs, name: str) -> float:
    """Return the median of one figure."""
    return statistics.median(run[name] for run in runs)


def today() -> str:
    """Return the date."""
    return datetime.now(UTC).date().isoformat()


def machine() -> str:
    """Return what the measurements are made on, in a few words."""
    about = Path("/proc/cpuinfo").read_text().splitlines()
    models = [line.split(":", 1)[1].strip() for line in about if line.startswith("model name")]
    cores = sum(line.startswith("processor\t") for line in about)
    kilobytes = int(Path("/proc/meminfo").read_text().split()[1])
    in_kernel = succeeds(["ip", "link", "add", "wgmesh-bench", "type", "wireguard"])
    if in_kernel:
        subprocess.run(["ip", "link", "del", "wgmesh-bench"], check=True)
    wireguard = "the kernel's WireGuard" if in_kernel else "wireguard-go"
    kind = models[0] if models else platform.machine()
    return f"{cores} cores of {kind}, {kilobytes / 2**20:.0f} GB, Linux {platform.release()}, {wireguard}"


def write(results: Mapping[str, Any], results_file: Path, page: Path) -> None:
    """Write the page, and the plot beside it when there is something to plot."""
    runs = int(results["runs"])
    templates = Environment(
        loader=FileSystemLoader(_HERE), undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 - Markdown, not HTML
    )  # fmt: skip
    text = templates.get_template("benchmarks.md.j2").render(
        date=results["date"],
        machine=results["machine"],
        runs=f"{runs} runs" if runs > 1 else "one run",
        ansible=_ansible(),
        compare=_compared(results["compare"]) if "compare" in results else None,
        many=_many(results["many"]) if "many" in results else None,
        pure=_pure(results["pure"]) if "pure" in results else None,
        growth=_grown(results["growth"]) if "growth" in results else None,
    )
    page.write_text(text)
    if "growth" in results:
        subprocess.run(
            [environment() / "python", _HERE / "plot.py", results_file, page.with_suffix(".svg")], check=True
        )


def _ansible() -> str:
    lines = (_HERE.parent / "requirements" / "bench.txt").read_text().splitlines()
    return next(line.split("==")[1].split()[0] for line in lines if line.startswith("ansible-core=="))


def _cell(runs: Runs, name: str, unit: str = "", digits: int = 1) -> str:
    """Return a figure's median, and its lowest and highest value where they differ."""
    shown = [f"{value:.{digits}f}" for value in (median(runs, name), *(run[name] for run in runs))]
    low, high = min(shown, key=float), max(shown, key=float)
    spread = f" ({low} to {high})" if low != high else ""
    return f"{shown[0]} {unit}".strip() + spread


def _compared(tools: Mapping[str, Mapping[str, Runs]]) -> Rows:
    rows: Rows = []
    for size, ours in tools["ours"].items():
        theirs = tools["playbook"][size]
        for name, step in _STEPS:
            if name in ours[0]:
                ratio = median(theirs, name) / median(ours, name)
                rows.append((step, size, _cell(ours, name, "s"), _cell(theirs, name, "s"), f"{ratio:.1f}"))
        if "lost" in ours[0]:
            lost = [_cell(runs, "lost", "packets", digits=0) for runs in (ours, theirs)]
            rows.append(("lost meanwhile", size, *lost, ""))
    return rows


def _many(found: Mapping[str, Any]) -> tuple[str, ...]:
    runs, size = found["measured"], found["size"]
    each = [{"host": run["hosts"] / size} for run in runs]
    return (
        *(str(size), _cell(runs, "seconds", "s"), _cell(runs, "engine", "MB", 0)),
        *(_cell(each, "host", "MB"), _cell(runs, "hosts", "MB", 0)),
        *(_cell(runs, name, "kB") for name in ("whole", "files")),
    )


def _pure(runs: Runs) -> tuple[str, ...]:
    return tuple(_cell(runs, name, "ms", 0) for name in ("settings", "plan", "keys", "render", "total"))


def _grown(sizes: Mapping[str, Runs]) -> Rows:
    return [
        (
            *(size, *(_cell(runs, name, "s") for name in ("up", "unchanged", "preview"))),
            *(_cell(runs, "connections", digits=0), _cell(runs, "engine", "MB", 0)),
            *(_cell(runs, name, "kB") for name in ("whole", "files")),
        )
        for size, runs in sizes.items()
    ]
