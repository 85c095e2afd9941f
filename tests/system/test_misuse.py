"""What people get wrong, and what they are told: where, what was found, what helps. Never a traceback."""

import json
import re
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.system.world import World, shown

pytestmark = pytest.mark.hosts

_NODE = "urn:pulumi:lab::wireguard-mesh::wireguard-mesh:index:Mesh$wireguard-mesh:index:Node"


@dataclass(frozen=True, kw_only=True)
class Case:
    """Something that is wrong, what `up` says of it, and how it is put right again."""

    name: str
    arrange: Callable[[World], object]
    says: tuple[str, ...]
    mend: Callable[[World], object]


def _stack_file(old: str, new: str) -> Callable[[World], object]:
    return lambda world: world.stack_file.write_text(world.stack_file.read_text().replace(old, new))


def _on(node: str, script: str) -> Callable[[World], object]:
    return lambda world: world.on(node, script)


def _open(node: str, port: str = "tcp/8081") -> Callable[[World], object]:
    return lambda world: world.edit_mesh(lambda mesh: mesh["nodes"][node].update(public=[port]))


def _both(*work: Callable[[World], object]) -> Callable[[World], object]:
    return lambda world: [each(world) for each in work]


def _fault(**fault: object) -> Callable[[World], object]:
    return lambda world: (world.folder / ".lab" / "cloud" / "faults.json").write_text(json.dumps(fault))


def _add(node: str, address: str) -> Callable[[World], object]:
    return lambda world: world.edit_mesh(lambda mesh: mesh["nodes"].update({node: {"address": address}}))


def _nothing(_world: World) -> None:
    return None


_UP = ("-m", "lab", "run", "up", "--yes", "--skip-preview")
_FULL = """
cp -a /var/lib/wgmesh /run/kept; mount -t tmpfs -o size=700k none /var/lib/wgmesh
cp -a /run/kept/. /var/lib/wgmesh; dd if=/dev/zero of=/var/lib/wgmesh/fill bs=1k 2>/dev/null || true
"""
_OTHER_KEY = """
cp -a /etc/ssh/ssh_host_ed25519_key /root/kept-key; rm /etc/ssh/ssh_host_ed25519_key
ssh-keygen -q -t ed25519 -N '' -f /etc/ssh/ssh_host_ed25519_key; systemctl restart ssh
"""
# what cloud-init writes where an image wants another user than root
_NO_ROOT = r"""
cp -a /root/.ssh/authorized_keys /root/kept-authorized
words='Please login as the user \\"debian\\" rather than the user \\"root\\".'
sed -i "s/^ssh/command=\"echo '$words'; exit 142\" ssh/" /root/.ssh/authorized_keys
"""
_DROP = """
nft add table inet dropping
nft add chain inet dropping in '{ type filter hook input priority -300; }'
nft add rule inet dropping in tcp dport 22 drop
"""

_HARDENED = """
printf 'PermitRootLogin no\nAllowUsers deploy\n' >/etc/ssh/sshd_config.d/05-h.conf
systemctl reload ssh
"""

