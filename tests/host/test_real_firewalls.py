"""Firewalls as Debian packages them, installed on a node: named where in the way, and never fought."""

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from lab.hosts.image import build_image
from lab.hosts.repository import build_repository, offer
from lab.testing import wait
from tests.host.conftest import IMAGE
from tests.host.nodes import Hosts, Node, Run

pytestmark = pytest.mark.hosts

PAIR = ("web-1", "web-2")
PACKAGES = Path(os.environ.get("WGMESH_IMAGES", IMAGE)).parent / "packages"
CONNECT = "import socket; socket.create_connection(('10.10.0.1', 8080), timeout=3)"
SECONDS = 10
# Names of ports and protocols, which firewalls speak of; a server of Debian has them.
NAMES = "netbase"
# A disk of the lab is an overlay already.
PODMAN = "podman --storage-driver=vfs"


@pytest.fixture
def node(hosts: Hosts, web_1: Node, web_2: Node) -> Iterator[Node]:
    for each in (web_1, web_2):
        each.bring(hosts.document(each.name, PAIR))
    web_1.inside("systemd-run -q --unit=open python3 -m http.server 8080")
    yield web_1
    web_1.inside("systemctl stop open", check=False)


@contextlib.contextmanager
def installed(node: Node, packages: Sequence[str]) -> Iterator[None]:
    """Debian's packages, from the lab's own source, started as a user's `apt install` starts them."""
    root = build_image(IMAGE, "debian-12", print)
    offer(node.hosts.lab, node.key, build_repository(PACKAGES, root, "debian-12", packages, print))
    quiet = "DEBIAN_FRONTEND=noninteractive apt-get -qq"
    node.inside(
        f"{quiet} update && {quiet} install -y --no-install-recommends {' '.join(packages)} >/run/apt 2>&1"
    )
    try:
        yield
    finally:
        node.inside(f"{quiet} purge -y {' '.join(packages)} >/run/apt 2>&1", check=False)
        node.inside("nft flush ruleset; rm -rf /srv/packages", check=False)
        wait(lambda: has_table(node), SECONDS)


def has_table(node: Node) -> bool:
    return "table inet wgmesh" in node.inside("nft list tables").splitlines()


def found(node: Node) -> dict[str, str]:
    """What differs, but for the kernel settings: `/etc/ufw/sysctl.conf` has some of its own."""
    differences = {each["item"]: each["live"] for each in node.status()["differences"]}
    return {item: live for item, live in differences.items() if not item.startswith("sysctl ")}


def remarks(run: Run) -> str:
    return "\n".join(line for line in run.out.splitlines() if line.startswith("REMARK "))


def through_the_tunnel(peer: Node) -> bool:
    return peer.inside(f'python3 -c "{CONNECT}" 2>&1 && echo in', check=False).endswith("in")


def test_ufw(node: Node, hosts: Hosts, web_2: Node) -> None:
    wait(lambda: through_the_tunnel(web_2), 30)
    with installed(node, ["ufw"]):
        node.inside("ufw allow 22/tcp && ufw --force enable")
        assert has_table(node)
        assert not through_the_tunnel(web_2), "ufw lets in what it was told alone"
        run = node.apply(hosts.document("web-1", PAIR, public=["tcp/8201"]))
        assert run.word == "CONFIRMED", run.out
        assert "WireGuard (UDP to port 51820)" in remarks(run)
        assert "through the tunnel" in remarks(run)
        assert "table ip filter, chain" in remarks(run)
        assert "ufw" in remarks(run)
        assert len(found(node)) == 2
        node.inside("ufw allow in on wg0 && ufw allow 51820/udp")
        assert found(node) == {}
        wait(lambda: through_the_tunnel(web_2), 30)
        for verb in ("ufw reload", "ufw disable", "systemctl restart ufw", "ufw --force reset"):
            node.inside(verb)
            wait(lambda: has_table(node), SECONDS)
    assert found(node) == {}


@pytest.mark.long
def test_iptables_of_the_older_kind(node: Node, hosts: Hosts) -> None:
    """Its rules are in no table of nftables."""
    with installed(node, ["iptables"]):
        node.inside("iptables-legacy -A INPUT -i wg0 -p tcp --dport 8080 -j DROP")
        try:
            assert found(node) == {"tcp/8080 through the tunnel from 10.10.0.2": "dropped by iptables-legacy"}
        finally:
            node.inside("iptables-legacy -F")
        assert found(node) == {}


