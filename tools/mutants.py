"""Tell how many mutants the tests killed, module by module, and which ones survived, for `make mutants`.

A mutant is a copy of a function with one small change, made by mutmut. A mutant is killed when a test fails
or does not end in time. Any other outcome counts against the tests: no test ran, or mutmut is not sure.
"""

import re
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Final

__all__ = ["WANTED", "report", "statuses"]

WANTED: Final = 90
"""Of a hundred mutants, how many the tests have to kill."""

_KILLED: Final = frozenset(("killed", "timeout"))  # in the words of `mutmut results`
_LINE: Final = re.compile(r" +(\S+): (.+)")
_MUTMUT: Final = Path(sys.prefix) / "bin" / "mutmut"


def statuses(results: str) -> dict[str, str]:
    """Return what became of each mutant, by name, from what `mutmut results --all true` prints.

    Raises `ValueError` for a line that names no mutant.
    """
    found = {}
    for line in results.splitlines():
        match = _LINE.fullmatch(line)
        if match is None:
            raise ValueError(f"not a line of `mutmut results`: {line!r}")
        found[match[1]] = match[2]
    return found


def report(found: Mapping[str, str]) -> tuple[str, bool]:
    """Return the report to print, and whether enough mutants were killed; of none at all, never enough."""
    alive = {name: status for name, status in found.items() if status not in _KILLED}
    total = Counter(map(_module, found))
    lived = Counter(map(_module, alive))
    lines = [f"  {name}: {status}" for name, status in sorted(alive.items())]
    lines += [_score(module, total[module], lived[module]) for module in sorted(total)]
    lines.append(_score("all", len(found), len(alive)))
    enough = bool(found) and 100 * (len(found) - len(alive)) >= WANTED * len(found)
    if not enough:
        lines.append(f"fewer than {WANTED} % were killed; CONTRIBUTING.md says how to look at a survivor")
    return "\n".join(lines), enough


def _module(mutant: str) -> str:
    """Return the module of `mesh.plan.keys.x_fingerprint__mutmut_1`."""
    return mutant.rpartition(".")[0]


def _score(what: str, total: int, alive: int) -> str:
    share = 100 * (total - alive) / total if total else 0
    return f"{share:5.1f} %  {what} ({total - alive} of {total} killed)"


def main() -> int:
    """Print the report; returns the exit code."""
    results = subprocess.run(
        [_MUTMUT, "results", "--all", "true"], check=True, capture_output=True, text=True, timeout=600
    )
    text, enough = report(statuses(results.stdout))
    print(text)
    return 0 if enough else 1


if __name__ == "__main__":
    sys.exit(main())
