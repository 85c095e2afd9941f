"""Record cases with Pulumi's own engine: `python -m tests.lab.engine.recording [CASE ...]`.

Each case is played twice. What differs between the two is told, and the case is not written.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.lab.engine.recording.compare import differences
from tests.lab.engine.recording.play import play

RECORDED = Path(__file__).parents[1] / "recorded"


def main() -> int:
    """Record the cases named, all of them when none is."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cases", nargs="*", help="names of folders in recorded/")
    parser.add_argument("--cli", default="pulumi", help="the engine's command")
    options = parser.parse_args()
    names = options.cases or sorted(path.name for path in RECORDED.glob("??-*"))
    return max([_record(RECORDED / name, options.cli) for name in names], default=0)


def _record(case: Path, engine: str) -> int:
    first, second = _play(case, engine), _play(case, engine)
    told = differences(first, second)
    print("\n".join([f"{'FAIL' if told else 'ok  '} {case.name}", *told]), flush=True)
    if told:
        return 1
    about = json.loads((case / "expected.json").read_text()) if (case / "expected.json").exists() else {}
    written = {**about, "case": case.name, "steps": first}
    (case / "expected.json").write_text(json.dumps(written, indent=1, ensure_ascii=False) + "\n")
    return 0


def _play(case: Path, engine: str) -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory(prefix="case-") as folder:
        return play(case, Path(folder), [engine], Path(sys.prefix))


if __name__ == "__main__":
    sys.exit(main())
