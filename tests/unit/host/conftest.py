from pathlib import Path

import pytest

from mesh.host.files.keystore import fingerprint, store_keys
from mesh.host.places import Places
from tests.unit.host.documents import KEYS


@pytest.fixture
def places(tmp_path: Path) -> Places:
    """A disk with the agent's folders and the keys of the example."""
    places = Places(tmp_path)
    for folder in (places.keys, places.generations):
        folder.mkdir(parents=True, mode=0o700)
    store_keys(places.keys, {fingerprint(key): key for key in KEYS})
    return places
