from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.cloud.document import Checks, checking, load
from tests.lab.cloud.world import LabCloud


@pytest.fixture(scope="session", autouse=True)
def checks() -> Iterator[Checks]:
    """Every answer that a test of the cloud gets is held against the official document."""
    with checking(load()) as checks:
        yield checks


def _running(state: Path) -> Iterator[LabCloud]:
    cloud = LabCloud(state=state)
    cloud.start()
    try:
        yield cloud
    finally:
        cloud.process.stop()


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabCloud]:
    """One cloud, without hosts, for every test that may find the resources of others in it."""
    yield from _running(tmp_path_factory.mktemp("cloud"))


@pytest.fixture
def cloud(shared: LabCloud) -> Iterator[LabCloud]:
    """The shared cloud, with nothing in it."""
    shared.empty()
    yield shared
    shared.fault()


@pytest.fixture
def own(tmp_path: Path) -> Iterator[LabCloud]:
    """A cloud of the test's own, which it may stop and start."""
    yield from _running(tmp_path / "cloud")
