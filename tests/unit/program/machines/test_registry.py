"""The seam between the mesh and who makes its servers."""

import re
from pathlib import Path

import mesh
from mesh.program import PROVIDERS
from mesh.settings.node import DEFAULT_PROVIDER

MESH = Path(mesh.__file__).parent
ROOMS = (MESH / "program" / "machines" / "hetzner", MESH / "review" / "hetzner.py")
"""Where servers are declared, and where a preview of them is read (without Pulumi)."""


def test_only_its_rooms_know_the_cloud() -> None:
    files = [path for path in MESH.rglob("*") if path.suffix in {".py", ".sh", ".j2"}]
    spoken = [path for path in files if re.search("hcloud", path.read_text(), re.IGNORECASE)]
    assert spoken
    assert [path for path in spoken if not any(path.is_relative_to(room) for room in ROOMS)] == []


def test_a_node_that_names_no_provider_has_one() -> None:
    assert DEFAULT_PROVIDER in PROVIDERS
