import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.hosts.image import build_image
from tests.lab.hosts.network import Network
from tests.lab.hosts.world import IMAGES, Host, World


def _world(folder: Path) -> Iterator[World]:
    if os.geteuid() != 0:
        pytest.fail("hosts need root: run `make test`, which uses sudo")
    build_image(IMAGES, "debian-12", print)
    world = World(folder)
    world.lab.up()
    try:
        yield world
    finally:
        world.close()
        assert world.traces() == []


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One lab for every test that leaves it as it was."""
    yield from _world(tmp_path_factory.mktemp("shared"))


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A lab of the test's own."""
    yield from _world(tmp_path / "state")


@pytest.fixture(scope="session")
def one(shared: World) -> Host:
    return shared.boot("one", number=10)


@pytest.fixture(scope="session")
def two(shared: World) -> Host:
    return shared.boot("two", number=11)


@pytest.fixture
def network(tmp_path: Path) -> Iterator[Network]:
    """The lab's router with two namespaces, one and two."""
    built = Network(tmp_path / "state")
    try:
        yield built
    finally:
        built.end()
