import asyncio
import json
import socket
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from mesh.cli.engine import CliError
from mesh.cli.outputs import read_outputs
from mesh.cli.reach import Reach, in_ipv6, measure, over
from mesh.cli.reach_table import as_json, in_words, table
from mesh.outputs import MeshOutputs
from tests.unit.cli.stack import KEY, OUTPUTS, UNKNOWN, changed, engine, type_command

REPOSITORY = Path(__file__).parents[3]

# Stands on PATH for the real one: answers as iputils does, from the lines `<node> <address>` of a file.
PING = """#!/bin/sh
for address; do :; done
echo "$WGMESH_NODE $address" >>"$WGMESH_WORLD/tried"
grep -qx "$WGMESH_NODE $address" "$WGMESH_WORLD/answers" || exit 1
echo "rtt min/avg/max/mdev = 0.500/0.500/0.500/0.000 ms"
"""


@pytest.fixture
def mesh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MeshOutputs:
    (tmp_path / "bin").mkdir()
    ping = tmp_path / "bin" / "ping"
    ping.write_text(PING)
    ping.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    monkeypatch.setenv("WGMESH_WORLD", str(tmp_path))
    return read_outputs(engine(tmp_path, OUTPUTS), None)


VIA = "env WGMESH_NODE={node}"


def _measure(mesh: MeshOutputs, folder: Path, answers: str, *, rounds: int = 1) -> Reach:
    (folder / "answers").write_text(answers)
    return asyncio.run(measure(mesh, over(VIA), rounds=rounds))


def test_every_ordered_pair_is_pinged_from_its_own_node(mesh: MeshOutputs, tmp_path: Path) -> None:
    reach = _measure(mesh, tmp_path, "web-1 10.10.0.11\ndb-1 10.10.0.2\n")
    assert reach.pairs == {("web-1", "db-1"): 0.5, ("db-1", "web-1"): 0.5}
    assert reach.lost == []


def test_one_direction_that_is_lost_is_told_from_the_other(mesh: MeshOutputs, tmp_path: Path) -> None:
    reach = _measure(mesh, tmp_path, "web-1 10.10.0.11\n")
    assert reach.lost == [("db-1", "web-1")]


def test_only_pairs_that_failed_are_tried_again(mesh: MeshOutputs, tmp_path: Path) -> None:
    _measure(mesh, tmp_path, "web-1 10.10.0.11\n", rounds=3)
    tried = (tmp_path / "tried").read_text().splitlines()
    assert sorted(tried) == ["db-1 10.10.0.2"] * 3 + ["web-1 10.10.0.11"]


def test_a_node_that_is_out_is_not_asked_for(mesh: MeshOutputs, tmp_path: Path) -> None:
    out = replace(mesh, nodes={**mesh.nodes, "db-1": replace(mesh.nodes["db-1"], enabled=False)})
    reach = _measure(out, tmp_path, "")
    assert reach.pairs == {}
    assert not (tmp_path / "tried").exists()
    console = Console(width=80)
    with console.capture() as printed:
        console.print(table(out, reach))
    assert "db-1" not in printed.get()


def _both(mesh: MeshOutputs) -> MeshOutputs:
    own = {"web-1": "fd00::2", "db-1": "fd00::b"}
    nodes = {name: replace(node, address6=own[name]) for name, node in mesh.nodes.items()}
    return replace(mesh, nodes=nodes)


def test_in_ipv6_the_other_addresses_are_pinged(mesh: MeshOutputs, tmp_path: Path) -> None:
    assert in_ipv6(mesh) is None
    six = in_ipv6(_both(mesh))
    assert six is not None
    reach = _measure(six, tmp_path, "web-1 fd00::b\n")
    assert reach.pairs == {("web-1", "db-1"): 0.5, ("db-1", "web-1"): None}


@pytest.mark.parametrize(
    ("lost", "lost6", "words"),
    [
        ([], [("a", "b")], "in IPv6: no answer: a -> b"),
        ([("a", "b")], [], "in IPv4: no answer: a -> b"),
        ([("a", "b")], [("b", "a")], "in IPv4: no answer: a -> b; in IPv6: no answer: b -> a"),
        ([("a", "b")], [("a", "b")], "no answer: a -> b"),
    ],
)
def test_what_is_lost_is_told_by_family_where_they_differ(
    lost: list[tuple[str, str]], lost6: list[tuple[str, str]], words: str
) -> None:
    def reach(pairs: list[tuple[str, str]]) -> Reach:
        return Reach(
            pairs={pair: None if pair in pairs else 0.5 for pair in (("a", "b"), ("b", "a"))}, problems={}
        )

    assert in_words(reach(lost), reach(lost6)) == words
    told = json.loads(as_json(reach(lost), reach(lost6)))
    assert told["good"] is False
    assert told["pairs"]["a"]["b"] == (None if ("a", "b") in lost else 0.5)
    assert told["pairs6"]["b"]["a"] == (None if ("b", "a") in lost6 else 0.5)


def test_a_way_in_that_is_not_there_is_named(mesh: MeshOutputs) -> None:
    with pytest.raises(CliError, match="--via: `no-such-tool` is not on PATH"):
        asyncio.run(measure(mesh, over("no-such-tool {node}"), rounds=1))


def test_the_table_shows_time_and_loss(mesh: MeshOutputs) -> None:
    console = Console(width=80, record=True, file=None, force_terminal=False)
    reach = Reach(pairs={("web-1", "db-1"): 0.5, ("db-1", "web-1"): None}, problems={})
    with console.capture() as printed:
        console.print(table(mesh, reach))
    web, db = [line for line in printed.get().splitlines() if line.startswith(("│ web-1", "│ db-1"))]
    assert "0.5" in web
    assert "lost" in db
    assert "10.10.0.11" in printed.get()


