"""The agent as a file that can be copied to every node.

An installed package brings the file along, built into the wheel. A checkout compares the file with its
sources in each run, and packs other ones again: a change of `mesh/host` is never forgotten. The state keeps
the hash of the file's bytes, and the hash alone decides: the same bytes at another path change nothing.
"""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pulumi

from mesh.zipapp import AGENT_NAME, pack_agent

__all__ = ["AgentFile", "agent_file", "build_agent"]

_BUILT: Final = Path(__file__).with_name(AGENT_NAME)
_CHECKOUT: Final = Path(__file__).parent.parent.parent


@dataclass(frozen=True)
class AgentFile:
    """The zipapp: where the file lies and the SHA-256 of its bytes in hex.

    The path is absolute. In a run from the checkout's own folder the path is relative to that folder, so that
    a state says nothing of the machine.
    """

    path: str
    sha256: str


def agent_file() -> AgentFile:
    """Return the agent of this installation: the built one, or one packed from the sources of a checkout.

    Raises `pulumi.RunError` where a checkout cannot be written to.
    """
    if _BUILT.exists():
        return AgentFile(path=str(_BUILT), sha256=hashlib.sha256(_BUILT.read_bytes()).hexdigest())
    folder = Path("build") if _CHECKOUT.samefile(Path.cwd()) else _CHECKOUT / "build"
    try:
        return build_agent(folder)
    except OSError as error:
        raise pulumi.RunError(
            f"{folder / AGENT_NAME}: cannot pack the agent into this file: {error.strerror}. Give the user "
            f"that runs Pulumi write access there, or install the package (pip install {_CHECKOUT})"
        ) from None


def build_agent(folder: Path) -> AgentFile:
    """Pack the agent into `folder`, unless it is there already, packed of these sources. Raises `OSError`."""
    target = folder / AGENT_NAME
    before = target.read_bytes() if target.exists() else b""
    content = pack_agent(before)
    if content != before:
        folder.mkdir(parents=True, exist_ok=True)
        fresh = target.with_suffix(f".{os.getpid()}.new")
        fresh.write_bytes(content)
        fresh.replace(target)
    return AgentFile(path=str(target), sha256=hashlib.sha256(content).hexdigest())