CASES = [
    Case(
        name="token-of-another-project",
        arrange=_both(_stack_file("lab-token-lab", "bad-token-bad"), _open("web-1")),
        says=("the token you have provided is invalid (unauthorized): check hcloud:token",),
        mend=_stack_file("bad-token-bad", "lab-token-lab"),
    ),
    Case(
        name="token-cut-short",
        arrange=_stack_file("lab-token-lab-token-lab-token", "short"),
        says=("hcloud:token has 16 characters, but a token has 64: set the token with `pulumi config set",),
        mend=_stack_file("short", "lab-token-lab-token-lab-token"),
    ),
    Case(
        name="capacity-gone",
        arrange=_both(_fault(create="resource_unavailable"), _add("web-3", "10.10.0.3")),
        says=("could not create server lab-web-3", "(resource_unavailable)"),
        mend=_nothing,
    ),
    Case(
        name="quota-reached",
        arrange=_both(_fault(create="resource_limit_exceeded"), _add("web-4", "10.10.0.4")),
        says=("could not create server lab-web-4", "(resource_limit_exceeded)"),
        mend=_nothing,
    ),
    Case(
        name="disk-full",
        arrange=_both(_on("web-1", _FULL), _open("web-1", "tcp/8083")),
        says=("(web-1-apply)", "NO-SPACE /var/lib/wgmesh/generations: less than 4 MB or 32 files free"),
        mend=_on("web-1", "umount /var/lib/wgmesh"),
    ),
    Case(
        name="port-occupied",
        arrange=_both(
            _on("db-1", "systemd-run -q --unit=taker nc -u -l -p 51999; sleep 0.5"),
            lambda world: world.edit_mesh(lambda mesh: mesh.update(port=51999)),
        ),
        says=(
            "(db-1-apply)",
            "REFUSED /etc/wireguard/wg0.conf: another program on this host uses UDP port 51999",
        ),
        mend=_on("db-1", "systemctl stop taker"),
    ),
    Case(
        name="host-key-changed",
        arrange=_both(_on("web-2", _OTHER_KEY), _open("web-2")),
        says=(
            "web-2: the host key is not the one that this stack installed",
            f"`pulumi up --replace '{_NODE}$hcloud:index/server:Server::web-2-server'`",
        ),
        mend=_on("web-2", "cp -a /root/kept-key /etc/ssh/ssh_host_ed25519_key; systemctl restart ssh"),
    ),
    Case(
        name="root-may-not-log-in",
        arrange=_both(_on("db-1", _NO_ROOT), _open("db-1", "tcp/8084")),
        says=("db-1: the image does not let root work over SSH, but everything on a node is done as root",),
        mend=_on("db-1", "mv /root/kept-authorized /root/.ssh/authorized_keys"),
    ),
    Case(
        name="root-login-forbidden",
        arrange=_both(_on("db-1", _HARDENED), _open("db-1", "tcp/8085")),
        says=("db-1: sshd does not let root in", "PermitRootLogin must not be `no`; AllowUsers"),
        mend=_on("db-1", "rm /etc/ssh/sshd_config.d/05-h.conf; systemctl reload ssh"),
    ),
    Case(
        name="ssh-refused",
        arrange=_both(_on("db-1", "systemctl stop ssh ssh.socket || true"), _open("db-1")),
        says=("db-1: the server answers, but nothing listens for SSH on port 22.",),
        mend=_on("db-1", "systemctl start ssh"),
    ),
    Case(
        name="ssh-dropped",
        arrange=_both(_on("db-1", _DROP), _open("db-1", "tcp/8082")),
        says=("db-1: no answer on its SSH port", "with `enabled: false` `up` leaves the node alone"),
        mend=_on("db-1", "nft delete table inet dropping"),
    ),
]


@pytest.fixture(scope="module")
def mesh(world: World) -> World:
    world.up()
    return world


@pytest.fixture(scope="module")
def secrets(mesh: World) -> dict[str, str]:
    return mesh.secrets(("web-1", "web-2", "db-1"))


def _untroubled(printed: str, secrets: Mapping[str, str]) -> None:
    assert "Traceback" not in printed, printed
    assert shown(printed, secrets) == []


# two minutes of silence; the others much as cases that stay
_SLOW = {
    *("ssh-dropped", "root-login-forbidden", "token-cut-short", "capacity-gone", "ssh-refused"),
    *("quota-reached", "port-occupied", "disk-full", "root-may-not-log-in", "host-key-changed"),
}
_PARAMETERS = [
    pytest.param(case, id=case.name, marks=[pytest.mark.long] if case.name in _SLOW else []) for case in CASES
]


@pytest.mark.parametrize("case", _PARAMETERS)
def test_a_mistake_is_told_and_once_mended_up_goes_on(
    mesh: World, secrets: dict[str, str], tmp_path: Path, case: Case
) -> None:
    case.arrange(mesh)
    events = tmp_path / "events.json"
    run = mesh.lab("run", "up", "--yes", "--skip-preview", "--event-log", str(events))
    preview = mesh.lab("run", "preview", "--json")
    case.mend(mesh)
    assert run.code == 1, run.out
    _untroubled(run.out + events.read_text() + preview.out, secrets)
    for words in case.says:
        assert words in run.out, run.out
    mesh.up()
    reach = mesh.reach()
    assert reach.code == 0, reach.out


def test_a_cloud_that_does_not_run_is_named(mesh: World, secrets: dict[str, str]) -> None:
    mesh.edit_mesh(lambda m: m["nodes"]["web-1"].update(public=["tcp/8090"]))
    stopped = mesh.command(*_lab_cloud("stop"))
    assert stopped.code == 0, stopped.out
    run = mesh.lab("run", "up", "--yes", "--skip-preview", "--diff")
    assert mesh.lab("start").code == 0
    assert run.code == 1
    _untroubled(run.out, secrets)
    assert re.search(r"no answer from http://127\.0\.0\.1:\d+/v1 .*check that the cloud runs", run.out)
    mesh.up()


