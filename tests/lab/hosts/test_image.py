"""Building the image: once, whole or not at all, and never under hosts that run from it."""

import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lab.hosts import HostError
from lab.hosts.image import build_image, image_path
from lab.testing import REPOSITORY, wait
from tests.lab.hosts.world import IMAGES

BUILDER = """#!/bin/sh
# Stands in for mmdebstrap: makes the least a Debian root has, where the last argument says.
echo "I: installing" >&2
echo built >>"$BUILDS"
for root; do :; done
mkdir -p "$root/etc/ssh" "$root/etc/cloud/cloud.cfg.d" "$root/etc/systemd/system"
touch "$root/etc/ssh/ssh_host_rsa_key"
sleep 0.1
{end}
"""


@pytest.fixture
def builder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Put a quick builder on PATH; returns the file that has a line per build."""
    tools = tmp_path / "tools"
    tools.mkdir()
    monkeypatch.setenv("PATH", str(tools), prepend=os.pathsep)
    monkeypatch.setenv("BUILDS", str(tmp_path / "builds"))

    def make(end: str) -> Path:
        tool = tools / "mmdebstrap"
        tool.write_text(BUILDER.format(end=end))
        tool.chmod(0o755)
        return tmp_path / "builds"

    return make


def _said(_line: str) -> None:
    pass


def test_built_once_also_by_many_at_once(tmp_path: Path, builder: Callable[[str], Path]) -> None:
    builds = builder("exit 0")
    with ThreadPoolExecutor(4) as threads:
        made = set(threads.map(lambda _: build_image(tmp_path / "images", "debian-12", _said), range(4)))
    assert made == {image_path(tmp_path / "images", "debian-12")}
    assert builds.read_text() == "built\n"
    assert list(made.pop().glob("etc/ssh/ssh_host_*")) == []


def test_a_failed_build_says_why_and_leaves_no_image(tmp_path: Path, builder: Callable[[str], Path]) -> None:
    images = tmp_path / "images"
    builder("echo 'E: no such mirror' >&2; exit 25")
    with pytest.raises(HostError, match=r"could not build bookworm: .*\n?.*E: no such mirror"):
        build_image(images, "debian-12", _said)
    assert [path.name for path in images.iterdir()] == [".lock"]
    builder("exit 0")
    assert build_image(images, "debian-12", _said).exists()


def test_a_missing_mmdebstrap_is_named_with_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(HostError, match=r"mmdebstrap is not installed; run tools/setup\.sh lab"):
        build_image(tmp_path, "debian-12", print)


def test_old_images_go_but_for_those_in_use(tmp_path: Path, builder: Callable[[str], Path]) -> None:
    images = tmp_path / "images"
    for name in ("bookworm-old", "bookworm-used", "trixie-other", ".building-killed"):
        (images / name / "etc").mkdir(parents=True)
    builder("exit 0")
    used = os.open(images / "bookworm-used", os.O_RDONLY)
    try:
        fcntl.flock(used, fcntl.LOCK_SH)
        target = build_image(images, "debian-12", _said)
    finally:
        os.close(used)
    assert {path.name for path in images.iterdir()} == {".lock", "bookworm-used", "trixie-other", target.name}


def test_an_image_there_is_no_recipe_for(tmp_path: Path) -> None:
    with pytest.raises(
        HostError, match="image 'windows-11' does not exist; the lab has debian-12, debian-13"
    ):
        build_image(tmp_path, "windows-11", _said)


@pytest.mark.hosts
def test_the_image_holds_no_identity() -> None:
    image = build_image(IMAGES, "debian-12", _said)
    assert list(image.glob("etc/ssh/ssh_host_*")) == []
    assert (image / "etc/machine-id").read_text() == ""
    for tool in ("usr/bin/wg", "usr/bin/wg-quick", "usr/bin/wireguard-go", "usr/sbin/nft", "usr/sbin/sshd"):
        assert (image / tool).exists(), tool


def _mounted(pid: str, folder: Path) -> list[str]:
    """What a process sees mounted below a folder."""
    try:
        mounts = Path("/proc", pid, "mounts").read_text().splitlines()
    except OSError:
        return []
    return [line for line in mounts if f" {folder}/" in line]


def _at_work_in(folder: Path) -> list[int]:
    """The processes whose command line or root names a folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_text(errors="replace")
            root = str((process / "root").readlink())
        except OSError:
            continue
        if str(folder) in words or root.startswith(str(folder)):
            found.append(int(process.name))
    return found


@pytest.mark.hosts
@pytest.mark.long
def test_a_build_that_is_killed_midway_leaves_no_mount_and_the_next_one_works(tmp_path: Path) -> None:
    images = tmp_path / "images"
    building = subprocess.Popen(
        [sys.executable, "-m", "lab.hosts", "image", "--directory", str(images)],
        cwd=REPOSITORY, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    try:
        wait(lambda: any(_mounted(str(pid), images) for pid in _at_work_in(images)), 120)
    finally:
        os.killpg(building.pid, signal.SIGKILL)
        building.wait()
    wait(lambda: _at_work_in(images) == [], 10)
    assert _mounted("self", images) == []
    assert list(images.glob(".building-*/root/usr")), "it was killed before it had begun"
    target = build_image(images, "debian-12", _said)
    assert (target / "usr/bin/wg").exists()
    assert {path.name for path in images.iterdir()} == {".lock", target.name}
    assert _mounted("self", images) == []
