"""A node that makes its WireGuard key itself: nobody else ever has the private half, all its life."""

import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import pytest

from tests.system.test_rotation import streaming
from tests.system.world import World, shown

pytestmark = pytest.mark.hosts

NODES: Final = ("web-1", "web-2", "db-1")
_WEB_1: Final = "10.10.0.1"
UP: Final = ("run", "up", "--yes", "--skip-preview", "--continue-on-error")
_PRIVATE: Final = "wg show wg0 private-key"


def _mesh(world: World, *words: str) -> str:
    run = world.command(sys.executable, "-m", "mesh", *words)
    assert run.code == 0, run.out
    return run.out


def _public_keys(world: World) -> dict[str, str]:
    return {name: node["public_key"] for name, node in world.outputs()["nodes"].items()}


def _set(name: str, **keys: Any) -> Callable[[dict[str, Any]], object]:
    return lambda settings: settings["nodes"][name].update(keys)


def _settled(world: World) -> None:
    """Nodes, state and program agree that nothing is left to do."""
    live = {name: world.on(name, "wg show wg0 public-key").strip() for name in NODES}
    assert live == _public_keys(world)
    assert "all 6 pairs" in world.reach().out
    _mesh(world, "check")
    _mesh(world, "settle")
    world.ok("preview", "--expect-no-changes")


def _nobody_else_has_it(world: World, name: str) -> None:
    """The private key of a node is in no state, no output and nowhere on another node."""
    secret = {name: world.on(name, _PRIVATE).strip()}
    assert shown(world.ok("stack", "export", "--show-secrets"), secret) == []
    assert shown(world.ok("stack", "output", "--json", "--show-secrets"), secret) == []
    for other in NODES:
        if other != name:
            found = world.on(other, f"grep -rlF '{secret[name]}' /etc /var/lib /run /root", check=False)
            assert found == ""


@contextmanager
def _pings(world: World, node: str, to: str) -> "Iterator[None]":
    """Fifty pings a second for as long as this lasts, of which none is lost."""
    pings = world.background(node, f"exec ping -q -i 0.02 {to}")
    try:
        yield
    finally:
        world.on(node, "pkill -INT -x ping", check=False)
        said = pings.communicate(timeout=60)[0]
    sent, received = (int(number) for number in re.findall(r"(\d+) (?:packets transmitted|received)", said))
    assert sent == received > 100, said


@pytest.fixture
def mesh(world: World) -> Iterator[World]:
    """The mesh up; web-2 makes its key itself."""

    def rotates(settings: dict[str, Any]) -> None:
        settings.setdefault("rotation", {})
        settings["nodes"]["web-2"].setdefault("keySource", "node")

    world.edit_mesh(rotates)
    world.up()
    yield world
    world.console("web-2", "systemctl start ssh")


def test_all_keys_rotate_at_once_and_each_way_to_make_them_stays_as_it_is(mesh: World) -> None:
    """By a number in the stack file, while TCP and SSH go on; afterwards no former key is left anywhere."""
    _nobody_else_has_it(mesh, "web-2")
    before, secrets = _public_keys(mesh), mesh.secrets(NODES)
    assert "generation" in _mesh(mesh, "rotate")
    preview = mesh.ok("preview", "--diff")
    for row in ("generations", "rotation", "web-2-own-key"):
        assert f"::{row}]" in preview, row
    assert "<known after up>" in preview
    with streaming(mesh):
        mesh.up()
    assert not before.items() & _public_keys(mesh).items()
    _settled(mesh)
    _nobody_else_has_it(mesh, "web-2")
    former = {name: key for name, key in secrets.items() if name.endswith("private key")}
    for name in NODES:
        key = former[f"{name} private key"]
        assert mesh.on(name, f"grep -rlF '{key}' /etc /var/lib /run /root", check=False) == "", name
        assert mesh.on(name, "ls /sys/class/net | grep ^wg").split() == ["wg0"]
        assert "51821" not in mesh.on(name, "ss -Hlun")
    assert shown(mesh.ok("stack", "export", "--show-secrets"), former) == []


@pytest.mark.long
def test_the_key_rotates_and_nobody_else_ever_has_it(mesh: World) -> None:
    _nobody_else_has_it(mesh, "web-2")
    before, former = _public_keys(mesh), mesh.on("web-2", _PRIVATE).strip()
    _mesh(mesh, "rotate", "web-2")
    preview = mesh.ok("preview", "--diff")
    assert "web-2-own-key" in preview
    assert "<known after up>" in preview
    with _pings(mesh, "web-2", _WEB_1):
        mesh.up()
    now = _public_keys(mesh)
    assert [name for name in NODES if before[name] != now[name]] == ["web-2"]
    _settled(mesh)
    _nobody_else_has_it(mesh, "web-2")
    assert mesh.on("web-2", f"grep -rlF '{former}' /etc /var/lib /run /root", check=False) == ""


