import logging
from pathlib import Path

import pulumi
import pytest
from pulumi.runtime import resource
from pulumi.runtime.proto import source_pb2

from mesh.calls import nodes
from mesh.program import agent

# As where Pulumi starts a program: a run that fails leaves futures that nobody awaits, and a later test
# would be told of them.
logging.getLogger("asyncio").setLevel(logging.CRITICAL)


@pytest.fixture(autouse=True)
def _without_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait a second for servers that never answer, and do not ask from which lines a resource comes.

    The SDK takes a fifth of a run to find these lines, and nobody reads them here.
    """
    monkeypatch.setattr(nodes, "_CONNECT_SECONDS", 1.0)
    monkeypatch.setattr(resource, "_get_stack_trace", source_pb2.StackTrace, raising=False)


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
