"""The main job on real hosts: up, unchanged, preview, add, reboot, remove, down."""

import difflib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from lab.hosts.router import Router
from lab.testing import wait
from tests.system.world import World, shown

pytestmark = pytest.mark.hosts

NODES = ("web-1", "web-2", "db-1")


@pytest.fixture
def mesh(world: World) -> World:
    """The three nodes of stacks/Pulumi.lab.yaml, up."""
    world.bring()
    return world


def _requests(world: World) -> list[str]:
    """The writing requests the cloud has answered so far."""
    log = (world.folder / ".lab" / "cloud" / "access.log").read_text()
    return [line for line in log.splitlines() if re.search(r"\b(POST|PUT|DELETE|PATCH)\b", line)]


def test_every_node_reaches_every_other_one(mesh: World) -> None:
    run = mesh.reach()
    assert run.code == 0, run.out
    assert "all 6 pairs reach each other" in run.out


def test_a_second_up_changes_nothing_and_touches_nothing(mesh: World) -> None:
    connections = {node: mesh.ssh_connections(node) for node in NODES}
    requests = _requests(mesh)
    printed = mesh.up()
    assert "unchanged" in printed
    assert not re.search(r"\d+ (created|updated|replaced|deleted)", printed)
    assert {node: mesh.ssh_connections(node) for node in NODES} == connections
    assert _requests(mesh) == requests
    assert mesh.lab("run", "preview", "--expect-no-changes").code == 0


def test_wireguard_on_a_node_is_what_its_users_expect(mesh: World) -> None:
    conf = mesh.on("web-1", "cat /etc/wireguard/wg0.conf")
    assert len(re.findall(r"^\[Peer\]$", conf, re.MULTILINE)) == 2
    assert len(re.findall(r"^PrivateKey = [A-Za-z0-9+/]{43}=$", conf, re.MULTILINE)) == 1
    assert len(re.findall(r"^PresharedKey = [A-Za-z0-9+/]{43}=$", conf, re.MULTILINE)) == 2
    assert mesh.on("web-1", "stat -L -c '%a %U' /etc/wireguard/wg0.conf").strip() == "600 root"
    assert mesh.on("web-1", "systemctl is-active wg-quick@wg0").strip() == "active"
    assert mesh.on("web-1", "systemctl is-enabled wg-quick@wg0").strip() == "enabled"
    shown = mesh.on("web-1", "wg show wg0")
    outputs = mesh.outputs()
    for peer in ("web-2", "db-1"):
        assert outputs["nodes"][peer]["public_key"] in shown
    assert f"public key: {outputs['nodes']['web-1']['public_key']}" in shown
    assert "ListenPort = 51820" in conf
    assert mesh.on("web-1", "getent hosts db-1").split() == ["10.10.0.11", "db-1"]


def test_wg_quick_itself_accepts_the_file(mesh: World) -> None:
    assert "[Peer]" in mesh.on("web-1", "wg-quick strip wg0")


def test_a_closed_port_is_closed_and_a_public_one_is_open(mesh: World) -> None:
    address = mesh.outputs()["nodes"]["web-1"]["public_ip"]
    mesh.on(
        "web-1", "systemd-run -q --unit=t80 nc -lk -p 80; systemd-run -q --unit=t81 nc -lk -p 81; sleep 1"
    )
    try:
        assert mesh.on("db-1", f"nc -z -w 3 {address} 80 && echo open", check=False).strip() == "open"
        assert mesh.on("db-1", f"nc -z -w 3 {address} 81 && echo open", check=False).strip() == ""
        assert mesh.on("db-1", "nc -z -w 3 10.10.0.1 81 && echo open", check=False).strip() == "open"
    finally:
        mesh.on("web-1", "systemctl stop t80 t81", check=False)


def _add_web_3(mesh: dict[str, Any]) -> None:
    mesh["nodes"]["web-3"] = {"address": "10.10.0.3", "public": ["tcp/80", "tcp/443"]}


