"""Nothing a node says can harm the operator: no traceback, no control character, no flood."""

import asyncio
import json
import random
import re
import tracemalloc
from collections.abc import Awaitable, Callable
from typing import Any

import asyncssh
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from mesh.calls.nodes import AgentClient, NodeError
from mesh.calls.reports import ReportError, parse_report
from mesh.cli import check, status
from mesh.cli.check import NodeCheck, check_mesh, repair_mesh
from mesh.cli.reach import measure, over_ssh
from mesh.cli.reach_table import table as reach_table
from mesh.cli.results import as_json, print_remarks
from mesh.cli.rotation import lines, print_rotations
from mesh.cli.settle import settle_mesh
from mesh.cli.state import StackState, parse_state
from mesh.cli.status import read_status
from mesh.outputs import MeshOutputs, NodeOutputs
from mesh.said import REPORT_BYTES, ends, last_line, shown, visible
from tests.memory import forget_peak, peak_kb
from tests.unit.cli.hostile import GOOD, answer
from tests.unit.cli.stack import KEY, OUTPUTS, exported, node_resources

_KEY_TEXT = KEY.export_public_key().decode()
_EVERY = 10_000
_FEW = 150


class _Node:
    """An SSH server whose answers are whatever `says` makes; each one is bytes, or a coroutine's doing."""

    def __init__(self, says: Callable[["asyncssh.SSHServerProcess[bytes]"], Awaitable[None]]) -> None:
        self._says = says

    async def __aenter__(self) -> int:
        self._server = await asyncssh.listen(
            "127.0.0.1",
            0,
            server_host_keys=[KEY],
            authorized_client_keys=asyncssh.import_authorized_keys(_KEY_TEXT),
            process_factory=self._says,
            encoding=None,
        )
        return self._server.get_port()

    async def __aexit__(self, *_what: object) -> None:
        self._server.close()


def _mesh(*ports: int) -> tuple[MeshOutputs, StackState]:
    names = [f"web-{number}" for number, _port in enumerate(ports, start=1)]
    nodes = {
        name: NodeOutputs(
            name=name,
            address=f"10.10.0.{number}",
            public_ip="127.0.0.1",
            public_key=f"pub {number}",
            host_key=_KEY_TEXT,
            enabled=True,
            ssh_port=port,
        )
        for number, (name, port) in enumerate(zip(names, ports, strict=True), start=1)
    }
    mesh = MeshOutputs(nodes=nodes, unmade={}, ssh_private_key=OUTPUTS["ssh_private_key"])
    resources = [each for name in names for each in node_resources(name)]
    return mesh, parse_state(exported(*resources), names)


def _speaker(says: Callable[[], bytes], code: int = 0) -> Any:
    async def speak(process: "asyncssh.SSHServerProcess[bytes]") -> None:
        process.stdout.write(says())
        process.exit(code)

    return speak


def _printed(found: Any) -> str:
    """All that the commands would print of it, on a terminal and elsewhere."""
    lines = [as_json(found)]
    for terminal in (True, False):
        console = Console(width=180, force_terminal=terminal, color_system=None, highlight=False)
        with console.capture() as caught:
            if isinstance(found[0], NodeCheck):
                console.print(check.table(found))
            else:
                console.print(status.table(_mesh(1)[0], found))
        lines.append(caught.get())
    return "\n".join(lines)


def _harmless(text: str) -> None:
    odd = {character for character in text if not character.isprintable() and character != "\n"}
    assert not odd, odd