def test_an_answer_costs_no_program_beside_ping(
    mesh: MeshOutputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "only").mkdir()
    ping = tmp_path / "only" / "ping"
    ping.write_text('#!/bin/sh\necho "rtt min/avg/max/mdev = 0.250/0.250/0.250/0.000 ms"\n')
    ping.chmod(0o755)
    for name in ("env", "sh"):
        (tmp_path / "only" / name).symlink_to(f"/usr/bin/{name}")
    monkeypatch.setenv("PATH", str(tmp_path / "only"))
    assert set(asyncio.run(measure(mesh, over(VIA), rounds=1)).pairs.values()) == {0.25}


def test_a_command_that_has_said_all_may_end_by_itself(mesh: MeshOutputs, tmp_path: Path) -> None:
    (tmp_path / "answers").write_text("web-1 10.10.0.11\ndb-1 10.10.0.2\n")
    script = tmp_path / "slow-to-end"
    script.write_text(f'#!/bin/sh\n"$@"\nexec >&-\nsleep 0.3\necho "$1" >>{tmp_path / "ended"}\n')
    script.chmod(0o755)
    asyncio.run(measure(mesh, over(f"{script} {VIA}"), rounds=1))
    assert (tmp_path / "ended").read_text().splitlines() == ["env"] * len(mesh.nodes)


def test_one_that_never_stops_talking_is_cut_off_though_another_process_talks_for_it(
    mesh: MeshOutputs, tmp_path: Path
) -> None:
    script = tmp_path / "flood"
    script.write_text("#!/bin/sh\nyes &\nwait\n")
    script.chmod(0o755)
    reach = asyncio.run(measure(mesh, over(f"{script} {{node}}"), rounds=1))
    assert set(reach.problems) == set(mesh.nodes)
    assert all("longer than 64 kB and was cut off" in problem for problem in reach.problems.values())


@pytest.mark.parametrize(
    ("answers", "code", "said"),
    [
        ("web-1 10.10.0.11\ndb-1 10.10.0.2\n", 0, "all 2 pairs reach each other"),
        ("web-1 10.10.0.11\n", 1, "error: no answer: db-1 -> web-1"),
    ],
)
def test_the_exit_code_tells_whether_all_reach_all(
    mesh: MeshOutputs, tmp_path: Path, answers: str, code: int, said: str
) -> None:
    (tmp_path / "answers").write_text(answers)
    result = type_command(tmp_path, OUTPUTS, "reach", "--via", VIA, "--rounds", "1")
    assert result.returncode == code
    assert said in result.stdout + result.stderr
    assert "Traceback" not in result.stderr


def test_a_node_that_was_never_made_is_named_and_the_others_are_pinged(
    mesh: MeshOutputs, tmp_path: Path
) -> None:
    (tmp_path / "answers").write_text("web-1 10.10.0.11\n")
    outputs = changed(db_1={"public_ip": UNKNOWN})
    result = type_command(tmp_path, outputs, "reach", "--via", VIA, "--rounds", "1")
    assert result.returncode == 1
    assert "db-1: not made yet: run `up` again\n" in result.stdout
    assert result.stderr == "error: not tested, because it could not be reached or does not exist yet: db-1\n"


def test_why_a_node_cannot_be_asked_stands_under_the_table(mesh: MeshOutputs, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and nobody listens
        port = taken.getsockname()[1]
        here = {
            "public_ip": "127.0.0.1",
            "ssh_port": float(port),
            "host_key": KEY.export_public_key().decode(),
        }
        result = type_command(tmp_path, changed(db_1=here, web_1=here), "reach", "--rounds", "1")
    assert result.returncode == 1
    for node in ("web-1", "db-1"):
        assert f"\n{node}: 127.0.0.1 refuses connections to port {port}\n" in result.stdout
    assert "error: no answer: web-1 -> db-1, db-1 -> web-1" in result.stderr


def _star(mesh: MeshOutputs) -> MeshOutputs:
    """web-1 - db-1 - web-2."""
    one = mesh.nodes["web-1"]
    nodes = {
        "web-1": replace(one, address="10.10.0.1", reaches=frozenset({"db-1"})),
        "db-1": replace(one, name="db-1", address="10.10.0.2", reaches=frozenset({"web-1", "web-2"})),
        "web-2": replace(one, name="web-2", address="10.10.0.3", reaches=frozenset({"db-1"})),
    }
    return replace(mesh, nodes=nodes)


def test_pairs_without_a_link_are_not_pinged_and_shown_as_such(mesh: MeshOutputs, tmp_path: Path) -> None:
    star = _star(mesh)
    reach = _measure(
        star, tmp_path, "".join(f"{name} 10.10.0.{to}\n" for name in star.nodes for to in (1, 2, 3))
    )
    assert reach.lost == []
    assert {name: [to for of, to in reach.pairs if of == name] for name in star.nodes} == {
        "web-1": ["db-1"],
        "db-1": ["web-1", "web-2"],
        "web-2": ["db-1"],
    }
    console = Console(width=80)
    with console.capture() as printed:
        console.print(table(star, reach))
    assert "-: no link" in printed.get()
    assert "lost" not in printed.get()


def test_a_list_of_whom_a_node_reaches_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CliError, match="a list `reaches` that is no list of names"):
        read_outputs(engine(tmp_path, changed(web_1={"reaches": "db-1"})), None)
