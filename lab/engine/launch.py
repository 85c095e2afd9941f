"""Starts the program's process ahead of the rest of the engine: it imports Pulumi's SDK meanwhile.

It waits to be told what to run, see `lab/engine/launcher.py`.
"""

import contextlib
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from lab.engine.project import Project, ProjectError
from lab.engine.state.kept_keys import KEPT_KEYS

__all__ = ["QUIET_GRPC", "launch_ahead", "launched"]

QUIET_GRPC: Final = {"GRPC_VERBOSITY": "NONE"}
"""Variables that gRPC reads when it is imported. Else it tells of each connection that ends, on stderr.

Only engine and program should speak there.
"""
_LAUNCHER: Final = Path(__file__).with_name("launcher.py")
_waiting: dict[Path, "subprocess.Popen[bytes]"] = {}
"""Processes that nobody has taken yet, by their project's folder."""


def launch_ahead(folder: Path, environment: Mapping[str, str]) -> None:
    """Start a process for a run of the program in this folder that is about to come; it ends with this one.

    A second call for the same program does nothing. Called in the main thread. Where that fails, so does
    `launched`, which says why.
    """
    with contextlib.suppress(ProjectError, OSError):
        project = Project.find(folder.resolve())
        if project.folder not in _waiting:
            _waiting[project.folder] = _launch(project, environment)


def launched(project: Project) -> "subprocess.Popen[bytes]":
    """Return a process that waits to be told what to run. Raises `ProjectError`, `OSError`."""
    return _waiting.pop(project.folder, None) or _launch(project, os.environ)


def _launch(project: Project, given: Mapping[str, str]) -> "subprocess.Popen[bytes]":
    environment = {**QUIET_GRPC, **given, "PYTHONUNBUFFERED": "1"}
    # what opens the state is the engine's business, not the program's
    for name in ("PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE", KEPT_KEYS):
        environment.pop(name, None)
    return subprocess.Popen(
        [_python(project), "-u", str(_LAUNCHER), str(os.getpid())],
        cwd=project.folder, env=environment, start_new_session=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def _python(project: Project) -> str:
    if project.virtualenv is None:
        return sys.executable
    python = project.virtualenv / "bin" / "python"
    if not python.exists():
        raise ProjectError(f"Pulumi.yaml: virtualenv {project.virtualenv} has no bin/python; create it first")
    return str(python)