def _wg_conf(document: str) -> list[str]:
    """The lines of wg0.conf in what `apply` sends."""
    conf = document.split("==> /etc/wireguard/wg0.conf <==\n", 1)[1]
    return conf.split("==> /etc/wgmesh/firewall.nft <==", 1)[0].splitlines()


def test_preview_shows_one_new_peer_in_each_node(mesh: World) -> None:
    mesh.edit_mesh(_add_web_3)
    steps = {step["urn"].rsplit("::", 1)[1]: step for step in mesh.json("preview", "--json")["steps"]}
    for node in NODES:
        step = steps[f"{node}-apply"]
        assert step["op"] == "update"
        old, new = (_wg_conf(step[state]["inputs"]["stdin"]) for state in ("oldState", "newState"))
        changes = [line for line in difflib.ndiff(old, new) if line[0] in "+-"]
        assert sorted(
            re.sub(r"key:[0-9a-f]{16}", "key:FP", line) for line in changes if line != "+ "
        ) == sorted(
            [
                "+ # web-3",
                "+ [Peer]",
                "+ PublicKey = <known after up>",
                "+ # PresharedKey = key:FP",
                "+ AllowedIPs = 10.10.0.3/32",
                "+ Endpoint = <known after up>",
                "+ PersistentKeepalive = 25",
            ]
        )
    shown = mesh.ok("preview", "--diff").split("::web-1-apply]", 1)[1].split("[urn=", 1)[0]
    assert "          + # web-3\n          + [Peer]\n          + PublicKey = <known after up>\n" in shown
    # nothing of a server that exists is replaced or touched
    assert {
        name for name, step in steps.items() if "replace" in step["op"] or "delete" in step["op"]
    } == set()
    assert not [name for name in steps if name.endswith("-server") and name != "web-3-server"]


_PING = "ping -n -i 0.01 -w {seconds} -I wg0 {address}"


def _lost(printed: str) -> int:
    """Count the answers missing before the last that came: one may be on its way when ping is stopped."""
    answered = {int(number) for number in re.findall(r"bytes from .* icmp_seq=(\d+) ", printed)}
    assert len(answered) > 200, "the ping did not run throughout the change"
    return max(answered) - len(answered)


def _dials(mesh: World) -> dict[str, int]:
    return {node: mesh.ssh_connections(node) for node in NODES}


@contextmanager
def _loses_nothing(mesh: World) -> Iterator[None]:
    """Pings between two nodes, both ways, for as long as this lasts; none is lost."""
    there = mesh.background("web-1", f"exec {_PING.format(seconds=300, address='10.10.0.11')}")
    back = mesh.background("db-1", f"exec {_PING.format(seconds=300, address='10.10.0.1')}")
    try:
        yield
    finally:
        # stopped by SIGINT when the change is done, so that the count is complete
        for node in ("web-1", "db-1"):
            mesh.on(node, "sleep 2; pkill -INT -x ping", check=False)
    assert _lost(there.communicate(timeout=60)[0]) == 0
    assert _lost(back.communicate(timeout=60)[0]) == 0


def test_adding_and_removing_a_node_loses_no_packet_between_others(mesh: World) -> None:
    """Each step dials once, and `apply` twice: on a slow network connections are all that counts."""
    files = "cat /etc/wireguard/wg0.conf; wg show wg0; nft list table inet wgmesh; cat /etc/hosts"
    before = _dials(mesh)
    mesh.edit_mesh(_add_web_3)
    with _loses_nothing(mesh):
        mesh.up()
    assert mesh.ssh_connections("web-3") == 4, "agent's file, keys, apply"
    assert {node: dials - before[node] for node, dials in _dials(mesh).items()} == dict.fromkeys(NODES, 3), (
        "keys, apply"
    )
    assert "all 12 pairs reach each other" in mesh.reach().out
    assert "10.10.0.3" in mesh.on("web-1", files)
    mesh.edit_mesh(lambda m: m["nodes"].pop("web-3"))
    with _loses_nothing(mesh):
        mesh.up()
    assert "all 6 pairs reach each other" in mesh.reach().out
    assert "10.10.0.3" not in mesh.on("web-1", files)


