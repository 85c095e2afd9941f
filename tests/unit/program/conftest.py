from pathlib import Path

import pulumi
import pytest

from mesh.program import agent


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkout packs the agent into its own folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(agent, "_CHECKOUT", tmp_path)


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the program tells the user as an error."""
    told: list[str] = []
    monkeypatch.setattr(pulumi.log, "error", told.append)
    return told
