from collections.abc import Iterator

import pytest

from tests.firewall.world import World, world


@pytest.fixture(scope="module")
def place() -> Iterator[World]:
    with world() as built:
        yield built