def test_after_a_reboot_everything_comes_back_by_itself(mesh: World) -> None:
    mesh.on("web-2", "touch /run/before; systemctl reboot", check=False)
    works = "! test -e /run/before && systemctl is-active wg-quick@wg0 && echo back"
    wait(lambda: "back\n" in mesh.on("web-2", works, check=False), 120)
    run = mesh.reach()
    assert run.code == 0, run.out
    assert "policy drop" in mesh.on("web-2", "nft list chain inet wgmesh input")
    assert mesh.lab("run", "preview", "--expect-no-changes").code == 0


def test_a_change_is_dialled_twice_and_no_secret_is_in_plain_anywhere_it_should_not_be(
    mesh: World, tmp_path: Path
) -> None:
    secrets = mesh.secrets(NODES)
    assert len(secrets) == 3 * len(NODES) + 1
    there = shown(mesh.on("web-1", "cat /etc/wireguard/wg0.conf"), secrets)
    assert {"web-1 private key", "web-1 first pre-shared key"} <= set(there), "it finds what is there"
    log = tmp_path / "events.json"
    before = _dials(mesh)
    watch = "while :; do cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' '; sleep 0.01; done"
    watcher = mesh.background(
        "web-1", f'timeout 300 setpriv --reuid=65534 --clear-groups sh -c "{watch}" | sort -u'
    )
    mesh.edit_mesh(lambda m: m["nodes"]["web-1"].update(public=["tcp/8080"]))
    places = {
        "preview": mesh.ok("preview", "--diff"),
        "preview --json": mesh.ok("preview", "--json"),
        "up": mesh.ok("up", "--yes", "--skip-preview", "--diff", "--event-log", str(log)),
        "stack output": mesh.ok("stack", "output"),
        "stack export": mesh.ok("stack", "export"),
    }
    dialled = {node: dials - before[node] for node, dials in _dials(mesh).items()}
    assert dialled == {**dict.fromkeys(NODES, 0), "web-1": 2}
    mesh.on("web-1", "pkill -x timeout", check=False)
    places["process list"] = watcher.communicate(timeout=90)[0]
    assert "wgmesh.pyz" in places["process list"]
    places["event log"] = log.read_text()
    for file in (mesh.folder / ".lab" / "lab").rglob("*"):
        if file.is_file():
            places[f"engine state {file.name}"] = file.read_text(errors="replace")
    for file in (mesh.folder / ".lab" / "cloud").glob("*"):
        if file.is_file():
            places[f"cloud {file.name}"] = file.read_text(errors="replace")
    for node in NODES:
        places[f"{node} journal"] = mesh.on(node, "journalctl -q --no-pager")
        places[f"{node} tmp and history"] = mesh.on(
            node,
            "cat /root/.*history 2>/dev/null;"
            "find /tmp /var/tmp /var/lib/cloud /run/cloud-init -type f -exec cat {} +",
        )
    assert {place: shown(text, secrets) for place, text in places.items() if shown(text, secrets)} == {}


def test_down_leaves_nothing(world: World) -> None:
    if not world.hosts.machines():
        world.bring()
    id_ = Router(world.folder / ".lab" / "cloud").id
    assert [path.name for path in Path("/sys/class/net").iterdir() if id_ in path.name]
    run = world.lab("down")
    assert run.code == 0, run.out
    mounts = Path("/proc/mounts").read_text()
    assert str(world.folder) not in mounts
    assert [path.name for path in Path("/sys/class/net").iterdir() if id_ in path.name] == []
    processes = [
        p.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        for p in Path("/proc").glob("[0-9]*/cmdline")
        if p.exists()
    ]
    assert [p for p in processes if str(world.folder) in p and "pytest" not in p] == []
    export = json.loads(world.ok("stack", "export"))
    assert not [r for r in export["deployment"].get("resources") or [] if r["type"] != "pulumi:pulumi:Stack"]
