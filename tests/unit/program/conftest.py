from pathlib import Path

import pytest

from mesh.program import agent


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkout packs the agent into its own folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(agent, "_CHECKOUT", tmp_path)
