"""What Pulumi's own engine did on small programs, recorded with it, against what this engine does."""

import copy
import json
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.lab.engine.recording.compare import differences
from tests.lab.engine.recording.play import play

ROOT = Path(__file__).parents[3]
CASES = sorted((Path(__file__).parent / "recorded").glob("??-*"))
# Each starts the engine for every command; what the others show is in `cases` too, within the test's process.
FEW = ("02", "31", "69")
CHOSEN = [
    pytest.param(case, id=case.name, marks=() if case.name[:2] in FEW else pytest.mark.long) for case in CASES
]
Steps = list[dict[str, Any]]


def recorded(case: Path) -> Steps:
    steps: Steps = json.loads((case / "expected.json").read_text())["steps"]
    return steps


@pytest.mark.parametrize("case", CHOSEN)
def test_does_what_pulumi_did(case: Path, tmp_path: Path) -> None:
    engine = tmp_path / "engine"
    engine.write_text(
        f'#!/bin/sh\nPYTHONPATH={shlex.quote(str(ROOT))} exec {sys.executable} -m lab.engine "$@"\n'
    )
    engine.chmod(0o755)
    found = play(case, tmp_path / "run", [str(engine)], Path(sys.prefix))
    assert "\n".join(differences(recorded(case), found)) == ""


def test_every_case_has_a_recording() -> None:
    assert len(CASES) == 44
    assert all(recorded(case) for case in CASES)


def _no_record(steps: Steps) -> None:
    steps[0]["state"]["resources"].pop()


def _other_code(steps: Steps) -> None:
    steps[1]["up"]["rc"] = 1


def _other_order(steps: Steps) -> None:
    steps[0]["up"]["steps"].reverse()


def _step_twice(steps: Steps) -> None:
    steps[0]["up"]["steps"].append(steps[0]["up"]["steps"][0])


def _no_step_at_all(steps: Steps) -> None:
    steps.pop()


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (_no_record, "step 1 state."),
        (_other_code, "step 2 up.rc: expected 0, got 1"),
        (_other_order, "must come before"),
        (_step_twice, "step 1 up: a step is there more often"),
        (_no_step_at_all, "2 steps expected, 1 run"),
    ],
)
def test_a_difference_is_told(spoil: Callable[[Steps], None], told: str) -> None:
    steps = recorded(next(case for case in CASES if case.name.startswith("02")))
    spoilt = copy.deepcopy(steps)
    spoil(spoilt)
    assert differences(steps, steps) == []
    assert told in "\n".join(differences(steps, spoilt))


def test_no_recording_names_a_folder_of_the_machine_that_made_it() -> None:
    texts = "\n".join(path.read_text() for case in CASES for path in case.iterdir() if path.is_file())
    for word in ("/home/", "/root", "/tmp", "/work", "/opt", "http://", "https://"):
        assert word not in texts
