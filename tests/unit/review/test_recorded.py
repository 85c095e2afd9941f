"""Reviews of recorded previews, of both engines, as they are to be read.

`WGMESH_RENEW=1` writes the golden files again.
"""

import os
import re
from pathlib import Path

import pytest

from mesh.review import as_markdown, as_terminal, review
from tests.unit.review.cases import CASES

FOLDER = Path(__file__).parent
_MADE_BY_A_RUN = re.compile(
    r"(?P<key>[A-Za-z0-9+/]{43}=)|(?P<fingerprint>key:[0-9a-f]{16})|(?P<address>198\.18\.\d+\.\d+)"
    r"|(?P<ssh>AAAA[A-Za-z0-9+/]{40,}=*)"
)


def recorded(engine: str, case: str) -> str:
    return (FOLDER / "recorded" / engine / f"{case}.json").read_text()


def plain(text: str) -> str:
    """The same text for both engines: keys and addresses of a run are numbered by when they come."""
    seen: dict[str, str] = {}
    kinds: dict[str, int] = {}

    def number(found: re.Match[str]) -> str:
        kind = found.lastgroup or ""
        if found[0] not in seen:
            kinds[kind] = kinds.get(kind, 0) + 1
            seen[found[0]] = f"({kind} {kinds[kind]})"
        return seen[found[0]]

    return _MADE_BY_A_RUN.sub(number, text)


@pytest.mark.parametrize("case", [case.name for case in CASES])
@pytest.mark.parametrize("engine", ["pulumi", "lab"])
def test_a_review_reads_as_its_golden_file(case: str, engine: str) -> None:
    written = plain(as_markdown(review(recorded(engine, case))))
    golden = FOLDER / "golden" / f"{case}.md"
    if os.environ.get("WGMESH_RENEW") and engine == "pulumi":
        golden.parent.mkdir(exist_ok=True)
        golden.write_text(written)
    assert written == golden.read_text()


def test_nothing_is_one_line() -> None:
    for engine in ("lab", "pulumi"):
        assert as_markdown(review(recorded(engine, "nothing"))) == "## Nothing changes\n"
        assert as_terminal(review(recorded(engine, "nothing"))) == "Nothing changes.\n"
