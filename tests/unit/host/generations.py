"""Generations on a disk, as this agent and those before it leave them."""

from pathlib import Path

from mesh.host.files.document import Document, parse_document
from mesh.host.files.generation import commit, stage
from mesh.host.files.keystore import fingerprint
from mesh.host.files.managed import WG_CONF
from mesh.host.files.wgconf import complete
from mesh.host.places import Places
from tests.unit.host import documents as example


def document(port: int = 51820) -> Document:
    wg = example.WG.replace("ListenPort = 51820", f"ListenPort = {port}")
    return parse_document(example.document(wg=wg).encode())


def holds_keys(path: Path) -> bool:
    return any(key.encode() in path.read_bytes() for key in example.KEYS[:2])


def committed(places: Places, *ports: int) -> list[str]:
    for port in ports:
        commit(places, stage(places, document(port)).digest)
    return [document(port).digest for port in ports]


def rendered(places: Places) -> Path:
    return places.state / "wg0.conf"


def older(places: Places, port: int = 51820) -> Path:
    """Make a generation and a link as agents left them that put keys into generations."""
    folder = places.generations / document(port).digest
    if not folder.exists():
        stage(places, document(port))
    text = (folder / "wg0.conf").read_text()
    keys = {fingerprint(key): key for key in example.KEYS}
    (folder / "wg0.conf").write_text(complete(text, keys))
    path = places.at(WG_CONF)
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.is_symlink():
        path.symlink_to(f"{places.current}/wg0.conf")
    return folder
