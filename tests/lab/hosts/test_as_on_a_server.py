"""What a fresh server has and hosts of a lab had not: packages to install, a name of its own, start files."""

import os
from pathlib import Path

import pytest

from lab.hosts.image import build_image
from lab.hosts.repository import build_repository, offer
from tests.lab.hosts.world import IMAGES, Host, World, output

pytestmark = pytest.mark.hosts
PACKAGES = Path(os.environ.get("WGMESH_IMAGES", IMAGES)).parent / "packages"


@pytest.fixture(scope="module")
def host(shared: World) -> Host:
    return shared.boot("as", number=22, config={"hostname": "web-1"})


def test_the_name_of_the_user_data_is_the_hosts_own(host: Host) -> None:
    assert host.inside("hostname; cat /etc/hostname").split() == ["web-1", "web-1"]
    assert host.inside("getent ahostsv4 web-1 | cut -d' ' -f1 | sort -u") == "127.0.1.1"
    assert "Your system has configured 'manage_etc_hosts' as True." in host.inside("cat /etc/hosts")


def test_nftables_is_there_and_as_debian_leaves_it(host: Host) -> None:
    assert host.run("systemctl is-enabled nftables.service").stdout.strip() == "disabled"
    assert host.inside("systemctl start nftables && systemctl is-active nftables") == "active"


def test_enter_goes_through_the_start_files_of_roots_shell(host: Host) -> None:
    python = Path(__file__).parents[3] / ".venv/bin/python"
    enter = [str(python), "-m", "lab.hosts", "enter", "--state", str(host.world.folder), "as", "--"]
    host.inside("cp /root/.bashrc /root/.bashrc.kept; sed -i '1i echo Welcome' /root/.bashrc")
    try:
        assert output(*enter, "sh", "-c", 'echo "$1"', "-", "a  b").splitlines() == ["Welcome", "a  b"]
        host.inside("usermod --shell /bin/dash root")
        assert output(*enter, "pwd").splitlines() == ["/root"]
    finally:
        host.inside("usermod --shell /bin/bash root; mv /root/.bashrc.kept /root/.bashrc")


def test_a_package_is_installed_from_what_the_lab_offers(host: Host) -> None:
    root = build_image(IMAGES, "debian-12", print)
    repository = build_repository(
        PACKAGES, root, "debian-12", ["nftables", "wireguard-go", "wireguard-tools"], print
    )
    host.inside("dpkg --purge wireguard-tools 2>&1 && ! command -v wg")
    offer(host.world.lab, host.key, repository)
    host.inside("apt-get -qq update && apt-get -qq install -y --no-install-recommends wireguard-tools 2>&1")
    assert host.inside("command -v wg") == "/usr/bin/wg"
    again = build_repository(
        PACKAGES, root, "debian-12", ["wireguard-tools", "wireguard-go", "nftables"], print
    )
    assert again == repository, "it was downloaded again"
