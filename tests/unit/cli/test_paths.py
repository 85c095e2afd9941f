"""`mesh reach --mtu`, with stand-ins for `ping` and `ip` that know how large a packet may be."""

import asyncio
import json
from pathlib import Path as Folder

import pytest
from rich.console import Console

from mesh.cli.check import NodeCheck, with_paths
from mesh.cli.outputs import read_outputs
from mesh.cli.paths import Path, Paths, probe
from mesh.cli.paths_table import as_json, holes_in_words, table
from mesh.cli.reach import over
from mesh.cli.results import bad
from mesh.outputs import MeshOutputs
from tests.unit.cli.stack import OUTPUTS, engine

# A line of the file `sizes`: node, address, bytes of a whole packet that pass.
# web-1 loses as many pings as the file `asleep` has lines.
PING = """#!/bin/sh
if [ "$WGMESH_NODE" = web-1 ] && [ -s "$WGMESH_WORLD/asleep" ]; then
    sed -i 1d "$WGMESH_WORLD/asleep"; exit 1
fi
for word; do [ "$last" = -s ] && size=$word; last=$word; done
read -r _ _ most <<EOF
$(grep "^$WGMESH_NODE $last " "$WGMESH_WORLD/sizes")
EOF
[ $((size + 28)) -le "${most:-0}" ]
"""
IP = """#!/bin/sh
echo "$3 dev wg0 src 10.10.0.2 uid 0"
echo "    cache mtu 1320"
"""
VIA = "env WGMESH_NODE={node}"


@pytest.fixture
def mesh(tmp_path: Folder, monkeypatch: pytest.MonkeyPatch) -> MeshOutputs:
    (tmp_path / "bin").mkdir()
    for name, script in (("ping", PING), ("ip", IP)):
        (tmp_path / "bin" / name).write_text(script)
        (tmp_path / "bin" / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    monkeypatch.setenv("WGMESH_WORLD", str(tmp_path))
    return read_outputs(engine(tmp_path, OUTPUTS), None)


def _probe(mesh: MeshOutputs, folder: Folder, sizes: str) -> Paths:
    (folder / "sizes").write_text(sizes)
    return asyncio.run(probe(mesh, over(VIA)))


def test_packets_of_the_full_size_pass(mesh: MeshOutputs, tmp_path: Folder) -> None:
    paths = _probe(mesh, tmp_path, "web-1 10.10.0.11 1320\ndb-1 10.10.0.2 1400\n")
    whole = Path(mtu=1320, passes=1320)
    assert paths == Paths(pairs={("web-1", "db-1"): whole, ("db-1", "web-1"): whole}, problems={})
    assert json.loads(as_json(paths))["good"] is True


@pytest.mark.parametrize("most", [84, 85, 700, 1233, 1319])
def test_the_size_that_passes_is_found(mesh: MeshOutputs, tmp_path: Folder, most: int) -> None:
    paths = _probe(mesh, tmp_path, f"web-1 10.10.0.11 {most}\ndb-1 10.10.0.2 1400\n")
    assert paths.holes == {("web-1", "db-1"): Path(mtu=1320, passes=most)}
    assert json.loads(as_json(paths))["pairs"]["web-1"] == {"db-1": {"mtu": 1320, "passes": most}}


def test_a_pair_without_any_answer_is_no_black_hole(mesh: MeshOutputs, tmp_path: Folder) -> None:
    paths = _probe(mesh, tmp_path, "db-1 10.10.0.2 1400\n")
    assert (paths.holes, paths.lost) == ({}, [("web-1", "db-1")])
    assert json.loads(as_json(paths))["good"] is False


@pytest.mark.parametrize("pings", [1, 2, 3])
def test_a_tunnel_that_wakes_up_meanwhile_is_no_black_hole(
    mesh: MeshOutputs, tmp_path: Folder, pings: int
) -> None:
    (tmp_path / "asleep").write_text("z\n" * pings)
    paths = _probe(mesh, tmp_path, "web-1 10.10.0.11 1320\n")
    assert paths.holes == {}


def test_a_node_without_ping_is_told(mesh: MeshOutputs, tmp_path: Folder) -> None:
    (tmp_path / "bin" / "ping").unlink()
    (tmp_path / "bin" / "sh").symlink_to("/bin/sh")
    via = f"env PATH={tmp_path / 'bin'} WGMESH_NODE={{node}}"
    paths = asyncio.run(probe(mesh, over(via)))
    assert paths.problems["web-1"] == "could not run ping on this node: ping is not installed"


def _of(*holes: tuple[str, str, int], names: str = "abcd") -> Paths:
    pairs: dict[tuple[str, str], Path | None] = {
        (one, other): Path(mtu=1420, passes=1420) for one in names for other in names if one != other
    }
    return Paths(
        pairs=pairs | {(one, other): Path(mtu=1420, passes=size) for one, other, size in holes}, problems={}
    )


def test_a_node_whose_paths_are_all_narrow_is_the_one_to_change() -> None:
    holes = [(one, other, 1328) for one, other in (*zip("ddd", "abc"), *zip("abc", "ddd"))]  # noqa: B905
    assert holes_in_words(_of(*holes)) == (
        "black hole: a <-> d: of 1420 bytes, 1328 pass; b <-> d: of 1420 bytes, 1328 pass; "
        "c <-> d: of 1420 bytes, 1328 pass. "
        "Set `underlayMtu: 1408` for d in the stack file (with `mtu: auto`), and run `up`"
    )


def test_one_narrow_pair_has_two_ends() -> None:
    assert holes_in_words(_of(("a", "b", 1328))) == (
        "black hole: a -> b: of 1420 bytes, 1328 pass. Set `underlayMtu: 1408` for the node with the narrow "
        "network in the stack file (with `mtu: auto`), and run `up`"
    )


def test_less_than_the_mesh_can_have_is_for_the_networks_owner() -> None:
    assert holes_in_words(_of(("a", "b", 1199))).endswith("less than 1280 bytes: ask its owner")


def test_many_pairs_are_not_all_listed() -> None:
    holes = [(one, other, 1328) for one in "abcde" for other in "abcde" if one != other]
    assert "; d <-> e" not in holes_in_words(_of(*holes, names="abcde"))
    assert " and 4 more. Set" in holes_in_words(_of(*holes, names="abcde"))


@pytest.mark.parametrize("width", [40, 120])
def test_the_table_shows_what_passes(mesh: MeshOutputs, width: int) -> None:
    hole = Path(mtu=1420, passes=1328)
    paths = Paths(pairs={("web-1", "db-1"): hole, ("db-1", "web-1"): None}, problems={})
    console = Console(width=width, force_terminal=False)
    with console.capture() as printed:
        console.print(table(mesh, paths, width=width))
    assert ("1328 of 1420" if width == 120 else "1328") in printed.get()


def test_a_check_has_the_black_holes_at_the_node_where_they_begin() -> None:
    found = with_paths([NodeCheck(node="a"), NodeCheck(node="b")], _of(("a", "b", 1328)))
    assert bad(found) == ["a"]
    (path,) = found[0].paths
    assert (path.item, path.live, path.wanted) == ("path to b", "1328 bytes pass", "1420 bytes")