async def _ask_everything(says: Callable[[], bytes], capsys: pytest.CaptureFixture[str], times: int) -> None:
    good = _speaker(lambda: json.dumps({**GOOD, "agent": "ab" * 32, "differences": []}).encode())
    async with _Node(_speaker(says)) as bad_port, _Node(good) as good_port:
        mesh, state = _mesh(bad_port, good_port)
        for _ in range(times):
            checked = await check_mesh(mesh, state)
            assert checked[1].problem is None, "a bad one is that node's problem alone"
            checked = await repair_mesh(mesh, state, checked)
            stated = await read_status(mesh, state)
            reached = await measure(mesh, over_ssh(mesh, lambda: state), rounds=1)
            settled = await settle_mesh(mesh, state, patience=0)
            print_rotations({each.node: each.rotation for each in settled})
            print(as_json(settled))
            for found in (checked, stated):
                _harmless(_printed(found))
                print_remarks(found)
            console = Console(width=180, color_system=None)
            with console.capture() as caught:
                console.print(reach_table(mesh, reached))
            _harmless(caught.get() + "".join(reached.problems.values()))
            _harmless(capsys.readouterr().out)


def test_hostile_answers_over_ssh_are_one_nodes_problem(capsys: pytest.CaptureFixture[str]) -> None:
    dice = random.Random(1)
    asyncio.run(_ask_everything(lambda: answer(dice), capsys, 12))


def _all_of_it(times: int, seed: int) -> None:
    dice = random.Random(seed)
    mesh, _state = _mesh(1)
    for _ in range(times):
        text = answer(dice).decode(errors="replace")
        _harmless(shown(last_line(text)))
        try:
            report = parse_report(text)
        except ReportError as error:
            _harmless(str(error))
            continue
        found = [status.NodeStatus(node="web-1", report=report)]
        _harmless(_printed(found))
        named = [check._named(mesh, entry) for entry in report.differences]
        bad = NodeCheck(node="web-1", differences=tuple(named), rotation=report.rotation)
        _harmless(_printed([bad]))
        if report.rotation is not None:
            told = "\n".join(lines({"web-1": report.rotation}, 2e9))
            _harmless(told)
            assert len(told) < 10_000


def test_hostile_reports_are_shown_harmlessly_or_refused() -> None:
    _all_of_it(_FEW, 2)


@pytest.mark.long
def test_ten_thousand_hostile_reports_stay_below_200_megabytes() -> None:
    tracemalloc.start()
    _all_of_it(_EVERY, 3)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 200_000_000


_LEAVES = st.none() | st.booleans() | st.floats() | st.integers() | st.text()
_NAMES = st.sampled_from([*GOOD, "x"]) | st.text()


@given(st.recursive(_LEAVES, lambda inner: st.lists(inner) | st.dictionaries(_NAMES, inner)))
def test_any_json_is_a_report_or_an_error(value: Any) -> None:
    for report in (
        value,
        {**GOOD, "peers": value},
        {**GOOD, "differences": value},
        {**GOOD, "rotation": value},
    ):
        try:
            parse_report(json.dumps(report))
        except ReportError as error:
            _harmless(str(error))


@given(st.text())
def test_whatever_is_shown_is_printable_and_bounded(text: str) -> None:
    assert visible(text).isprintable()
    assert shown(text, limit=20).isprintable()
    assert len(shown(text, limit=20)) <= 20 + len("... (cut)")
    if text.isprintable():
        assert visible(text) == text


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("\x1b[2J\x07", r"\x1b[2J\x07"),
        ("\x9b\x7f\x00\r\n", r"\x9b\x7f\x00\x0d\x0a"),
        ("\u202eabc\u2066\u200b\ufeff", r"\u202eabc\u2066\u200b\ufeff"),
        ("\U000e0041", r"\U000e0041"),
        ("Größe 日本 [red]x[/red]", "Größe 日本 [red]x[/red]"),
    ],
)
def test_a_character_that_would_be_obeyed_reads_as_its_escape(text: str, seen: str) -> None:
    assert visible(text) == seen


def test_the_ends_of_a_long_text_are_what_is_looked_at() -> None:
    text = "first\n" + "x" * 10_000_000 + "\nlast\n"
    assert ends(text).startswith("first\n")
    assert last_line(ends(text)) == "last"
    assert len(ends(text)) < 70_000


