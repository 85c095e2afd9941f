"""sshd moves to another port while somebody knocks: the new one opens first, and no moment shuts both."""

import re
from typing import Any

import pytest

from mesh.host.live.sshd import wanted_ports
from mesh.render import Moving
from tests.host.nodes import CALL, Hosts, Node, Run
from tests.knocking import knocking

pytestmark = pytest.mark.hosts

DROPIN = "/etc/ssh/sshd_config.d/10-wgmesh-port.conf"
MEMBERS = ("web-1", "web-2")


def _document(hosts: Hosts, port: int, *former: int) -> str:
    return hosts.document("web-1", MEMBERS, mesh_ssh={"port": port}, moving=Moving(ssh_ports=former))


def _apply(node: Node, port: int, document: str) -> Run:
    run = Run(0, "")
    for _dial in range(12):
        command = f"exec {CALL} apply"
        run = node.ssh(command, document, options=("-p", str(port)))
        if run.code not in (75, 255):
            break
    return run


@pytest.fixture
def node(hosts: Hosts, web_1: Node) -> Node:
    web_1.settle()
    web_1.inside(f"rm -f {DROPIN}; systemctl reload ssh")
    web_1.bring(hosts.document("web-1", MEMBERS))
    return web_1


def _ports(node: Node) -> set[int]:
    return {int(port) for port in re.findall(r":(\d+) ", node.inside("ss -Hltn | awk '{print $4 \" \"}'"))}


def _drift(node: Node) -> Any:
    return node.status()["differences"]


def test_there_and_back_while_somebody_knocks(hosts: Hosts, node: Node) -> None:
    with knocking(node.address, 22, 2222) as knocks:
        for dialled, port, former in ((22, 2222, (22,)), (2222, 2222, ()), (2222, 22, (2222,)), (22, 22, ())):
            document = _document(hosts, port, *former)
            assert wanted_ports(document)[0] == port
            run = _apply(node, dialled, document)
            assert run.word == "CONFIRMED", run.out
            assert _ports(node) & {22, 2222} == {port, *former}
            assert _drift(node) == []
    assert knocks.shut == []
    assert min(knocks.answered.values()) > 5
    assert node.inside(f"cat {DROPIN}") == "Port 22"


def test_a_move_that_is_rolled_back_leaves_sshd_as_it_was(hosts: Hosts, node: Node) -> None:
    node.inside("echo 'checked fail' >/etc/wgmesh/failpoint")
    with knocking(node.address, 22, 2222) as knocks:
        run = _apply(node, 22, _document(hosts, 2222, 22))
    assert run.word == "ROLLED-BACK", run.out
    assert knocks.shut == []
    assert node.inside(f"test ! -e {DROPIN} && echo gone") == "gone"
    assert _ports(node) & {22, 2222} == {22}
    assert _drift(node) == []


REFUSED = {
    "ssh.socket holds the ports": (
        "systemctl stop ssh; systemctl start ssh.socket",
        "systemctl stop ssh.socket; systemctl start ssh",
        "systemd's ssh.socket holds sshd's ports here: add `ListenStream=2222`",
    ),
    "ListenAddress names a port": (
        "echo 'ListenAddress 0.0.0.0:22' >/etc/ssh/sshd_config.d/05-listen.conf; systemctl restart ssh",
        "rm /etc/ssh/sshd_config.d/05-listen.conf; systemctl restart ssh",
        "the ListenAddress lines of sshd's settings name other ports",
    ),
    "no drop-ins are read": (
        "cp -a /etc/ssh/sshd_config /root/kept; sed -i '/^Include/d' /etc/ssh/sshd_config",
        "mv /root/kept /etc/ssh/sshd_config; systemctl reload ssh",
        "/etc/ssh/sshd_config does not include sshd_config.d: add `Port 2222`",
    ),
}


@pytest.mark.parametrize(
    "case",
    [pytest.param(name, marks=[] if "socket" in name else [pytest.mark.long]) for name in REFUSED],
)
def test_an_sshd_that_cannot_be_moved_is_refused_with_what_helps(hosts: Hosts, node: Node, case: str) -> None:
    arrange, mend, says = REFUSED[case]
    node.inside(arrange)
    before = node.live()
    try:
        run = _apply(node, 22, _document(hosts, 2222, 22))
        after = node.live()
    finally:
        node.inside(mend)
    assert (run.word, run.code) == ("REFUSED", 65), run.out
    assert says in run.out
    assert after == before


@pytest.mark.long
def test_an_sshd_that_was_moved_by_hand_is_left_alone(hosts: Hosts, node: Node) -> None:
    own = "/etc/ssh/sshd_config.d/05-own.conf"
    node.inside(f"printf 'Port 22\\nPort 2222\\n' >{own}; systemctl reload ssh")
    try:
        for dialled, former in ((22, (22,)), (2222, ())):
            run = _apply(node, dialled, _document(hosts, 2222, *former))
            assert run.word == "CONFIRMED", run.out
        assert node.inside(f"test ! -e {DROPIN} && echo none") == "none"
        for dialled, former in ((2222, (2222,)), (22, ())):
            assert _apply(node, dialled, _document(hosts, 22, *former)).word == "CONFIRMED"
    finally:
        node.inside(f"rm {own}; systemctl reload ssh")
