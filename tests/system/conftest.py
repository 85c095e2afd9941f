import os
from collections.abc import Iterator

import pytest

from tests.system.world import World


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A rehearsal with its cloud running and nothing deployed; gone without a trace afterwards."""
    if os.geteuid() != 0:
        pytest.fail("hosts need root: run `make test`, which uses sudo")
    world = World(tmp_path_factory.mktemp("world"))
    try:
        world.start()
        yield world
    finally:
        world.end()
