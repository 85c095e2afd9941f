"""What an engine prints for `stack output --json`, and a program that prints it."""

import json
import sys
from pathlib import Path
from typing import Any

NODES: dict[str, Any] = {
    "db-1": {
        "address": "10.10.0.11",
        "public_ip": "192.0.2.11",
        "public_key": "pub",
        "host_key": "ssh-ed25519 B",
    },
    "web-1": {
        "address": "10.10.0.2",
        "public_ip": "192.0.2.2",
        "public_key": "pub",
        "host_key": "ssh-ed25519 A",
    },
}
OUTPUTS: dict[str, Any] = {"nodes": NODES, "ssh_private_key": "-----BEGIN OPENSSH PRIVATE KEY-----\nk\n"}


def engine(folder: Path, outputs: Any, *, code: int = 0) -> str:
    """A command line that stands for the engine; it leaves what it was asked in `asked`."""
    script = folder / "engine.py"
    script.write_text(
        "import pathlib, sys\n"
        f"pathlib.Path({str(folder / 'asked')!r}).write_text(' '.join(sys.argv[1:]))\n"
        f"print({json.dumps(outputs)!r})\n"
        f"sys.exit({code})\n"
    )
    return f"{sys.executable} {script}"
