"""cloud-init in a host is the real one, and does what servers' user data asks for."""

import subprocess
from pathlib import Path

import pytest

from tests.lab.hosts.world import Host, World, output

pytestmark = pytest.mark.hosts


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """SSH keys: of the host, of root (given to the cloud) and of a user (given in the user data)."""
    folder = tmp_path_factory.mktemp("keys")
    for name in ("host", "root", "ada"):
        output("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(folder / name))
    return folder


@pytest.fixture(scope="module")
def host(shared: World, keys: Path) -> Host:
    config = {
        "hostname": "web-1",
        "users": [
            {"name": "ada", "shell": "/bin/sh", "ssh_authorized_keys": [(keys / "ada.pub").read_text()]}
        ],
        "ssh_deletekeys": True,
        "ssh_genkeytypes": [],
        "ssh_keys": {
            "ed25519_private": (keys / "host").read_text(),
            "ed25519_public": (keys / "host.pub").read_text(),
        },
        "disable_root": False,
        "ssh_pwauth": False,
        "timezone": "Europe/Berlin",
        "bootcmd": ["echo early >>/root/boots"],
        "write_files": [{"path": "/etc/greeting", "content": "hello\n", "permissions": "0640"}],
        "packages": ["nftables"],
        "package_update": False,
        "runcmd": [["sh", "-c", "echo $(hostname) >>/root/first-boots"]],
    }
    return shared.boot("ud", number=20, config=config, keys=[(keys / "root.pub").read_text()])


def _ssh(
    host: Host, keys: Path, user: str, command: str, *options: str
) -> "subprocess.CompletedProcess[str]":
    known = keys / "known"
    known.write_text(f"{host.address} {(keys / 'host.pub').read_text()}")
    return subprocess.run(
        [
            *("ssh", "-F", "none", "-i", str(keys / user), "-o", f"UserKnownHostsFile={known}"),
            *("-o", "StrictHostKeyChecking=yes", "-o", "BatchMode=yes", "-o", "ConnectTimeout=5", *options),
            *(f"{user}@{host.address}", command),
        ],
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_users_log_in_by_key_at_the_given_host_key(host: Host, keys: Path) -> None:
    for user in ("root", "ada"):
        done = _ssh(host, keys, user, "id -un; hostname")
        assert done.stdout.split() == [user, "web-1"], done.stderr


def test_the_given_host_key_is_the_only_one(host: Host) -> None:
    assert host.inside("ls /etc/ssh/ssh_host_*_key") == "/etc/ssh/ssh_host_ed25519_key"


def test_passwords_are_refused(host: Host, keys: Path) -> None:
    done = _ssh(host, keys, "root", "true", "-o", "PubkeyAuthentication=no")
    assert done.returncode == 255
    assert "(publickey)" in done.stderr


def test_files_and_commands(host: Host) -> None:
    assert host.inside("stat -c %a /etc/greeting; cat /etc/greeting").split() == ["640", "hello"]
    assert host.inside("cat /root/first-boots") == "web-1"
    assert host.inside("date +%Z") in {"CET", "CEST"}


def test_a_reboot_runs_bootcmd_again_and_runcmd_not(host: Host) -> None:
    before = host.record()["leader"]
    host.world.lab.stop(host.key)
    host.world.lab.start(host.key)
    host.wait_booted()
    assert host.record()["leader"] != before
    assert host.inside("cat /root/boots").split() == ["early", "early"]
    assert host.inside("cat /root/first-boots") == "web-1"


def test_broken_user_data_leaves_a_host_that_says_so(shared: World) -> None:
    host = shared.create("bad", number=21, config={"runcmd": "not a list: 1"})
    shared.lab.start("bad")
    words = shared.lab.enter("bad", ["cloud-init", "status", "--wait", "--long"])
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert "status: error" in done.stdout or host.run("grep -i warn /var/log/cloud-init.log").stdout
