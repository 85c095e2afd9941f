"""From results to docs/benchmarks.md and its plot."""

import platform
import subprocess
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from bench.environment import environment, version
from bench.rivals import RIVALS
from bench.rotation import WITHOUT
from bench.tables import Runs, Table, cell, certain, comparisons, median, middle
from bench.tunnel import PEERS, RULES
from lab.hosts.errors import succeeds

__all__ = ["failures", "machine", "today", "write"]

_HERE: Final = Path(__file__).parent
_GOALS: Final = {("first", "3"): 0.4, ("first", "10"): 0.3, ("unchanged", "10"): 0.15, ("added", "10"): 0.3}
"""The most that ours may take of the playbook's time, by step and nodes."""
_DELAYED_GOAL: Final = 0.6
_COMPARISONS: Final = ("compare", "delayed")
_PACKAGES: Final = ("ansible-core", "mitogen", "pyinfra")
_WAYS: Final = {
    "link": "the link itself, no tunnel, no table",
    "link-tracked": "the link itself, no tunnel, connections tracked",
    "link-table": "the link itself, no tunnel, our table",
    "bare": "a tunnel without any table",
    "again": "the same once more",
    "tracked": "a tunnel, connections tracked",
    "table": "a tunnel with our table",
}
_REASON_CHARACTERS: Final = 300


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


def failures(results: Mapping[str, Any]) -> dict[str, str]:
    """Return what was not measured, or not in every run, and the reasons."""
    titles = {rival.name: rival.title for rival in RIVALS}
    found = {f"section {name}": why for name, why in results["failed"].items()}
    for name in _COMPARISONS:
        for rival, why in results.get(name, {}).get("failed", {}).items():
            found[f"{titles[rival]} in section {name}"] = why
    return found


def write(results: Mapping[str, Any], results_file: Path, page: Path) -> None:
    """Write the page, and the plot beside it when there is something to plot."""
    templates = Environment(
        loader=FileSystemLoader(_HERE), undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 - Markdown, not HTML
    )  # fmt: skip
    templates.filters["table"] = _markdown
    tables = {name: _TABLES[name](results[name]) if name in results else None for name in _TABLES}
    text = templates.get_template("benchmarks.md.j2").render(
        date=results["date"],
        machine=results["machine"],
        runs=_runs(results["repeats"]),
        long_runs=_runs(results["long_repeats"]),
        command=_command(results["only"]),
        whole="" if results["only"] else "; about 50 minutes",
        versions={name.replace("-", "_"): version(name) for name in _PACKAGES},
        failed={name: _reason(why) for name, why in failures(results).items()},
        **tables,
    )
    page.write_text(text)
    if "growth" in results:
        subprocess.run(
            [environment() / "python", _HERE / "plot.py", results_file, page.with_suffix(".svg")], check=True
        )


def _command(only: Sequence[str]) -> str:
    options = " ".join(f"--only {name}" for name in only)
    return f'make bench BENCH="{options}"' if options else "make bench"


def _runs(count: int) -> str:
    return f"the median of {count} runs" if count > 1 else "from one run"


def _reason(why: str) -> str:
    return " ".join(why.split())[:_REASON_CHARACTERS]


def _markdown(table: Table) -> str:
    titles, *rows = table
    lines = [" | ".join(titles), "|".join("---" for _ in titles), *(" | ".join(row) for row in rows)]
    return "\n".join(f"|{line}|" if line.startswith("---") else f"| {line} |" for line in lines)


def _compared(found: Mapping[str, Any]) -> dict[str, Any]:
    return comparisons(found["sizes"], _GOALS)


def _delayed(found: Mapping[str, Any]) -> dict[str, Any]:
    sizes = {size for runs in found["sizes"].values() for size in runs}
    goals = {(step, size): _DELAYED_GOAL for step in ("first", "unchanged", "added") for size in sizes}
    return comparisons(found["sizes"], goals)


def _many(found: Mapping[str, Any]) -> Table:
    runs, size = found["measured"], found["size"]
    each = [{"host": run["hosts"] / size} for run in runs]
    titles = (
        *("hosts", "time", "engine and program, peak", "a host with its mesh", "all hosts"),
        *("state per node", "of this, the node's files and keys"),
    )
    row = (
        *(str(size), cell(runs, "seconds", "s"), cell(runs, "engine", "MB", 0)),
        *(cell(each, "host", "MB"), cell(runs, "hosts", "MB", 0)),
        *(cell(runs, name, "kB") for name in ("whole", "files")),
    )
    return [titles, row]


