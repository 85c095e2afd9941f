"""Whether a host is a node: what a commit leaves behind, even if its link is lost."""

from pathlib import Path

from mesh.host.places import Places
from mesh.host.takeover import is_node


def test_a_node_is_known_by_any_trace_of_a_commit(tmp_path: Path) -> None:
    for number, name in enumerate(("current", "previous", "wg_conf")):
        places = Places(tmp_path / str(number))
        link: Path = getattr(places, name)
        link.parent.mkdir(parents=True)
        assert not is_node(places)
        link.symlink_to(f"{places.current}/wg0.conf" if name == "wg_conf" else "generations/0")
        assert is_node(places), name


def test_a_file_by_hand_is_no_trace_of_a_commit(tmp_path: Path) -> None:
    places = Places(tmp_path)
    places.wg_conf.parent.mkdir(parents=True)
    places.wg_conf.symlink_to("/etc/wireguard/office.conf")
    assert not is_node(places)
    places.wg_conf.unlink()
    places.wg_conf.write_text("# mine\n")
    assert not is_node(places)
