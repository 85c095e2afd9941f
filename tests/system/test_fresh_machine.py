"""From a fresh Debian 13, a user with sudo and `git clone`, to a mesh and back: nothing stays behind."""

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.testing import REPOSITORY, Run, free_port

pytestmark = [pytest.mark.hosts, pytest.mark.long]

USER = 4712
_PACKAGES = "sudo,make,git,ca-certificates"
_USER = """
useradd --uid 4712 --create-home --shell /bin/bash dev
echo 'dev ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/dev
echo "127.0.0.1 localhost $(hostname)" >/etc/hosts
"""
_ENTER = """
set -e
mount --bind {root} {root}
for place in proc sys dev; do mount --rbind /$place {root}/$place; done
mount -t tmpfs tmpfs {root}/run
mkdir -p {root}/etc/ssl/certs
mount --bind /etc/ssl/certs {root}/etc/ssl/certs
cp /etc/resolv.conf {root}/etc/resolv.conf
exec chroot --userspec={user} {root} env -i {environment} sh -c 'cd "$HOME" && exec "$@"' - {words}
"""


class Machine:
    """A fresh machine in a folder, with this one's kernel and network."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.project = root / "home/dev/wireguard-mesh"

    def run(self, *words: str, root: bool = False, timeout: int = 1800) -> Run:
        """Run a command in the project's folder, as the user or as root."""
        pip = {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
        environment = {
            "HOME": "/home/dev/wireguard-mesh" if self.project.exists() else "/root",
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            **pip,
        }
        script = _ENTER.format(
            root=shlex.quote(str(self.root)),
            user="0:0" if root else f"{USER}:{USER}",
            environment=shlex.join(f"{name}={value}" for name, value in environment.items()),
            words=shlex.join(words),
        )
        done = subprocess.run(
            ["unshare", "--mount", "--propagation=private", "sh", "-c", script],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, errors="replace", timeout=timeout, check=False,
        )  # fmt: skip
        return Run(done.returncode, done.stdout)

    def ok(self, *words: str, root: bool = False) -> str:
        run = self.run(*words, root=root)
        assert run.code == 0, run.out[-4000:]
        return run.out

    def starts_at_boot(self) -> list[str]:
        """Every link by which a unit is enabled."""
        return sorted(
            str(path.relative_to(self.root))
            for path in (self.root / "etc/systemd/system").rglob("*")
            if path.is_symlink()
        )


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    root = tmp_path_factory.mktemp("machine") / "root"
    command = [
        "mmdebstrap",
        "--mode=root",
        "--variant=minbase",
        f"--include={_PACKAGES}",
        "trixie",
        str(root),
    ]
    made = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    if made.returncode != 0:
        pytest.skip(f"no fresh machine can be made here: {made.stderr.strip()[-300:]}")
    machine = Machine(root)
    machine.ok("sh", "-ec", _USER, root=True)
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=REPOSITORY, check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    for name in filter(None, listed.split("\0")):
        source, target = REPOSITORY / name, machine.project / name
        if source.is_file() and not source.is_symlink():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target)
    stack = machine.project / "stacks/Pulumi.lab.yaml"
    stack.write_text(
        re.sub(r"(hcloud:endpoint: http://127.0.0.1:)\d+", rf"\g<1>{free_port()}", stack.read_text())
    )
    subprocess.run(["chown", "-R", f"{USER}:{USER}", str(machine.root / "home/dev")], check=True)
    yield machine
    machine.run("make", "down")
    shutil.rmtree(root)


def test_from_a_clone_to_a_mesh_and_back(machine: Machine) -> None:
    before = machine.starts_at_boot()
    said = machine.ok("make", "up")
    assert "ping times (ms" in said
    assert "lost" not in said
    assert "Created symlink" not in said
    refused = machine.run("make", "clean")
    assert refused.code != 0
    assert "run `make down` first" in refused.out
    assert (machine.project / ".lab").exists()
    without = machine.run("make", "up", "ENGINE=pulumi")
    assert without.code != 0
    assert "needs `pulumi` on PATH" in without.out or "belongs to the engine 'lab'" in without.out
    machine.ok("make", "down")
    machine.ok("tools/setup.sh", "dev")
    assert (machine.root / "usr/sbin/sshd").exists()
    new = [link for link in machine.starts_at_boot() if link not in before]
    assert not any("ssh" in link for link in new), new
    assert not (machine.root / "usr/sbin/policy-rc.d").exists()
    machine.ok("make", "clean")
    left = [path for path in machine.project.rglob("*") if path.lstat().st_uid != USER]
    assert left == [], "their user cannot remove them"
    assert not (machine.project / ".lab").exists()
    assert not (machine.project / ".venv").exists()


def test_an_engine_that_is_not_installed_changes_nothing(machine: Machine) -> None:
    machine.ok("tools/setup.sh", "lab")
    for target in ("up", "preview", "output"):
        run = machine.run("make", target, "ENGINE=pulumi")
        assert run.code != 0
        assert "needs `pulumi` on PATH" in run.out, run.out
    assert not (machine.project / ".lab/owner").exists()
    assert not (machine.project / ".lab/cloud").exists()