def _lab_cloud(word: str) -> list[str]:
    return [".venv/bin/python", "-m", "lab.cloud", word, "--state", ".lab/cloud"]


def test_a_state_that_cannot_be_opened_is_left_as_it_is(mesh: World, secrets: dict[str, str]) -> None:
    before = mesh.ok("stack", "export")
    run = mesh.command("env", "PULUMI_CONFIG_PASSPHRASE=wrong", ".venv/bin/python", *_UP)
    assert run.code != 0
    _untroubled(run.out, secrets)
    assert "incorrect passphrase" in run.out
    assert mesh.ok("stack", "export") == before


def test_a_second_run_at_once_is_refused(mesh: World, secrets: dict[str, str]) -> None:
    mesh.edit_mesh(lambda m: m["nodes"]["web-1"].update(public=["tcp/8091"]))
    mesh.on("web-1", "echo 'validated 10' >/etc/wgmesh/failpoint")  # it waits there for so many seconds
    first = subprocess.Popen(
        [".venv/bin/python", *_UP],
        cwd=mesh.folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert first.stdout is not None
    assert any("Updating" in line for line in first.stdout)
    second = mesh.lab("run", "up", "--yes", "--skip-preview")
    mesh.on("web-1", "rm /etc/wgmesh/failpoint")
    first.stdout.read()
    assert first.wait(timeout=120) == 0
    assert second.code != 0
    _untroubled(second.out, secrets)
    assert "the stack is currently locked by 1 lock(s)" in second.out


def test_a_change_that_was_rolled_back_is_shown_and_tried_again(mesh: World, secrets: dict[str, str]) -> None:
    before = mesh.on("web-1", "nft -s list table inet wgmesh")
    mesh.on("web-1", "echo 'checked fail' >/etc/wgmesh/failpoint")
    mesh.edit_mesh(lambda m: m["nodes"]["web-1"].update(public=["tcp/8095"]))
    run = mesh.lab("run", "up", "--yes", "--skip-preview")
    assert run.code == 1
    _untroubled(run.out, secrets)
    assert "ROLLED-BACK" in run.out
    assert "web-1: the node tried the change and undid it; the node is as before." in run.out
    assert mesh.on("web-1", "nft -s list table inet wgmesh") == before
    steps = mesh.json("preview", "--json")["steps"]
    assert "web-1-apply" in [step["urn"].rsplit("::", 1)[1] for step in steps if step["op"] == "update"]
    mesh.on("web-1", "rm /etc/wgmesh/failpoint")
    mesh.up()
    assert "8095" in mesh.on("web-1", "nft list table inet wgmesh")


@pytest.mark.long
@pytest.mark.parametrize("end", ["exit", "exit 0 # done", "exec true"])
def test_a_start_file_that_swallows_a_command_is_told_and_the_command_run_again(
    mesh: World, secrets: dict[str, str], end: str
) -> None:
    mesh.on("web-1", f"cp /root/.bashrc /root/bashrc; echo '{end}' >>/root/.bashrc")
    port = 8100 + len(end)
    mesh.edit_mesh(lambda m: m["nodes"]["web-1"].update(public=[f"tcp/{port}"]))
    run = mesh.lab("run", "up", "--yes", "--skip-preview")
    mesh.console("web-1", "mv /root/bashrc /root/.bashrc")
    assert run.code != 0, run.out
    _untroubled(run.out, secrets)
    assert "web-1 did not confirm the new files; it answered `nothing`" in run.out
    assert "/root/.bashrc" in run.out
    mesh.up()  # sends them again
    assert str(port) in mesh.on("web-1", "nft list table inet wgmesh")


@pytest.mark.long
def test_start_files_that_print_are_no_trouble_for_a_change(mesh: World, secrets: dict[str, str]) -> None:
    mesh.on("web-1", "cp /root/.bashrc /root/bashrc; echo 'echo Welcome' >>/root/.bashrc")
    mesh.edit_mesh(lambda m: m["nodes"]["web-1"].update(public=["tcp/8199"]))
    printed = mesh.up()
    mesh.on("web-1", "mv /root/bashrc /root/.bashrc")
    _untroubled(printed, secrets)
    assert "8199" in mesh.on("web-1", "nft list table inet wgmesh")
