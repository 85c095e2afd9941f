"""`python -m bench`: measure everything, and write docs/benchmarks.md."""

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from bench import report
from bench.compare import compare
from bench.fleet import FOLDER, BenchError, alone
from bench.growth import grow
from bench.many import boot_and_mesh
from lab.testing import REPOSITORY

app = typer.Typer(add_completion=False, help=__doc__, pretty_exceptions_enable=False)

SECTIONS: Final = ("pure", "compare", "many", "growth")
_PAIRED_NODES: Final = 100
Only = Annotated[list[str] | None, typer.Option(help=f"One of {', '.join(SECTIONS)}; repeatable.")]


def _say(line: str) -> None:
    print(f"bench: {line}", flush=True)


def _pure(runs: int) -> list[dict[str, float]]:
    found = []
    for _ in range(runs):
        result = subprocess.run(
            [sys.executable, "-m", "bench.pure", str(_PAIRED_NODES)],
            cwd=REPOSITORY, check=True, stdout=subprocess.PIPE, timeout=120,
        )  # fmt: skip
        found.append(json.loads(result.stdout))
    _say(
        f"planning and rendering {_PAIRED_NODES} nodes: {statistics.median(r['total'] for r in found):.0f} ms"
    )
    return found


def _sections(runs: int, *, quick: bool) -> dict[str, Callable[[], Any]]:
    """Return how each section is measured."""
    sizes, growing, many, grown = ((3,), 3, 4, (2, 5)) if quick else ((3, 10), 10, 30, (10, 25, 50, 100))
    return {
        "pure": lambda: _pure(runs),
        "compare": lambda: compare(sizes=sizes, growing=growing, runs=runs, say=_say),
        "many": lambda: {"size": many, "measured": boot_and_mesh(size=many, runs=runs, say=_say)},
        "growth": lambda: grow(sizes=grown, runs=runs, say=_say),
    }


@app.command()
def bench(
    *,
    runs: Annotated[int, typer.Option(min=1, help="Runs of each measurement.")] = 3,
    quick: Annotated[
        bool, typer.Option("--quick", help="Measure small meshes once, as a test of the benchmark.")
    ] = False,
    only: Only = None,
    results: Annotated[Path, typer.Option(help="The file for the results.")] = FOLDER / "results.json",
    page: Annotated[Path, typer.Option(help="The page to write.")] = REPOSITORY / "docs" / "benchmarks.md",
) -> None:
    """Measure, keep the results, write the page.

    With `--only`, results and page have only these sections: all figures of a page are from one run.
    """
    unknown = set(only or ()) - set(SECTIONS)
    if unknown:
        raise BenchError(f"--only {', '.join(sorted(unknown))}: must be one of {', '.join(SECTIONS)}")
    runs = 1 if quick else runs
    measure = _sections(runs, quick=quick)
    kept: dict[str, Any] = {"date": report.today(), "machine": report.machine(), "runs": runs}
    results.parent.mkdir(parents=True, exist_ok=True)
    with alone():
        for name in only or SECTIONS:
            kept[name] = measure[name]()
            results.write_text(json.dumps(kept, indent=1))
    report.write(kept, results, page)
    _say(f"written: {page}")


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