@pytest.mark.long
def test_fail2ban(node: Node, hosts: Hosts) -> None:
    sources = {"from": [str(hosts.lab.pool), "198.51.100.7"]}
    assert node.apply(hosts.document("web-1", PAIR, mesh_ssh=sources)).word == "CONFIRMED"
    node.inside(
        "mkdir -p /etc/fail2ban; printf '[sshd]\\nenabled = true\\nbackend = systemd\\n"
        "banaction = nftables\\n' >/etc/fail2ban/jail.local"
    )
    with installed(node, ["fail2ban", "python3-systemd", NAMES]):
        node.inside("systemctl restart fail2ban")
        wait(lambda: "sshd" in node.inside("fail2ban-client status", check=False), 30)
        node.inside("fail2ban-client set sshd banip 198.51.100.7")
        wait(lambda: any("198.51.100.7" in item for item in found(node)), 30)
        run = node.apply(hosts.document("web-1", PAIR, mesh_ssh=sources, public=["tcp/8202"]))
        assert run.word == "CONFIRMED", run.out
        assert "f2b" in remarks(run)
        assert "fail2ban-client unban" in remarks(run)
        node.inside("fail2ban-client unban 198.51.100.7")
        assert found(node) == {}
        node.inside("systemctl reload fail2ban; systemctl restart fail2ban; systemctl stop fail2ban")
        assert has_table(node)


@pytest.mark.long
def test_firewalld(node: Node, hosts: Hosts, web_2: Node) -> None:
    with installed(node, ["firewalld", NAMES]):
        wait(lambda: node.inside("firewall-cmd --state 2>&1", check=False) == "running", 60)
        assert has_table(node)
        run = node.apply(hosts.document("web-1", PAIR, public=["tcp/8203"]))
        assert run.word == "CONFIRMED", run.out
        assert "table inet firewalld" in remarks(run)
        assert not through_the_tunnel(web_2)
        node.inside("firewall-cmd --zone=trusted --add-interface=wg0 && firewall-cmd --add-port=51820/udp")
        wait(lambda: through_the_tunnel(web_2), 30)
        assert found(node) == {}
        for verb in ("firewall-cmd --reload", "systemctl restart firewalld", "systemctl stop firewalld"):
            node.inside(verb)
            wait(lambda: has_table(node), SECONDS)


@pytest.mark.long
def test_docker(node: Node, hosts: Hosts) -> None:
    """It drops what is forwarded and not a container's; that is none of the mesh's."""
    with installed(node, ["docker.io", "iptables"]):
        wait(lambda: "172.17.0.1" in node.inside("ip -4 address show docker0 2>&1", check=False), 60)
        assert has_table(node)
        assert node.apply(hosts.document("web-1", PAIR, trustedInterfaces=["docker0"])).word == "CONFIRMED"
        assert found(node) == {}
        for verb in ("docker network create more", "systemctl restart docker", "systemctl stop docker"):
            node.inside(verb)
            assert has_table(node)
            assert found(node) == {}


@pytest.mark.long
def test_a_port_that_podman_publishes(node: Node, hosts: Hosts, web_2: Node) -> None:
    """It goes to a container, which the trial of packets has not: nothing is said to be in the way."""
    document = hosts.document("web-1", PAIR, trustedInterfaces=["podman*"])
    with installed(node, ["podman", "netavark", "aardvark-dns", "crun", "iptables", "busybox-static"]):
        assert node.apply(document).word == "CONFIRMED"
        node.inside(
            "rm -rf /var/lib/containers; mkdir -p /run/box/bin; cp /bin/busybox /run/box/bin/;"
            f"tar -C /run/box -c . | {PODMAN} import - box;"
            f"{PODMAN} run -d --cgroups=disabled --name box -p 8090:80 box /bin/busybox httpd -f -p 80"
        )
        try:
            publish = CONNECT.replace("8080", "8090")
            wait(lambda: web_2.inside(f'python3 -c "{publish}" && echo in', check=False).endswith("in"), 30)
            assert found(node) == {}
            run = node.apply(document.replace("20/second", "30/second"))
            assert run.word == "CONFIRMED", run.out
            assert remarks(run) == ""
        finally:
            node.inside(f"{PODMAN} rm -f -t 0 box", check=False)
