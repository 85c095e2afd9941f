"""`python -m bench`: measure everything, and write docs/benchmarks.md."""

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from bench import report
from bench.compare import compare, undelayed
from bench.delay import ROUND_TRIP_SECONDS, delayed
from bench.fleet import FOLDER, alone
from bench.growth import grow
from bench.many import boot_and_mesh
from bench.progress import Failures, say
from bench.reach import reach
from bench.rivals import OURS, PLAYBOOK, RIVALS
from bench.rotation import rotate
from bench.trouble import BenchError
from bench.tunnel import traffic
from lab.testing import REPOSITORY

app = typer.Typer(add_completion=False, help=__doc__, pretty_exceptions_enable=False)

SECTIONS: Final = ("pure", "compare", "delayed", "tunnel", "reach", "rotation", "many", "growth")
_PAIRED_NODES: Final = 100
Only = Annotated[list[str] | None, typer.Option(help=f"One of {', '.join(SECTIONS)}; repeatable.")]


@dataclass(frozen=True, kw_only=True)
class _Sizes:
    """How many nodes each section has; all steps are measured on `growing` nodes."""

    compared: tuple[int, ...]
    growing: int
    delayed: int
    turns: int
    """Blocks of traffic of each way."""
    pings: int
    """Round trips in each block of traffic."""
    reached: int
    rotated: int
    many: int
    grown: tuple[int, ...]


_FULL: Final = _Sizes(
    compared=(3, 10),
    growing=10,
    delayed=3,
    many=30,
    grown=(10, 25, 50, 100),
    turns=60,
    pings=500,
    reached=10,
    rotated=5,
)
_QUICK: Final = _Sizes(
    compared=(3,), growing=3, delayed=2, many=4, grown=(2, 5), turns=3, pings=200, reached=3, rotated=2
)


def _pure(repeats: int) -> list[dict[str, float]]:
    found = []
    for _ in range(repeats):
        result = subprocess.run(
            [sys.executable, "-m", "bench.pure", str(_PAIRED_NODES)],
            cwd=REPOSITORY, check=True, stdout=subprocess.PIPE, timeout=120,
        )  # fmt: skip
        found.append(json.loads(result.stdout))
    middle = statistics.median(run["total"] for run in found)
    say(f"planning and rendering {_PAIRED_NODES} nodes: {middle:.0f} ms")
    return found


def _sections(sizes: _Sizes, repeats: int, long_repeats: int) -> dict[str, Callable[[], Any]]:
    """Return how each section is measured."""
    return {
        "pure": lambda: _pure(repeats),
        "compare": lambda: compare(
            RIVALS, sizes=sizes.compared, growing=sizes.growing, repeats=repeats, around=undelayed, say=say
        ),
        "delayed": lambda: compare(
            (OURS, PLAYBOOK), sizes=(sizes.delayed,), growing=sizes.delayed, repeats=repeats,
            around=delayed(ROUND_TRIP_SECONDS), say=say,
        ),
        "tunnel": lambda: traffic(turns=sizes.turns, seconds=0.4, pings=sizes.pings, say=say),
        "reach": lambda: {
            "size": sizes.reached,
            "measured": reach(size=sizes.reached, repeats=repeats, say=say),
        },
        "rotation": lambda: rotate(size=sizes.rotated, repeats=repeats, say=say),
        "many": lambda: {
            "size": sizes.many,
            "measured": boot_and_mesh(size=sizes.many, runs=long_repeats, say=say),
        },
        "growth": lambda: grow(sizes=sizes.grown, runs=long_repeats, say=say),
    }  # fmt: skip


@app.command()
def bench(
    *,
    repeats: Annotated[int, typer.Option(min=1, help="Runs of each measurement.")] = 5,
    long_repeats: Annotated[int, typer.Option(min=1, help="Runs of the sections many and growth.")] = 1,
    quick: Annotated[
        bool, typer.Option("--quick", help="Measure small meshes once, as a test of the benchmark.")
    ] = False,
    only: Only = None,
    results: Annotated[Path, typer.Option(help="The file for the results.")] = FOLDER / "results.json",
    page: Annotated[Path, typer.Option(help="The page to write.")] = REPOSITORY / "docs" / "benchmarks.md",
) -> None:
    """Measure, keep the results, write the page: both again after each section.

    With `--only`, results and page have only these sections: all figures of a page are from one run. If a
    section or a rival cannot be measured, the others are measured; the page says so, and the exit code is 1.
    """
    unknown = set(only or ()) - set(SECTIONS)
    if unknown:
        raise BenchError(f"--only {', '.join(sorted(unknown))}: must be one of {', '.join(SECTIONS)}")
    if quick:
        repeats = long_repeats = 1
    measure = _sections(_QUICK if quick else _FULL, repeats, long_repeats)
    failures = Failures(say)
    kept: dict[str, Any] = {
        "date": report.today(), "machine": report.machine(), "failed": failures.found,
        "repeats": repeats, "long_repeats": long_repeats, "only": only or [],
    }  # fmt: skip
    results.parent.mkdir(parents=True, exist_ok=True)
    with alone():
        for name in only or SECTIONS:
            say(f"section {name}")
            with failures.noted(name):
                kept[name] = measure[name]()
            results.write_text(json.dumps(kept, indent=1))
            with failures.noted("page"):
                report.write(kept, results, page)
    say(f"written: {page}")
    failed = report.failures(kept)
    if failed:
        raise BenchError(f"not measured: {', '.join(failed)}; the reasons are above")


def main() -> None:
    """Run the command line; what cannot be measured is one message on stderr, exit code 1."""
    if os.geteuid() != 0:
        raise SystemExit("error: hosts need root: run `make bench`, which uses sudo")
    try:
        app()
    except BenchError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
