"""The hosts of a fleet, as the files of a rival name them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.fleet import Fleet, names

__all__ = ["SOURCE", "Host", "inventory"]

SOURCE: Final = Path(__file__).parents[1] / "baseline"
"""The files of the rivals: playbook, deploy, templates, settings."""


@dataclass(frozen=True, kw_only=True)
class Host:
    """A host: its address for SSH, the file of the private key for root, its address in the tunnel."""

    name: str
    address: str
    key: Path
    overlay: str


def inventory(fleet: Fleet, folder: Path, count: int) -> list[Host]:
    """Return the first `count` hosts, and write the private key into a folder."""
    outputs = fleet.outputs()
    key = folder / "key"
    key.touch(mode=0o600)
    key.write_text(outputs["ssh_private_key"])
    found = ((name, outputs["nodes"][name]) for name in names(count))
    return [
        Host(name=name, address=node["public_ip"], key=key, overlay=node["address"]) for name, node in found
    ]
