"""Another SSH host key: served beside the old one first, then alone, and nobody is refused meanwhile."""

import json
import subprocess
from collections.abc import Iterator

import pytest

from mesh.program.keys import other_ssh_key, ssh_public_line
from tests.host.nodes import Hosts, Node
from tests.knocking import knocking

pytestmark = pytest.mark.hosts


def _served(node: Node) -> set[str]:
    kinds = "ed25519,ecdsa"
    shown = subprocess.run(
        ["ssh-keyscan", "-T", "5", "-t", kinds, node.address], capture_output=True, text=True, check=True
    )
    return {line.partition(" ")[2] for line in shown.stdout.splitlines() if not line.startswith("#")}


def _permanent(node: Node) -> str:
    return " ".join(node.inside("cat /etc/ssh/ssh_host_ed25519_key.pub").split()[:2])


@pytest.fixture
def node(web_1: Node) -> Iterator[Node]:
    web_1.wait_idle()
    web_1.inside("cp -a /etc/ssh /root/ssh-before")
    yield web_1
    # A restart ends once sshd listens. A reload ends before, and refuses whoever comes next for a moment.
    web_1.inside("rm -rf /etc/ssh && mv /root/ssh-before /etc/ssh && systemctl restart ssh")


def _bring(hosts: Hosts, node: Node, **more: str) -> str:
    bundle = {**json.loads(hosts.keys.bundle("web-1")), **more}
    return node.agent("keys", json.dumps(bundle)).word


def test_both_are_served_until_the_old_one_is_let_go(hosts: Hosts, node: Node) -> None:
    old = _permanent(node)
    private = other_ssh_key(old)
    new = ssh_public_line(private)
    assert new.startswith("ecdsa-sha2-nistp384 ")
    with knocking(node.address, 22) as knocks:
        for _twice in range(2):
            assert _bring(hosts, node, host_key=private, former_host_key=old) == "STORED"
            assert {old, new} <= _served(node)
        assert _permanent(node) == old
        for _twice in range(2):
            assert _bring(hosts, node, host_key=private) == "STORED"
            served = _served(node)
            assert new in served
            assert old not in served
        assert _permanent(node) == new
    assert knocks.shut == []
    assert node.inside("ls /etc/ssh | grep -c wgmesh_key || true") == "0"
    assert node.install().word == "INSTALLED"
    assert new in _served(node), "a new agent lets it be"
    node.reboot()
    assert new in _served(node)


def test_what_is_no_key_is_refused_and_nothing_is_changed(hosts: Hosts, node: Node) -> None:
    before = _served(node)
    assert _bring(hosts, node, host_key="no key", former_host_key=_permanent(node)) == "REFUSED"
    assert _served(node) == before
