"""Keys rotate by a number in the stack file, from the preview to the state in which no former key is left."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import pytest

from lab.testing import Console, Run, interrupt, traffic, wait
from tests.system.world import World, shown

pytestmark = pytest.mark.hosts

NODES: Final = ("web-1", "web-2", "db-1")
UP: Final = ("run", "up", "--yes", "--skip-preview", "--continue-on-error")
_ECHO: Final = """
import socket
waiting = socket.create_server(("10.10.0.2", 9001))
print("ready", flush=True)
while True:
    other, _ = waiting.accept()
    with other:
        while data := other.recv(4096):
            other.sendall(data)
"""
# One connection, on which a number goes there and back fifty times a second, until a file says enough.
_STREAM: Final = """
import os, socket, time
stream = socket.create_connection(("10.10.0.2", 9001))
print("ready", flush=True)
number = 0
while not os.path.exists("/run/enough"):
    stream.sendall(b"%8d" % number)
    back = b""
    while len(back) < 8:
        back += stream.recv(8 - len(back)) or b"closed!!"
    assert int(back) == number
    number += 1
    time.sleep(0.02)
print(number, flush=True)
"""
_SESSION_KEY: Final = "/run/session-key"
# The same in one session of SSH, in which somebody types a line ten times a second.
_SESSION: Final = f"""
import os, subprocess, time
quiet = ["BatchMode=yes", "StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "LogLevel=ERROR"]
argv = ["ssh", "-i", "{_SESSION_KEY}", *("-o" + each for each in quiet), "root@10.10.0.2", "exec cat"]
number = 0
with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0) as session:
    while not os.path.exists("/run/enough"):
        line = str(number).encode() + b"\\n"
        session.stdin.write(line)
        assert session.stdout.readline() == line
        if not number:
            print("ready", flush=True)
        number += 1
        time.sleep(0.1)
    session.stdin.close()
print(number, flush=True)
"""


# With its file as it is: WireGuard forgets all sessions, and begins them again.
_SHAKES_HANDS_ANEW: Final = (
    "wg set wg0 private-key /dev/null; wg-quick strip wg0 >/run/as-it-was; wg setconf wg0 /run/as-it-was; "
    "rm /run/as-it-was"
)


def _mesh(world: World, *words: str) -> Run:
    return world.command(sys.executable, "-m", "mesh", *words)


def _ok(run: Run) -> str:
    assert run.code == 0, run.out
    return run.out


def _public_keys(world: World) -> dict[str, str]:
    return {name: node["public_key"] for name, node in world.outputs()["nodes"].items()}


def _live(world: World) -> dict[str, str]:
    return {name: world.on(name, "wg show wg0 public-key").strip() for name in NODES}


def _rotation(world: World, name: str) -> Any:
    return json.loads(world.on(name, "python3 -IS /usr/local/lib/wgmesh/wgmesh.pyz status"))["rotation"]


def _is_over(world: World, name: str) -> bool:
    found = _rotation(world, name)
    return found is None or bool(found["phase"] == "linger")


def _settled(world: World) -> None:
    """Nodes, state and program agree that nothing is left to do, and nothing of a rotation is left."""
    assert _live(world) == _public_keys(world)
    for name in NODES:
        assert world.on(name, "ls /sys/class/net | grep ^wg").split() == ["wg0"]
        assert "51821" not in world.on(name, "ss -Hlun")
    assert "all 6 pairs" in world.reach().out
    _ok(_mesh(world, "check"))
    _ok(_mesh(world, "settle"))
    _ok(world.lab("run", "preview", "--expect-no-changes"))


@pytest.fixture
def mesh(world: World) -> Iterator[World]:
    """The mesh up, whose keys have rotated or not, with nobody's sshd stopped."""
    world.edit_mesh(lambda settings: settings.setdefault("rotation", {}))
    world.up()
    yield world
    world.console("db-1", "systemctl start ssh")


@contextmanager
def streaming(world: World) -> "Iterator[None]":
    """A TCP connection and an SSH session from web-1 to web-2, open for as long as this lasts."""
    key = world.outputs()["ssh_private_key"]
    world.on("web-1", "rm -f /run/enough")
    world.write("web-1", _SESSION_KEY, key)
    running: list[subprocess.Popen[str]] = []
    try:
        for node, script in (("web-2", _ECHO), ("web-1", _STREAM), ("web-1", _SESSION)):
            running.append(world.background(node, f"exec python3 -u -c '{script}'"))
            assert running[-1].stdout is not None
            assert running[-1].stdout.readline() == "ready\n"
        yield
        world.on("web-1", "touch /run/enough")
        for each, least in zip(running[1:], (100, 20), strict=True):
            printed = each.communicate(timeout=60)[0]
            assert int(printed) > least, "it never broke"
    finally:
        world.on("web-1", f"rm {_SESSION_KEY}")
        world.on("web-2", "pkill -f create_server", check=False)
        for each in running:
            each.kill()
            each.wait()


