from collections.abc import Iterator

import pytest

from tests.lab.cloud.document import Checks, checking, load


@pytest.fixture(scope="session", autouse=True)
def checks() -> Iterator[Checks]:
    """Every answer that a test gets of the cloud is held against the official document."""
    with checking(load()) as checks:
        yield checks