async def _flood(process: "asyncssh.SSHServerProcess[bytes]") -> None:
    """Print without an end on both streams."""
    while True:
        process.stdout.write(b"x" * 65_536)
        process.stderr.write(b"y" * 65_536)
        await process.stdout.drain()


async def _drip(process: "asyncssh.SSHServerProcess[bytes]") -> None:
    while True:
        process.stdout.write(b" ")
        await asyncio.sleep(0.05)


async def _ask(says: Any, ask: Callable[[AgentClient, NodeOutputs], Awaitable[Any]]) -> Any:
    async with _Node(says) as port:
        mesh, state = _mesh(port)
        return await ask(AgentClient(mesh, lambda: state), mesh.nodes["web-1"])


def test_an_endless_answer_is_cut_off() -> None:
    forget_peak()
    before = peak_kb()
    with pytest.raises(NodeError, match=f"answer was longer than {REPORT_BYTES // 1000} kB and was cut off"):
        asyncio.run(_ask(_flood, lambda agents, node: agents.report(node, "status")))
    assert peak_kb() - before < 100_000  # kB


def test_a_slow_answer_ends_in_time() -> None:
    with pytest.raises(NodeError, match="does not answer"):
        asyncio.run(_ask(_drip, lambda agents, node: agents.run(node, "x", seconds=1)))


@pytest.mark.parametrize("word", ["CONFIRMED x", "CONFIRMED", "", f"UNCHANGED {'ab' * 32}", "INSTALLED x"])
def test_a_commit_of_other_files_is_none(word: str) -> None:
    with pytest.raises(NodeError, match="did not confirm the new files"):
        asyncio.run(_ask(_speaker(f"{word}\n".encode), lambda agents, node: agents.apply(node, "document\n")))


def test_start_files_that_print_do_not_spoil_a_report() -> None:
    async def bash(process: "asyncssh.SSHServerProcess[bytes]") -> None:
        """As root's shell does: print what .bashrc says, then run the line."""
        process.stdout.write(b'Welcome { "to": web-1 }\nCONFIRMED\n')
        line = re.sub(r"python3 -IS \S*wgmesh.pyz status", "cat", process.command or "")
        said = await asyncio.create_subprocess_exec(
            *("bash", "-c", line),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        out, _ = await said.communicate(json.dumps(GOOD).encode())
        process.stdout.write(out)
        process.exit(said.returncode or 0)

    found = asyncio.run(_ask(bash, lambda agents, node: agents.report(node, "status")))
    assert found.state == "idle"


def test_a_node_where_ping_cannot_be_run_is_told_from_one_that_hears_nothing() -> None:
    async def ask() -> Any:
        nothing = _speaker(lambda: b"wgmesh-all-pinged\n")
        broken = _speaker(lambda: b"10.10.0.2 ! ping: unknown iface: wg0\x1b[2J\nwgmesh-all-pinged\n")
        async with _Node(broken) as first, _Node(nothing) as second:
            mesh, state = _mesh(first, second)
            return await measure(mesh, over_ssh(mesh, lambda: state), rounds=1)

    reach = asyncio.run(ask())
    assert reach.problems == {"web-1": r"could not run ping on this node: ping: unknown iface: wg0\x1b[2J"}
    assert len(reach.lost) == 2


def test_markup_is_text() -> None:
    report = parse_report(
        json.dumps({**GOOD, "state": "[red]idle[/red]", "agent": "[/nope]", "differences": []})
    )
    printed = _printed([status.NodeStatus(node="web-1", report=report)])
    assert "[red]idle[/red]" in printed
    assert "[/nope]" in printed


def test_a_flood_of_differences_is_a_table_that_ends() -> None:
    many = tuple(check.Difference(item=f"x{number}", live="a" * 2_000, wanted="b") for number in range(5_000))
    printed = _printed([NodeCheck(node="web-1", differences=many)]).partition("differences from")[2]
    assert "4800 more (--json has all)" in printed
    assert printed.count("\n") < 5_000
