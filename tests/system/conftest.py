import os
from collections.abc import Iterator

import pytest

from lab.engine.state.kept_keys import KEPT_KEYS
from tests.system.world import World


@pytest.fixture(scope="session", autouse=True)
def _derived_keys_are_kept(tmp_path_factory: pytest.TempPathFactory) -> None:
    """No passphrase of a test is a secret, and to derive the key takes longer than many a run."""
    os.environ[KEPT_KEYS] = str(tmp_path_factory.getbasetemp() / "derived-keys")


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