@pytest.mark.long
def test_no_key_is_replaced_while_a_node_that_makes_its_own_is_down(mesh: World) -> None:
    before, once = _public_keys(mesh), mesh.stack_file.read_text()
    _mesh(mesh, "rotate")
    mesh.console("web-2", "systemctl stop ssh")
    run = mesh.lab(*UP)
    said = " ".join(run.out.split())
    assert run.code != 0
    assert "these nodes make their keys themselves (`keySource: node`) and give no answer: web-2" in said
    mesh.console("web-2", "systemctl start ssh")
    mesh.stack_file.write_text(once)
    mesh.ok("preview", "--expect-no-changes")
    assert _public_keys(mesh) == before
    _settled(mesh)


@pytest.mark.long
def test_the_key_moves_from_the_state_to_the_node_and_back(mesh: World) -> None:
    """Each time by a rotation; the run after it drops what is left of the other way."""
    for source, generation in (("node", 2), ("state", 3)):
        before = _public_keys(mesh)["db-1"]
        mesh.edit_mesh(_set("db-1", keySource=source))
        refused = mesh.lab("run", "preview")
        assert refused.code != 0
        assert f"write `generation: {generation}` beside" in " ".join(refused.out.split())
        mesh.edit_mesh(_set("db-1", generation=generation))
        with _pings(mesh, "db-1", _WEB_1):
            mesh.up()
        assert _public_keys(mesh)["db-1"] != before
        left = "db-1-identity" if source == "node" else "db-1-own-key"
        assert left in mesh.ok("stack", "export")
        assert re.search(r"\b1 deleted", mesh.up())
        assert left not in mesh.ok("stack", "export")
        _settled(mesh)
        if source == "node":
            _nobody_else_has_it(mesh, "db-1")


@pytest.mark.long
def test_a_server_that_is_made_anew_makes_another_key_and_all_meet_it(mesh: World) -> None:
    before = _public_keys(mesh)
    urn, *_ = re.findall(r'"(urn:[^"]*::web-2-server)"', mesh.ok("stack", "export"))
    with _pings(mesh, "db-1", _WEB_1):
        mesh.ok("up", "--yes", "--skip-preview", "--replace", urn)
    now = _public_keys(mesh)
    assert [name for name in NODES if before[name] != now[name]] == ["web-2"]
    _settled(mesh)
    _nobody_else_has_it(mesh, "web-2")


@pytest.mark.long
def test_a_node_that_lost_its_key_says_so_and_makes_another(mesh: World) -> None:
    before = _public_keys(mesh)
    mesh.on("web-2", "rm -r /var/lib/wgmesh")
    mesh.edit_mesh(_set("web-2", keepalive=20))
    run = mesh.lab(*UP)
    assert run.code != 0
    said = " ".join(run.out.split())
    assert "the node has lost the WireGuard key that it made itself" in said, run.out
    assert "`mesh rotate web-2`" in said
    urn, *_ = re.findall(r"`pulumi up --replace '(urn:[^']*::web-2-keys)'`", said)
    _mesh(mesh, "rotate", "web-2")
    with _pings(mesh, "db-1", _WEB_1):
        mesh.ok("up", "--yes", "--skip-preview", "--replace", urn)
    assert _public_keys(mesh)["web-2"] != before["web-2"]
    _settled(mesh)


@pytest.mark.long
def test_a_node_that_cannot_be_asked_for_the_key_it_has_holds_up_no_other(mesh: World) -> None:
    before = _public_keys(mesh)
    urn, *_ = re.findall(r'"(urn:[^"]*::web-2-own-key)"', mesh.ok("stack", "export"))
    mesh.console("web-2", "systemctl stop ssh")
    mesh.edit_mesh(_set("web-1", public=["tcp/4711"]))
    with _pings(mesh, "web-2", _WEB_1):
        assert mesh.lab(*UP, "--replace", urn).code != 0
        assert "4711" in mesh.on("web-1", "nft list set inet wgmesh public_tcp"), "the others go on"
        status = mesh.command(sys.executable, "-m", "mesh", "status")
        assert "web-1" in status.out
        assert "Traceback" not in status.out
        mesh.console("web-2", "systemctl start ssh")
        mesh.up()
    assert _public_keys(mesh) == before
    _settled(mesh)


@pytest.mark.long
def test_a_server_that_is_made_anew_in_the_middle_of_a_rotation_is_met_after_a_word(mesh: World) -> None:
    """Its peers still wait for the key of the former server, which nobody has any more."""
    _mesh(mesh, "rotate", "db-1")
    mesh.console("web-2", "systemctl stop ssh")
    assert mesh.lab(*UP).code != 0
    urn, *_ = re.findall(r'"(urn:[^"]*::web-2-server)"', mesh.ok("stack", "export"))
    with _pings(mesh, "db-1", _WEB_1):
        refused = mesh.lab(*UP, "--replace", urn)
        assert refused.code != 0
        assert "REFUSED keys are being rotated" in refused.out, refused.out
        _mesh(mesh, "settle", "--without", "web-2")
        mesh.up()
    _settled(mesh)
