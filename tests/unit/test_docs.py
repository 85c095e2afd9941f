"""The guides name what there is."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
GUIDES = sorted([*ROOT.glob("*.md"), *(ROOT / ".github").rglob("*.md"), *(ROOT / "docs").rglob("*.md")])


@pytest.mark.parametrize("guide", GUIDES, ids=lambda path: path.stem)
def test_links_between_guides_lead_somewhere(guide: Path) -> None:
    links = re.findall(r"\]\((?!https?://|#)([^)#]+)", guide.read_text())
    assert [link for link in links if not (guide.parent / link).exists()] == []


@pytest.mark.parametrize(
    ("guide", "below"), [("lab.md", "tests/lab"), ("reliability.md", "tests"), ("architecture.md", ".")]
)
def test_what_a_guide_names_is_there(guide: str, below: str) -> None:
    named = re.findall(
        r"`((?:[\w.-]+/)+[\w.-]+\.(?:py|yaml))(?:::(\w+))?", (ROOT / "docs" / guide).read_text()
    )
    assert named
    missing = [
        f"{path}::{test}"
        for path, test in named
        if not any((folder / path).exists() for folder in (ROOT, ROOT / below))
        or (test and f"def {test}(" not in (ROOT / below / path).read_text())
    ]
    assert missing == []
