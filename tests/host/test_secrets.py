"""Keys stay where they belong: no file open to others, no output, log or process list that holds one."""

import base64
import json
import re

import pytest

from mesh.plan import fingerprint
from tests.host.nodes import CALL, Hosts, Node

pytestmark = pytest.mark.hosts

PAIR = ("web-1", "web-2")
THREE = ("web-1", "web-2", "web-3")

# Looks at the mode of every file at every event in the folders that hold keys, until its input ends.
WATCH_MODES = r"""
import ctypes, os, select, stat, struct, sys
libc = ctypes.CDLL(None)
inotify = libc.inotify_init1(os.O_NONBLOCK)
EVENTS = 0x2 | 0x4 | 0x8 | 0x80 | 0x100  # modify, attrib, close_write, moved_to, create
folders, seen, loose = {}, 0, set()

def look(path):
    global seen
    try:
        found = os.lstat(path)
    except OSError:
        return
    if stat.S_ISDIR(found.st_mode):
        watch(path)
    elif stat.S_ISREG(found.st_mode):
        seen += 1
        if found.st_mode & 0o077:
            loose.add(f"{path} {found.st_mode & 0o777:o}")

def watch(folder):
    number = libc.inotify_add_watch(inotify, folder.encode(), EVENTS)
    if number not in folders:
        folders[number] = folder
        for name in os.listdir(folder):
            look(os.path.join(folder, name))

for folder in ("/var/lib/wgmesh", "/run/wgmesh", "/etc/wireguard"):
    watch(folder)
print("ready")
while True:
    ready = select.select([inotify, 0], [], [])[0]
    if inotify in ready:
        buffer = os.read(inotify, 1 << 16)
        while buffer:
            number, mask, _, size = struct.unpack_from("iIII", buffer)
            look(os.path.join(folders[number], buffer[16:16 + size].rstrip(b"\0").decode()))
            buffer = buffer[16 + size:]
    elif 0 in ready:
        break
print(seen)
print("\n".join(sorted(loose)))
"""

# Reads every process list and every file it can, every 10 ms, until its input ends.
PRY = r"""
import os, select
seen = set()
folders = ["/var/lib/wgmesh", "/var/lib/wgmesh/keys", "/run/wgmesh", "/etc/wireguard", "/tmp", "/root"]
print("ready")
while not select.select([0], [], [], 0.01)[0]:
    paths = [f"/proc/{pid}/cmdline" for pid in os.listdir("/proc") if pid.isdigit()]
    paths += [path.replace("cmdline", "environ") for path in paths]
    for folder in folders:
        try:
            paths += [os.path.join(folder, name) for name in os.listdir(folder)]
        except OSError:
            pass
    for path in paths:
        try:
            with open(path, "rb") as file:
                seen.add(file.read())
        except OSError:
            pass
os.write(1, b"|".join(seen))
"""


@pytest.fixture
def mesh(hosts: Hosts, web_1: Node) -> Node:
    web_1.bring(hosts.document("web-1", PAIR))
    return web_1


def _forms(hosts: Hosts) -> list[str]:
    """Every key of the mesh in base64, in hex, and short of a character at either end."""
    forms = []
    for key in hosts.keys.secrets():
        text, digits = key.rstrip("="), base64.b64decode(key).hex()
        forms += [text[1:], text[:-1], digits[1:], digits[:-1], digits.upper()[1:]]
    return forms


def _change(mesh: Node, hosts: Hosts) -> None:
    for members in (THREE, PAIR):
        assert mesh.agent("keys", hosts.keys.bundle("web-1")).word == "STORED"
        assert mesh.apply(hosts.document("web-1", members)).word == "CONFIRMED"


def test_no_file_with_keys_is_readable_by_others_at_any_moment(mesh: Node, hosts: Hosts) -> None:
    mesh.inside("rm -f /var/lib/wgmesh/keys/*; rm -rf /var/lib/wgmesh/*.by-hand")  # kept for other tests
    watcher = mesh.background(WATCH_MODES)
    _change(mesh, hosts)
    mesh.inside("touch /var/lib/wgmesh/keys/canary; chmod 644 /var/lib/wgmesh/keys/canary")
    seen, *loose = watcher.communicate("")[0].splitlines()
    assert int(seen) > 20
    assert loose == ["/var/lib/wgmesh/keys/canary 644"], "the watcher sees what it must, and nothing else"
    mesh.inside("rm /var/lib/wgmesh/keys/canary")


