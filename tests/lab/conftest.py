import os
from collections.abc import Iterator

import pytest

from lab.engine.state.kept_keys import KEPT_KEYS
from tests.lab.cloud.document import Checks, checking, load


@pytest.fixture(scope="session", autouse=True)
def _derived_keys_are_kept(tmp_path_factory: pytest.TempPathFactory) -> None:
    """No passphrase of a test is a secret, and to derive the key takes longer than many a run."""
    os.environ[KEPT_KEYS] = str(tmp_path_factory.getbasetemp() / "derived-keys")


@pytest.fixture(scope="session", autouse=True)
def checks() -> Iterator[Checks]:
    """Every answer that a test gets of the cloud is held against the official document."""
    with checking(load()) as checks:
        yield checks
