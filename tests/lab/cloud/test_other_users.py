"""Other users of the machine: they have the token, as the repository has it, and may do nothing with it."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.cloud.peers import allowed_users, owner
from lab.testing import wait
from tests.lab.cloud.world import TOKEN, LabCloud, public_key, unique

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user, which needs root")
NOBODY = 65534
_ASK = """
import json, socket, sys, urllib.error, urllib.request
url, token, family = sys.argv[1:4]
body = json.dumps({"name": "theirs", "public_key": sys.argv[4]}).encode()
request = urllib.request.Request(url + "/ssh_keys", body, {"Authorization": "Bearer " + token})
try:
    print(urllib.request.urlopen(request).status)
except urllib.error.HTTPError as error:
    print(error.code, error.read().decode())
"""
# Says the whole request and is gone before the answer: closed, reset, or half closed; through IPv6, too.
_RACE = """
import json, socket, struct, sys, time
port, token, key = int(sys.argv[1]), sys.argv[2], sys.argv[3]
end, number = time.monotonic() + 4, 0
while time.monotonic() < end:
    number += 1
    body = json.dumps({"name": "theirs-%d" % number, "public_key": key}).encode()
    head = "POST /v1/ssh_keys HTTP/1.1\\r\\nHost: x\\r\\n"
    head += "Authorization: Bearer %s\\r\\nContent-Length: %d\\r\\n\\r\\n"
    family, place = [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::ffff:127.0.0.1")][number % 2]
    try:
        with socket.socket(family) as knock:
            knock.connect((place, port))
            knock.sendall((head % (token, len(body))).encode() + body)
            if number % 3 == 0:
                knock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            elif number % 3 == 1:
                knock.shutdown(socket.SHUT_WR)
                knock.recv(1)
    except OSError:
        pass
print(number)
"""


def _as(user: int, script: str, *words: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [
            *("setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"),
            *("/usr/bin/python3", "-c", script, *words),
        ],
        cwd="/", stdout=subprocess.PIPE, text=True,
    )  # fmt: skip


@pytest.fixture
def sudo_cloud(tmp_path: Path) -> Iterator[LabCloud]:
    """A cloud that user 4711 started through sudo."""
    os.environ["SUDO_UID"] = "4711"
    cloud = LabCloud(state=tmp_path / "sudo")
    try:
        cloud.start()
        yield cloud
    finally:
        del os.environ["SUDO_UID"]
        cloud.process.stop()


def test_another_user_with_the_token_is_refused(sudo_cloud: LabCloud) -> None:
    said = _as(NOBODY, _ASK, sudo_cloud.url, TOKEN, "4", public_key()).communicate(timeout=30)[0]
    assert said.startswith("403 "), said
    assert "this lab answers only root and 4711" in said
    assert sudo_cloud.client.ssh_keys.get_all() == []


def test_who_started_it_through_sudo_is_let_in(sudo_cloud: LabCloud) -> None:
    said = _as(4711, _ASK, sudo_cloud.url, TOKEN, "4", public_key()).communicate(timeout=30)[0]
    assert said == "201\n"


def test_who_asks_and_is_gone_at_once_is_not_taken_for_root(sudo_cloud: LabCloud) -> None:
    racers = [_as(NOBODY, _RACE, str(sudo_cloud.port), TOKEN, public_key()) for _ in range(3)]
    made = 0
    while any(racer.poll() is None for racer in racers):  # somebody who may, meanwhile
        sudo_cloud.client.ssh_keys.create(unique("ours"), public_key())
        made += 1
        time.sleep(0.01)
    assert all(int(racer.communicate()[0]) > 10 for racer in racers)
    wait(lambda: all(key.name.startswith("ours") for key in sudo_cloud.client.ssh_keys.get_all()), 5)
    assert len(sudo_cloud.client.ssh_keys.get_all()) == made


def test_nobody_else_may_look_into_the_folder(sudo_cloud: LabCloud) -> None:
    assert sudo_cloud.state.stat().st_mode & 0o077 == 0
    look = "import os, sys; sys.exit(os.access(sys.argv[1], os.R_OK | os.X_OK))"
    assert _as(NOBODY, look, str(sudo_cloud.state)).wait(timeout=30) == 0


def test_a_closed_socket_is_nobodys() -> None:
    assert owner(("127.0.0.1", 1), ("127.0.0.1", 2)) is None


@pytest.mark.parametrize(
    ("environment", "users"),
    [({}, {0}), ({"SUDO_UID": "1000"}, {0, 1000}), ({"SUDO_UID": "odd"}, {0}), ({"SUDO_UID": "-1"}, {0})],
)
def test_root_and_who_called_sudo(environment: dict[str, str], users: set[int]) -> None:
    assert allowed_users(environment) == users


def test_what_a_rehearsal_keeps_is_for_its_user_alone(tmp_path: Path) -> None:
    (tmp_path / "Pulumi.yaml").write_text(
        "name: p\nruntime: {name: python, options: {toolchain: pip}}\nmain: .\nstackConfigDir: stacks\n"
    )
    (tmp_path / "stacks").mkdir()
    (tmp_path / "stacks" / "Pulumi.lab.yaml").write_text("config: {}\n")
    (tmp_path / ".lab").mkdir(mode=0o755)  # as older versions made it
    root = Path(__file__).parents[3]
    subprocess.run(
        [sys.executable, "-m", "lab", "--project", str(tmp_path), "run", "stack", "ls"],
        cwd=root, check=False, capture_output=True, timeout=60,
    )  # fmt: skip
    assert (tmp_path / ".lab").stat().st_mode & 0o777 == 0o700
    for path in (tmp_path / ".lab").rglob("*.json"):
        assert path.stat().st_mode & 0o077 == 0, path
