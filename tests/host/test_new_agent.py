"""A new agent comes with the keys: one call, which may be cut off anywhere and made again."""

import hashlib
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from mesh.program.agent import AgentFile
from tests.host.nodes import CALL, INCOMING, Hosts, Node
from tests.host.trials import PAIR, THREE, another_port

pytestmark = pytest.mark.hosts


@pytest.fixture(scope="module")
def newer(hosts: Hosts, tmp_path_factory: pytest.TempPathFactory) -> AgentFile:
    """An agent that differs in a file which says nothing."""
    path = tmp_path_factory.mktemp("newer") / "wgmesh.pyz"
    path.write_bytes(Path(hosts.agent.path).read_bytes())
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("note", "another one")
    return AgentFile(path=str(path), sha256=hashlib.sha256(path.read_bytes()).hexdigest())


@pytest.fixture
def node(web_1: Node, hosts: Hosts) -> Iterator[Node]:
    """web-1 in a mesh of two; the agent of all other tests is its agent again afterwards."""
    web_1.bring(hosts.document("web-1", PAIR))
    yield web_1
    web_1.settle()
    web_1.copy(hosts.agent)
    assert web_1.send_keys(hosts.agent).word == "STORED"


def _agent(node: Node) -> str:
    return str(node.status()["agent"])


def _files(node: Node) -> str:
    return node.inside("cd /usr/local/lib/wgmesh; sha256sum wgmesh.*; ls; ls -l /var/lib/wgmesh/keys")


def _waits(node: Node) -> bool:
    """Whether a copied agent has not installed itself yet."""
    return node.inside(f"test ! -e {INCOMING} || echo yes") == "yes"


def test_a_new_agent_and_new_keys_take_one_call_and_change_nothing_else(
    node: Node, hosts: Hosts, newer: AgentFile
) -> None:
    before = node.live()
    node.inside("rm /var/lib/wgmesh/keys/*")
    node.copy(newer)
    assert node.send_keys(newer).word == "STORED"
    assert _agent(node) == newer.sha256
    assert not _waits(node)
    files = _files(node)
    for _again in range(2):
        assert node.send_keys(newer).word == "STORED"
        assert _files(node) == files
    assert node.live() == before
    assert node.agent("apply", hosts.document("web-1", PAIR)).word == "UNCHANGED"


@pytest.mark.parametrize("step", ["installed", pytest.param("stored", marks=pytest.mark.long)])
@pytest.mark.parametrize("action", ["kill", pytest.param("fail", marks=pytest.mark.long)])
def test_a_call_that_is_cut_off_is_made_again(node: Node, newer: AgentFile, step: str, action: str) -> None:
    node.inside("rm /var/lib/wgmesh/keys/*")
    node.copy(newer)
    node.inside(f"echo '{step} {action}' >/etc/wgmesh/failpoint")
    assert node.send_keys(newer).word != "STORED"
    assert _agent(node) == newer.sha256
    assert _waits(node)
    node.inside("rm -f /etc/wgmesh/failpoint")
    assert node.send_keys(newer).word == "STORED"
    assert not _waits(node)
    assert node.status()["differences"] == []


def test_keys_for_another_agent_are_refused_and_nothing_changes(
    node: Node, hosts: Hosts, newer: AgentFile
) -> None:
    before = _files(node)
    run = node.send_keys(newer)
    assert (run.word, run.code) == ("REFUSED", 65)
    assert f"has the digest {hosts.agent.sha256}, but {newer.sha256} was expected" in run.out
    assert _files(node) == before
    node.copy(newer)
    before = _files(node)
    run = node.send_keys(hosts.agent)
    assert run.word == "REFUSED"
    assert f"{INCOMING} has the digest {newer.sha256}, but {hosts.agent.sha256} was expected" in run.out
    assert _files(node) == before
    assert _agent(node) == hosts.agent.sha256


def test_bad_keys_are_refused_before_a_new_agent_is_installed(node: Node, newer: AgentFile) -> None:
    node.copy(newer)
    before = _files(node)
    run = node.ssh(f"exec python3 -IS {INCOMING} keys {newer.sha256}", '{"format": 1, "keys": ["x"]}')
    assert run.word == "REFUSED"
    assert _files(node) == before


def test_a_trial_keeps_its_agent(node: Node, hosts: Hosts, newer: AgentFile) -> None:
    document = hosts.document("web-1", THREE, public=[another_port()])
    assert node.agent("apply", document).word == "RECONNECT"
    node.copy(newer)
    run = node.send_keys(newer)
    assert (run.word, run.code) == ("BUSY", 73)
    assert _agent(node) == hosts.agent.sha256
    assert node.apply(document).word == "CONFIRMED"
    assert node.send_keys(newer).word == "STORED"
    assert node.ssh(f"exec {CALL} keys {newer.sha256}", hosts.keys.bundle("web-1")).word == "STORED"