def test_an_unprivileged_user_never_sees_a_key(mesh: Node, hosts: Hosts) -> None:
    pry = mesh.background(PRY, user="nobody")
    _change(mesh, hosts)
    seen = pry.communicate("")[0]
    assert "wgmesh.pyz" in seen, "it did not see the agent at work"
    for form in _forms(hosts):
        assert form not in seen


def _files_with(mesh: Node, key: str) -> set[str]:
    """Every file in which an agent might leave a key; /proc is the kernel's."""
    look = f"echo '{key}' | grep -rlsF -D skip -f - /etc /root /run /tmp /usr/local /var/lib/wgmesh"
    return set(mesh.inside(look, check=False).splitlines())


def test_keys_lie_in_the_key_store_and_in_the_interfaces_file_alone(mesh: Node, hosts: Hosts) -> None:
    """Not in generations, nor in what a pending trial keeps to go back to, a key set by hand included."""
    by_hand = mesh.inside(
        "wg genpsk | tee /dev/shm/k;"
        "wg set wg0 peer $(wg show wg0 peers) preshared-key /dev/shm/k; rm /dev/shm/k"
    )
    run = mesh.agent("apply", hosts.document("web-1", THREE))
    assert run.word == "RECONNECT", run.out
    assert mesh.pending()
    private, shared, *_ = json.loads(hosts.keys.bundle("web-1"))["keys"]
    rendered = "/var/lib/wgmesh/wg0.conf"
    for key in (private, shared):
        assert _files_with(mesh, key) == {
            f"/var/lib/wgmesh/keys/{fingerprint(base64.b64decode(key))}",
            rendered,
        }
    kept = f"/var/lib/wgmesh/keys/{fingerprint(base64.b64decode(by_hand))}"
    assert _files_with(mesh, by_hand) == {kept}
    assert mesh.agent("keys", hosts.keys.bundle("web-1")).word == "STORED"
    assert _files_with(mesh, by_hand) == {kept}, "the way back needs it"
    mesh.wait_idle()
    assert by_hand in mesh.inside("wg show wg0 preshared-keys"), "the rollback brought it back"
    assert mesh.agent("keys", hosts.keys.bundle("web-1")).word == "STORED"
    assert _files_with(mesh, by_hand) == set(), "nobody names it any more"
    mesh.inside("rm -f /run/wgmesh/outcome.json")
    assert mesh.apply(hosts.document("web-1", PAIR)).word == "CONFIRMED"


def _failures(mesh: Node, hosts: Hosts) -> list[str]:
    """Ten calls that fail, each in its own way; returns what they said."""
    good = hosts.document("web-1", THREE)
    key = hosts.keys.secrets()[0]
    bundle = hosts.keys.bundle("web-1")
    runs = [
        mesh.agent("keys", bundle[:-9]),
        mesh.agent("keys", bundle.replace(key, key[:-3])),
        mesh.agent("keys", bundle.replace('"format": 1', '"format": 2')),
        mesh.agent("keys", key),
        mesh.agent("apply", good.replace("# PrivateKey = key:", f"PrivateKey = {key}\n# ")),
        mesh.agent("apply", re.sub(r"(PresharedKey = key:)\w{16}", r"\g<1>0123456789abcdef", good)),
        mesh.agent("apply", good[:-40]),
        mesh.agent("apply --now", good),
    ]
    for point in ("interface fail", "checked fail"):
        mesh.inside(f"echo '{point}' >/etc/wgmesh/failpoint")
        runs.append(mesh.apply(good))
        mesh.inside("rm /etc/wgmesh/failpoint")
    assert all(run.code not in (0, 75) for run in runs), runs
    return [run.out for run in runs]


def test_ten_failures_show_no_key(mesh: Node, hosts: Hosts) -> None:
    said = _failures(mesh, hosts)
    assert len(said) == 10
    said.append(mesh.inside("journalctl -q --no-pager -o json; ps axwwe -o args; ls -R /tmp /root"))
    said.append(mesh.inside("cat /root/.*history /run/wgmesh/outcome.json 2>/dev/null", check=False))
    said.append(mesh.inside("cat /var/lib/cloud/instance/user-data.txt"))
    said.append(mesh.inside(f"{CALL} status"))
    whole = "\n".join(said)
    for form in _forms(hosts):
        assert form not in whole