def _pure(runs: Runs) -> Table:
    names = ("settings", "plan", "keys", "render", "total")
    return [
        ("settings", "plan", "names of keys", "files", "together"),
        tuple(cell(runs, name, "ms", 0) for name in names),
    ]


def _grown(sizes: Mapping[str, Runs]) -> Table:
    titles = (
        *("nodes", "up", "nothing changed", "preview", "SSH connections", "engine and program, peak"),
        *("state per node", "of this, the node's files and keys"),
    )
    rows = [
        (
            *(size, *(cell(runs, name, "s") for name in ("up", "unchanged", "preview"))),
            *(cell(runs, "connections", digits=0), cell(runs, "engine", "MB", 0)),
            *(cell(runs, name, "kB") for name in ("whole", "files")),
        )
        for size, runs in sizes.items()
    ]
    return [titles, *rows]


def _tunnel(turns: Runs) -> dict[str, Any]:
    titles = ("through", "TCP", "packets of 64 bytes", "round trip, p50", "round trip, p99")
    rows = [
        (
            *(_WAYS[way], middle(turns, f"{way} mbit", "Mbit/s"), middle(turns, f"{way} packets", "per s")),
            *(middle(turns, f"{way} {name}", "us") for name in ("p50", "p99")),
        )
        for way in _WAYS
    ]
    return {
        "peers": PEERS, "rules": RULES, "turns": len(turns), "table": [titles, *rows], "costs": _costs(turns),
    }  # fmt: skip


def _costs(turns: Runs) -> Table:
    """Return what our table costs, what tracking alone costs, and the same between two times without any."""
    columns = {
        "cost of our table in the tunnel": ("table", "bare"),
        "goal": (),
        "of tracking alone": ("tracked", "bare"),
        "without table, twice": ("again", "bare"),
        "our table on the link itself": ("link-table", "link"),
        "tracking on the link itself": ("link-tracked", "link"),
    }
    costs = {title: [_cost(turn, *pair) for turn in turns] for title, pair in columns.items() if pair}
    return [
        ("what", *columns),
        *(
            (what, *(certain(costs[title], name, unit) if title in costs else goal for title in columns))
            for what, name, unit, goal in (
                ("TCP throughput", "mbit", "%", "at most 2 %"),
                ("packets per second", "packets", "%", "-"),
                ("round trip, p50", "p50", "us", "-"),
                ("round trip, p99", "p99", "us", "at most 5 us"),
            )
        ),
    ]


def _cost(turn: Mapping[str, float], way: str, than: str) -> dict[str, float]:
    """Return by how much one way is worse than another: rates in %, times in microseconds."""
    rates = {name: 100 * (1 - turn[f"{way} {name}"] / turn[f"{than} {name}"]) for name in ("mbit", "packets")}
    return {**rates, **{name: turn[f"{way} {name}"] - turn[f"{than} {name}"] for name in ("p50", "p99")}}


def _reach(found: Mapping[str, Any]) -> Table:
    runs = found["measured"]
    titles = ("nodes", "pairs", "table right after the first `up`", "table", "of this, the engine's answer")
    first, *rest = (cell(runs, name, "s", 2) for name in ("first", "table", "answer"))
    return [titles, (str(found["size"]), cell(runs, "pairs", digits=0), first, *rest)]


def _rotation(found: Mapping[str, Any]) -> dict[str, Any]:
    titles = (
        *("what changes", "lost of sent, all runs", "no room in a kernel", "longest gap"),
        *("from the last files to the end", "gap without `rotation:` / gap"),
    )
    measured: Mapping[str, Runs] = found["measured"]
    plain = median(measured[WITHOUT], "gap")
    rows = [
        (
            *(what, f"{_total(runs, 'lost')} of {_total(runs, 'sent')}", _total(runs, "no_room")),
            *(cell(runs, "gap", "ms", 0), cell(runs, "seconds", "s", 0)),
            f"{plain / median(runs, 'gap'):.0f}",
        )
        for what, runs in measured.items()
    ]
    size = found["size"]
    return {**found, "pairs": size * (size - 1), "table": [titles, *rows]}


def _total(runs: Runs, name: str) -> str:
    return f"{sum(run[name] for run in runs):,.0f}".replace(",", " ")


_TABLES: Final[Mapping[str, Any]] = {
    "pure": _pure,
    "compare": _compared,
    "delayed": _delayed,
    "tunnel": _tunnel,
    "reach": _reach,
    "rotation": _rotation,
    "many": _many,
    "growth": _grown,
}