@pytest.mark.long
def test_a_number_in_the_stack_file_is_all_there_is_to_do(mesh: World) -> None:
    before, secrets = _public_keys(mesh), mesh.secrets(NODES)
    said = _ok(_mesh(mesh, "rotate"))
    assert "generation" in said
    preview = mesh.ok("preview", "--diff")
    for row in ("generations", "rotation"):
        assert f"::{row}]" in preview, row
    with streaming(mesh):
        mesh.up()
    assert not before.items() & _public_keys(mesh).items()
    _settled(mesh)
    for name in NODES:
        key = secrets[f"{name} private key"]
        assert mesh.on(name, f"grep -rlF '{key}' /etc /var/lib /run /root", check=False) == "", name
    former = {name: key for name, key in secrets.items() if name.endswith("private key")}
    assert shown(mesh.ok("stack", "export", "--show-secrets"), former) == []


@pytest.mark.long
def test_one_node_and_the_pre_shared_keys(mesh: World) -> None:
    before, secrets = _public_keys(mesh), mesh.secrets(NODES)
    _ok(_mesh(mesh, "rotate", "web-2", "--preshared"))
    with streaming(mesh):
        mesh.up()
    now = _public_keys(mesh)
    assert [name for name in NODES if before[name] != now[name]] == ["web-2"]
    _settled(mesh)
    name = "db-1"
    key = secrets[f"{name} first pre-shared key"]
    assert mesh.on(name, f"grep -rlF '{key}' /etc /var/lib /run /root", check=False) == ""


@pytest.mark.long
def test_a_node_that_is_late_holds_the_others_and_is_named(mesh: World) -> None:
    """Its wg0 goes on all the while; a second rotation is refused before a key of it is made."""
    _ok(_mesh(mesh, "rotate"))
    mesh.console("db-1", "systemctl stop ssh")
    with streaming(mesh):
        run = mesh.lab(*UP)
        assert run.code != 0
        assert "db-1" in run.out
        assert "these pairs go on with the old keys" in " ".join(run.out.split()), run.out
        assert "all 6 pairs" in mesh.reach().out
        assert _rotation(mesh, "web-1")["pairs"]["db-1"]["waits"]
        mesh.console("db-1", "systemctl start ssh")
        once, keys = mesh.stack_file.read_text(), _public_keys(mesh)
        _ok(_mesh(mesh, "rotate"))
        run = mesh.lab(*UP)
        assert run.code != 0
        assert "the rotation before this one is not done" in " ".join(run.out.split()), run.out
        assert _public_keys(mesh) == keys
        mesh.stack_file.write_text(once)
        mesh.up()
    wait(lambda: all(_is_over(mesh, name) for name in NODES), 120)
    _settled(mesh)


@pytest.mark.long
@pytest.mark.parametrize(
    ("moment", "begun"), [("-apply updated", {True, False}), ("rotation updating", {True})]
)
def test_up_killed_in_the_middle_leaves_the_nodes_to_go_on_and_the_next_one_ends_it(
    mesh: World, moment: str, begun: set[bool]
) -> None:
    """When one node has its files; and while all are asked how far they are, which they do not need."""
    before = _public_keys(mesh)
    _ok(_mesh(mesh, "rotate"))
    lab, addresses = mesh.hosts, {name: node["address"] for name, node in mesh.outputs()["nodes"].items()}
    consoles = {name: Console(lab, lab.find(f"lab-{name}")) for name in NODES}
    with traffic(consoles, addresses, rate=50.0) as seen:
        interrupt(mesh, [*UP[1:], "--parallel", "1"], moment, signal.SIGKILL)
        assert {_rotation(mesh, name) is not None for name in NODES} == begun
        if False not in begun:
            wait(lambda: all(_is_over(mesh, name) for name in NODES), 120)
        assert "all 6 pairs" in mesh.reach().out
        mesh.up()
        wait(lambda: all(_is_over(mesh, name) for name in NODES), 120)
    assert not seen.lost, str(seen)
    assert not before.items() & _public_keys(mesh).items()
    _ok(mesh.lab("run", "up", "--yes", "--skip-preview", "--expect-no-changes"))
    _settled(mesh)


