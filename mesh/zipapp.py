"""Packs `mesh/host` into the one file that runs on every node: same source, same bytes.

The file begins with the shell script of first contact, for a host that may have no Python yet. The modules
travel packed, as every node gets them from the operator's machine, often over a slow line.

Imports nothing but the standard library: the wheel is built with this module, before anything is installed.
"""

import bz2
import hashlib
import io
import json
import zipfile
from pathlib import Path
from typing import Final

__all__ = ["AGENT_NAME", "pack_agent"]

AGENT_NAME: Final = "wgmesh.pyz"
"""The name of the file, in a wheel and in a checkout."""

_SOURCE: Final = Path(__file__).parent / "host"
# Where mesh/host/bytecode.py finds all modules, packed.
_SOURCES: Final = "sources"
# What Python itself imports: it leads to the rest.
_PLAIN: Final = ("__main__.py", "wgmesh/__init__.py", "wgmesh/bytecode.py")
# The archive's comment, with which the file ends.
_SEAL_BYTES: Final = 64
_MAIN: Final = """\
from wgmesh.bytecode import use_bytecode

use_bytecode(__loader__)

from wgmesh.cli import main

main()
"""
# The line of first_contact.sh in whose place bootstrap.sh comes.
_BOOTSTRAP: Final = "# bootstrap.sh\n"
# A fixed time stamp, the earliest that the zip format can hold: same source, same bytes.
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)


def pack_agent(before: bytes = b"") -> bytes:
    """Return the agent as a zipapp: the same bytes on every machine and Python version.

    Packed by bzip2, whose bytes are the same everywhere, as they are not with the several zlib there are.
    That takes a twentieth of a second: `before` is returned if this module packed it, of the same sources.
    """
    script = _script().encode()
    texts = {"__main__.py": _MAIN}
    for path in _SOURCE.rglob("*.py"):
        if path.is_file():  # an editor's lock is a link to nothing
            texts[f"wgmesh/{path.relative_to(_SOURCE).as_posix()}"] = path.read_text(encoding="utf-8")
    sources = json.dumps(texts, sort_keys=True).encode()
    if before[-_SEAL_BYTES:] == _seal(script, sources, before[:-_SEAL_BYTES]):
        return before
    files = {name: texts[name].encode() for name in _PLAIN}
    files[_SOURCES] = bz2.compress(sources)
    buffer = io.BytesIO()
    buffer.write(script)
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        archive.comment = bytes(_SEAL_BYTES)
        for name, content in files.items():
            info = zipfile.ZipInfo(name, _EPOCH)
            info.create_system = 3  # Unix, whatever machine builds it
            info.external_attr = 0o100644 << 16
            archive.writestr(info, content)
    packed = buffer.getvalue()[:-_SEAL_BYTES]
    return packed + _seal(script, sources, packed)


def _seal(script: bytes, sources: bytes, packed: bytes) -> bytes:
    """Return what a packed file ends with: a digest of how it was packed, what went in, and what came out."""
    packer = Path(__file__).read_bytes()
    parts = (hashlib.sha256(part).hexdigest() for part in (packer, script, sources, packed))
    return hashlib.sha256(" ".join(parts).encode()).hexdigest().encode()


def _script() -> str:
    """Return what a shell reads of the file."""
    before, line, after = (_SOURCE / "first_contact.sh").read_text().partition(_BOOTSTRAP)
    assert line
    return f"{before}{(_SOURCE / 'bootstrap.sh').read_text()}{after}"
