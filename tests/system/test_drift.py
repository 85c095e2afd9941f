"""`python -m mesh check` and `status` on a whole rehearsal: what an operator types, sees and gets back."""

import json
import sys
from typing import Any

import pytest

from lab.hosts import Lab
from tests.system.world import Run, World

pytestmark = pytest.mark.hosts

NODES = ("web-1", "web-2", "db-1")


@pytest.fixture(scope="module")
def mesh(world: World) -> World:
    world.up()
    return world


def _mesh(world: World, *words: str) -> Run:
    return world.command(sys.executable, "-m", "mesh", *words)


def _json(world: World, *words: str) -> tuple[int, Any]:
    run = _mesh(world, *words, "--json")
    return run.code, json.loads(run.out[: run.out.rindex("}") + 1])


def test_right_after_up_nothing_differs(mesh: World) -> None:
    run = _mesh(mesh, "check")
    assert run.code == 0, run.out
    assert "all 3 nodes are what the stack says" in run.out


def test_a_change_by_hand_is_shown_and_repaired(mesh: World) -> None:
    mesh.on("web-2", "ip link set wg0 mtu 1300; nft add rule inet wgmesh input tcp dport 99 accept")
    run = _mesh(mesh, "check")
    assert run.code == 1
    for shown in ("MTU", "1300", "1420", "tcp dport 99 accept", "not what the stack says: web-2"):
        assert shown in run.out
    code, found = _json(mesh, "check")
    assert code == 1
    assert [found["nodes"][node]["good"] for node in NODES] == [True, False, True]
    assert {"item": "MTU", "live": "1300", "wanted": "1420"} in found["nodes"]["web-2"]["differences"]
    assert not mesh.lab("run", "preview", "--expect-no-changes").code, "the engine itself does not look"
    run = _mesh(mesh, "check", "--repair")
    assert run.code == 0, run.out
    assert "repaired" in run.out
    assert _json(mesh, "check")[0] == 0


def test_no_output_holds_a_secret(mesh: World) -> None:
    mesh.on(
        "db-1", "wg genkey >/run/k; wg set wg0 private-key /run/k; echo x >>/var/lib/wgmesh/current/wg0.conf"
    )
    said = "".join(
        _mesh(mesh, *words).out
        for words in (["check"], ["check", "--json"], ["status"], ["check", "--repair"])
    )
    keys = mesh.on("db-1", "cat /run/k /var/lib/wgmesh/keys/*; rm /run/k").split()
    assert len(keys) >= 4
    assert not [key for key in keys if key[:20] in said]
    assert "PRIVATE KEY" not in said
    assert _mesh(mesh, "check").code == 0


def test_status_shows_who_hears_whom(mesh: World) -> None:
    run = _mesh(mesh, "status")
    assert run.code == 0, run.out
    for shown in (*NODES, "s ago", " B "):
        assert shown in run.out
    code, found = _json(mesh, "status")
    assert code == 0
    assert all(len(found[node]["peers"]) == 2 for node in NODES)


def test_a_node_that_is_down_is_named_and_the_others_are_checked(mesh: World) -> None:
    hosts = Lab(mesh.folder / ".lab" / "cloud", mesh.folder / ".lab" / "image")
    hosts.stop(hosts.find("lab-db-1"), graceful=False)
    mesh.on("web-1", "sysctl -q net.ipv4.tcp_syncookies=0")
    code, found = _json(mesh, "check", "--repair")
    assert code == 1
    assert found["nodes"]["db-1"]["problem"]
    assert [each["item"] for each in found["nodes"]["web-1"]["repaired"]] == [
        "sysctl net.ipv4.tcp_syncookies"
    ]
    assert found["nodes"]["web-2"]["good"]
    assert _mesh(mesh, "status").code == 1
