"""Packs `mesh/host` into the one file that runs on every node."""

import hashlib
import io
import os
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

__all__ = ["AgentFile", "build_agent"]

_SOURCE: Final = Path(__file__).parent.parent / "host"
_MAIN: Final = "from wgmesh.cli import main\n\nraise SystemExit(main())\n"
_SHEBANG: Final = b"#!/usr/bin/env python3\n"
# A fixed time stamp, the earliest that the zip format can hold: same source, same bytes.
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class AgentFile:
    """The built zipapp: where it lies (relative to the project) and the SHA-256 of its bytes in hex."""

    path: str
    sha256: str


def build_agent(folder: Path) -> AgentFile:
    """Write `wgmesh.pyz` into `folder`, unless it is already there with the same bytes.

    The same source gives the same bytes on every machine and Python version.
    """
    content = _zipapp(_SOURCE)
    target = folder / "wgmesh.pyz"
    if not target.exists() or target.read_bytes() != content:
        folder.mkdir(parents=True, exist_ok=True)
        fresh = target.with_suffix(f".{os.getpid()}.new")
        fresh.write_bytes(content)
        fresh.replace(target)
    return AgentFile(path=str(target), sha256=hashlib.sha256(content).hexdigest())


def _zipapp(source: Path) -> bytes:
    files = {"__main__.py": _MAIN.encode()}
    for path in source.rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts:
            files[f"wgmesh/{path.relative_to(source).as_posix()}"] = path.read_bytes()
    buffer = io.BytesIO()
    buffer.write(_SHEBANG)
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(files):
            info = zipfile.ZipInfo(name, _EPOCH)
            info.create_system = 3  # Unix, whatever machine builds it
            info.external_attr = 0o100644 << 16
            archive.writestr(info, files[name])
    return buffer.getvalue()
