"""The seam between the mesh and who makes its servers."""

import re
from pathlib import Path

import mesh
from mesh.program import PROVIDERS
from mesh.settings.models import DEFAULT_PROVIDER

MESH = Path(mesh.__file__).parent
ROOM = MESH / "program" / "machines" / "hetzner"


def test_nothing_but_its_room_knows_the_cloud() -> None:
    files = [path for path in MESH.rglob("*") if path.suffix in {".py", ".sh", ".j2"}]
    spoken = [path for path in files if re.search("hcloud", path.read_text(), re.IGNORECASE)]
    assert spoken
    assert [path for path in spoken if not path.is_relative_to(ROOM)] == []


def test_a_node_that_names_no_provider_has_one() -> None:
    assert DEFAULT_PROVIDER in PROVIDERS
