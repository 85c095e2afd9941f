import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.hosts.image import build_image
from tests.host.nodes import Hosts, Node
from tests.host.trials import PAIR, SHORT, files_never_seen, set_deadline

IMAGE = Path(__file__).parents[2] / ".lab" / "image"


@pytest.fixture(scope="session")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosts]:
    """The lab's network and what its hosts share; gone without a trace afterwards."""
    if os.geteuid() != 0:
        pytest.fail("hosts need root: run `make test`, which uses sudo")
    build_image(IMAGE, "debian-12", print)
    hosts = Hosts(tmp_path_factory.mktemp("hosts"), IMAGE)
    hosts.lab.up()
    yield hosts
    hosts.end()


@pytest.fixture(scope="module", autouse=True)
def _no_guest_stays(hosts: Hosts) -> Iterator[None]:
    """Take web-3 away after each module: the next one expects no answer from there."""
    yield
    hosts.take_away("web-3")


def _ready(hosts: Hosts, name: str) -> Node:
    node = hosts.boot(name)
    node.copy(hosts.agent)
    stored = node.send_keys(hosts.agent)
    assert stored.word == "STORED", stored.out
    return node


@pytest.fixture(scope="session")
def web_1(hosts: Hosts) -> Node:
    return _ready(hosts, "web-1")


@pytest.fixture(scope="session")
def web_2(hosts: Hosts) -> Node:
    return _ready(hosts, "web-2")


@pytest.fixture
def impatient(hosts: Hosts, web_1: Node) -> Iterator[Node]:
    """web-1 with the files of a mesh of two in force, and little time for a trial."""
    web_1.bring(hosts.document("web-1", PAIR))
    kept = web_1.inside("cat /etc/wgmesh/agent.json")
    set_deadline(web_1, SHORT)
    yield web_1
    web_1.inside(f"rm -f /etc/wgmesh/failpoint; echo '{kept}' >/etc/wgmesh/agent.json")


@pytest.fixture(scope="module")
def fresh(hosts: Hosts) -> Node:
    """web-3 with the agent and the keys, and no files yet."""
    return _ready(hosts, "web-3")


@pytest.fixture
def new(hosts: Hosts) -> str:
    """Files that web-1 has never had."""
    return files_never_seen(hosts)
