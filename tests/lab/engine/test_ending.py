"""A program's end on a real engine: waited for once, and failing as a program does that waits for nothing."""

import json
from pathlib import Path

import pytest

from tests.lab.engine.harness import Project, Ran

REPOSITORY = Path(__file__).parents[3]
COUNTED = """
import asyncio, atexit, json, pathlib
from mesh.program import run
wait, waits = asyncio.wait, []
async def counted(tasks, **options):
    waits.append(len(tasks))
    return await wait(tasks, **options)
asyncio.wait = counted
atexit.register(lambda: pathlib.Path("waits").write_text(json.dumps(waits)))
def declare():
    before = "a"
    for number in range(40):
        before = Stash(str(number), input=before).output
    pulumi.export("last", before)
run(declare)
"""
FAILING = """
from mesh.program import run
def declare():
    a = Stash("a", input="1")
    {failing}
    Stash("c", input="2")
{how}
"""
WAYS = {
    "in an apply": ('Stash("b", input=a.output.apply(lambda _: {}["absent"]))', "KeyError: 'absent'"),
    "at once": ('raise pulumi.RunError("no such mesh")', "error: no such mesh"),
    "in the engine": (
        'command("b", create="exit 3", opts=ResourceOptions(depends_on=[a]))',
        "exit status 3",
    ),
}


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path / "box")


def up(project: Project, *words: str) -> Ran:
    return project.run(["up", "--yes", "--skip-preview", *words], PYTHONPATH=str(REPOSITORY))


def test_what_a_program_declares_is_waited_for_at_once(project: Project) -> None:
    project.write(COUNTED)
    ran = up(project)
    assert ran.code == 0, ran.out
    assert project.run("stack output last").out == "a\n"
    waits = json.loads((project.folder / "waits").read_text())
    assert waits[0] > 40
    assert len(waits) <= 3, "a chain of 40 steps, each of which another wait would see"


@pytest.mark.parametrize("words", [[], ["--continue-on-error"]])
@pytest.mark.parametrize("way", WAYS)
def test_what_fails_is_told_as_without_it(project: Project, way: str, words: list[str]) -> None:
    failing, said = WAYS[way]
    told = []
    for how in ("declare()", "run(declare)"):
        project.write(FAILING.format(failing=failing, how=how))
        ran = up(project, *words)
        assert ran.code == 1
        assert said in ran.out
        told.append(sorted(ran.steps()))
        assert project.run("destroy --yes --skip-preview").code == 0
    if way != "in an apply":  # whether c is asked for before that is chance
        assert told[0] == told[1]
