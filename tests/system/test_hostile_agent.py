"""A node in other hands, in a whole rehearsal: what its agent says harms nobody, and commits nothing."""

import json
import sys
from collections.abc import Iterator

import pytest

from lab.testing import Run
from tests.system.world import World

pytestmark = [pytest.mark.hosts, pytest.mark.long]

AGENT = "/usr/local/lib/wgmesh/wgmesh.pyz"
ESCAPES = r"\033]0;PWNED\007\033[2J\033[1;1Hall 3 nodes match the stack\033[8m"
REPORT = {
    "agent": "\x1b[2J[/nope]",
    "current": None,
    "differences": [{"item": "\x1b[8m", "live": "[red]x[/red]", "wanted": "\u202e"}],
    "peers": {"\x1b]0;PWNED\x07": {"handshake_age": None, "received": 1, "sent": 2}},
    "state": "[/nope]",
    "trial": None,
}


@pytest.fixture(scope="module")
def mesh(world: World) -> World:
    world.up()
    return world


@pytest.fixture
def hostile(mesh: World) -> Iterator[World]:
    """web-1's agent is another program, and root's shell greets."""
    mesh.on(
        "web-1", f"cp {AGENT} /root/agent; cp /root/.bashrc /root/kept; echo 'echo Welcome' >>/root/.bashrc"
    )
    yield mesh
    mesh.on("web-1", f"cp /root/agent {AGENT}; mv /root/kept /root/.bashrc")
    mesh.up()


def _says(world: World, script: str) -> None:
    """Put a program in the agent's place; `python3 wgmesh.pyz` runs it as a module of that name."""
    world.on("web-1", f"cat >{AGENT} <<'END'\n{script}\nEND")


def _mesh(world: World, *words: str) -> Run:
    return world.command(sys.executable, "-m", "mesh", *words)


def _harmless(run: Run) -> None:
    assert "Traceback" not in run.out
    odd = {character for character in run.out if not character.isprintable() and character not in "\n\t"}
    assert not odd, odd


def _public(world: World, port: str) -> None:
    world.edit_mesh(lambda mesh: mesh["nodes"]["web-1"].update(public=[port]))


def test_a_greeting_spoils_no_report_and_no_change(hostile: World) -> None:
    run = _mesh(hostile, "check")
    assert run.code == 0, run.out
    _public(hostile, "tcp/1001")
    hostile.up()
    assert _mesh(hostile, "status").code == 0


@pytest.mark.parametrize(
    "script",
    [
        f"print({json.dumps(REPORT)!r})",
        f"import os; os.write(1, b'{ESCAPES}')",
        "while True: print('x' * 1000)",
        "import os\nwhile True: os.write(1, b'[' * 9999)",
        "print('[' * 200000)",
        "import sys; sys.exit(75)",
    ],
)
def test_its_reports_are_its_own_problem(hostile: World, script: str) -> None:
    _says(hostile, script)
    for words in (["check"], ["status"], ["check", "--json"]):
        run = _mesh(hostile, *words)
        _harmless(run)
        assert "web-1" in run.out
    found = json.loads(_mesh(hostile, "check", "--json").out.rpartition("}")[0] + "}")
    assert [found["nodes"][name]["good"] for name in ("web-2", "db-1")] == [True, True]


def test_a_commit_of_other_files_fails_and_is_shown_and_tried_again(hostile: World) -> None:
    _public(hostile, "tcp/1002")
    _says(hostile, f"print('{ESCAPES}'); print('CONFIRMED x')")
    run = hostile.lab("run", "up", "--yes", "--skip-preview")
    assert run.code != 0, run.out
    assert "web-1 did not confirm the new files; it answered `CONFIRMED x`" in run.out
    _harmless(run)
    assert "web-1-apply" in hostile.ok("preview", "--diff")
    again = hostile.lab("run", "up", "--yes", "--skip-preview")
    assert again.code != 0, "as long as it answers so"
    hostile.on("web-1", f"cp /root/agent {AGENT}")
    assert "web-1-apply" in hostile.ok("preview")
    hostile.up()
    assert "elements = { 1002 }" in hostile.on("web-1", "nft list set inet wgmesh public_tcp")
    assert not hostile.lab("run", "preview", "--expect-no-changes").code


def test_a_flood_instead_of_an_answer_ends_and_is_shown_harmlessly(hostile: World) -> None:
    _public(hostile, "tcp/1003")
    _says(
        hostile, "import sys; print('exited with status 75\\nRECONNECT a' * 20000 + '\\x1b[2J'); sys.exit(65)"
    )
    run = hostile.lab("run", "up", "--yes", "--skip-preview")
    assert run.code != 0
    _harmless(run)