@pytest.mark.long
def test_a_node_that_was_taken_out_in_the_middle_comes_back_after_the_next_rotation(mesh: World) -> None:
    """It still waits for keys that nobody has any more: `up` tells it so."""
    _ok(_mesh(mesh, "rotate"))
    mesh.console("web-2", "systemctl stop ssh")
    try:
        assert mesh.lab(*UP).code != 0
        assert _rotation(mesh, "db-1")["phase"] == "both"
        mesh.console("db-1", "systemctl stop ssh")
    finally:
        mesh.console("web-2", "systemctl start ssh")
    mesh.edit_mesh(lambda settings: settings["nodes"]["db-1"].update(enabled=False))
    mesh.lab(*UP)
    _ok(_mesh(mesh, "rotate"))
    mesh.up()
    assert _rotation(mesh, "db-1")["phase"] == "both", "nobody has told it"
    mesh.console("db-1", "systemctl start ssh")
    mesh.edit_mesh(lambda settings: settings["nodes"]["db-1"].pop("enabled"))
    mesh.up()
    wait(lambda: all(_is_over(mesh, name) for name in NODES), 120)
    _settled(mesh)


@pytest.mark.long
def test_ssh_keys_rotate_and_every_node_stays_open(mesh: World) -> None:
    """Twice: host keys are of another kind after each time."""
    servers, keys = {name: mesh.on(name, "cat /etc/machine-id") for name in NODES}, _public_keys(mesh)
    for _ in range(2):
        before = mesh.outputs()
        _ok(_mesh(mesh, "rotate", "--ssh"))
        mesh.up()
        now = mesh.outputs()
        assert now["ssh_private_key"] != before["ssh_private_key"]
        for name in NODES:
            assert now["nodes"][name]["host_key"] != before["nodes"][name]["host_key"]
            _ok(_mesh(mesh, "ssh", name, "true"))
        mesh.up()
        lines = mesh.on("db-1", "sed -n '/BEGIN wgmesh/,/END wgmesh/p' /root/.ssh/authorized_keys")
        assert lines.count("wireguard-mesh\n") == 1
    assert {name: mesh.on(name, "cat /etc/machine-id") for name in NODES} == servers
    assert _public_keys(mesh) == keys
    _settled(mesh)


@pytest.mark.long
def test_a_revoked_node_shakes_hands_with_nobody_and_comes_back_with_another_key_alone(mesh: World) -> None:
    """An attacker has its key, and goes on with all that the node had."""

    def revoke(settings: dict[str, Any]) -> None:
        settings["nodes"]["web-2"]["revoked"] = True

    def trust_again(settings: dict[str, Any]) -> None:
        node = settings["nodes"]["web-2"]
        del node["revoked"]
        node["generation"] = node.get("generation", 1) + 1

    key = _public_keys(mesh)["web-2"]
    mesh.edit_mesh(revoke)
    mesh.up()
    for name in ("web-1", "db-1"):
        assert key not in mesh.on(name, "wg show wg0 peers")
    before = mesh.on("web-2", "wg show wg0 latest-handshakes")
    assert mesh.on("web-2", "wg show wg0 public-key").strip() == key, "it still has what it had"
    mesh.on("web-2", _SHAKES_HANDS_ANEW)
    for address in ("10.10.0.1", "10.10.0.11"):
        assert "0 received" in mesh.on("web-2", f"ping -c 5 -i 0.5 -W 1 {address}", check=False)
    after = mesh.on("web-2", "wg show wg0 latest-handshakes")
    assert {line.split()[1] for line in after.splitlines()} == {"0"}, (before, after)
    mesh.edit_mesh(trust_again)
    mesh.up()
    assert _public_keys(mesh)["web-2"] != key
    _settled(mesh)


def _at(address: str) -> Callable[[dict[str, Any]], object]:
    return lambda settings: settings["nodes"]["db-1"].update(address=address)


@pytest.mark.long
def test_a_node_that_gets_another_address_in_the_same_run_rotates_along(mesh: World) -> None:
    """Peers know each other by name: the addresses move in their own steps."""
    address = "10.10.0.12"
    for wanted in (address, "10.10.0.11"):
        before = _public_keys(mesh)
        _ok(_mesh(mesh, "rotate"))
        mesh.edit_mesh(_at(wanted))
        with streaming(mesh):
            for _ in range(3):  # both addresses, then the new one first, then it alone
                mesh.up()
        assert not before.items() & _public_keys(mesh).items()
        _settled(mesh)
        assert mesh.on("db-1", "ip -4 -o address show dev wg0 | awk '{print $4}'").split() == [f"{wanted}/24"]
