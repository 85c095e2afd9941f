import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.hosts.image import build_image
from tests.host.nodes import Hosts, Node

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
    for machine in hosts.lab.machines():
        hosts.lab.destroy(machine.key)
    hosts.lab.down()


def _ready(hosts: Hosts, name: str) -> Node:
    node = hosts.boot(name)
    installed = node.install()
    assert installed.word == "INSTALLED", installed.out
    stored = node.agent("keys", hosts.keys.bundle(name))
    assert stored.word == "STORED", stored.out
    return node


@pytest.fixture(scope="session")
def web_1(hosts: Hosts) -> Node:
    return _ready(hosts, "web-1")


@pytest.fixture(scope="session")
def web_2(hosts: Hosts) -> Node:
    return _ready(hosts, "web-2")
