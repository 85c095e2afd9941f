"""What is offered instead of each mistake of a stack file: editors apply this literally, as a quick fix."""

from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from mesh.program import KINDS
from mesh.settings import Instead, Problem, SettingsError, parse_settings

HERE: Final = Path(__file__).parent
OFFERED: Final[dict[str, list[list[Any]]]] = yaml.safe_load((HERE / "offered.yaml").read_text())


def problems_of(raw: object) -> tuple[Problem, ...]:
    with pytest.raises(SettingsError) as error:
        parse_settings(raw, kinds=KINDS)
    return error.value.problems


def _words(remedy: Instead) -> object:
    """Return a remedy as `offered.yaml` has it."""
    return {"value": {"write": remedy.write}, "key": {"name": remedy.write}, "remove": "remove"}[remedy.kind]


@pytest.mark.parametrize("case", OFFERED)
def test_each_mistake_comes_with_these_remedies(case: str) -> None:
    given = yaml.safe_load((HERE / f"{case}.yaml").read_text())["given"]
    found = problems_of(given)
    assert [[_words(remedy) for remedy in problem.instead] for problem in found] == OFFERED[case]
