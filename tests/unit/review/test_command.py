"""The command `mesh review`: where it reads, what it writes, and how it ends."""

import io
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pytest

from mesh.__main__ import main
from mesh.review.preview import read_preview

RECORDED = Path(__file__).parent / "recorded" / "pulumi"


@dataclass(frozen=True)
class Ended:
    code: int
    out: str
    err: str


class Reviewing(Protocol):
    def __call__(self, *words: str, stdin: str = "") -> Ended: ...


@pytest.fixture
def mesh_review(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Reviewing:
    def run(*words: str, stdin: str = "") -> Ended:
        monkeypatch.setattr(sys, "argv", ["mesh", "review", *words])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode())))
        with pytest.raises(SystemExit) as ended:
            main()
        return Ended(int(ended.value.code or 0), *capsys.readouterr())

    return run


def test_the_mesh_of_any_project_is_found_in_the_configuration() -> None:
    text = (RECORDED / "policy-opened.json").read_text()
    own = read_preview(text).settings
    assert own["nodes"]
    assert read_preview(text.replace("wireguard-mesh:mesh", "shop:mesh")).settings == own


def test_a_file_and_standard_input_are_read_alike(mesh_review: Reviewing) -> None:
    path = RECORDED / "node-removed.json"
    of_file = mesh_review(str(path), "--format", "terminal")
    of_input = mesh_review("--format", "terminal", stdin=path.read_text())
    assert of_file.out == of_input.out
    assert of_file.out.startswith("1 server is deleted (web-2);")
    assert (of_file.code, of_file.err) == (0, "")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "the input is empty"),
        ("Previewing update (dev):\n", "the input is no JSON"),
        ("[1, 2]", "no preview"),
        ('{"version": 3, "deployment": {}}', "no preview"),
        ('{"steps": [{"op": "create"}]}', "not those of a preview"),
    ],
)
def test_what_is_no_preview_is_one_line_with_what_helps(
    mesh_review: Reviewing, text: str, words: str
) -> None:
    run = mesh_review("-", stdin=text)
    assert (run.code, run.out) == (1, "")
    (line,) = run.err.splitlines()
    assert words in line
    assert "pulumi preview --json" in line


def test_a_file_that_is_not_there_is_one_line(mesh_review: Reviewing) -> None:
    run = mesh_review("/nowhere/preview.json")
    assert run.code == 1
    assert run.err == "error: /nowhere/preview.json: No such file or directory\n"


def test_a_preview_that_failed_is_reviewed(mesh_review: Reviewing) -> None:
    run = mesh_review(str(RECORDED / "failed.json"))
    assert run.code == 0
    assert "cx999" in run.out
