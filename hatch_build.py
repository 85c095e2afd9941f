"""Builds the agent into the wheel: an installed package has no sources to pack and no folder to write to."""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class AgentInTheWheel(BuildHookInterface[Any]):
    """Packs `mesh/host` and puts the file beside `mesh/program/agent.py`; a checkout has no such file."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add the packed agent to a wheel; an editable install packs it when it runs, as a checkout does."""
        if version == "editable":
            return
        sys.path.insert(0, self.root)
        from mesh.zipapp import AGENT_NAME, pack_agent  # noqa: PLC0415 - importable from here on

        self._folder = TemporaryDirectory()
        packed = Path(self._folder.name) / AGENT_NAME
        packed.write_bytes(pack_agent())
        packed.chmod(0o644)
        build_data["force_include"][str(packed)] = f"mesh/program/{AGENT_NAME}"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:  # noqa: ARG002
        """Remove what was packed."""
        if version != "editable":
            self._folder.cleanup()
