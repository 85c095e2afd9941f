"""Whether a host is a node: what a commit leaves behind, even if its link is lost."""

from pathlib import Path

import pytest

from mesh.host.files.managed import WG_CONF
from mesh.host.files.wentback import was_committed
from mesh.host.live.takeover import named_in_files
from mesh.host.places import Places
from mesh.host.tunnel import WG0


def test_a_node_is_known_by_any_trace_of_a_commit(tmp_path: Path) -> None:
    places = Places(tmp_path)
    traces = {
        places.current: "generations/0",
        places.previous: "generations/0",
        places.at(WG_CONF): f"{places.state}/wg0.conf",
    }
    traces_of_older_agents = {places.at(WG_CONF): f"{places.current}/wg0.conf"}
    for link, target in (*traces.items(), *traces_of_older_agents.items()):
        link.parent.mkdir(parents=True, exist_ok=True)
        assert not was_committed(places)
        link.symlink_to(target)
        assert was_committed(places), link
        link.unlink()


def test_a_file_by_hand_is_no_trace_of_a_commit(tmp_path: Path) -> None:
    places = Places(tmp_path)
    places.at(WG_CONF).parent.mkdir(parents=True)
    places.at(WG_CONF).symlink_to("/etc/wireguard/office.conf")
    assert not was_committed(places)
    places.at(WG_CONF).unlink()
    places.at(WG_CONF).write_text("# mine\n")
    assert not was_committed(places)


@pytest.mark.parametrize(
    ("file", "text", "owner"),
    [
        (
            "etc/systemd/network/30-office.netdev",
            "[NetDev]\nName = wg0\nKind=wireguard\n",
            "systemd-networkd",
        ),
        ("usr/lib/systemd/network/30-office.network", "[Match]\nName=wg1 wg0\n", "systemd-networkd"),
        ("etc/systemd/network/30-office.netdev", "[NetDev]\nName=wg0-office\n", None),
        ("etc/NetworkManager/system-connections/a", "[connection]\ninterface-name=wg0\n", "NetworkManager"),
        ("etc/NetworkManager/system-connections/a", "[connection]\nid=wg0\n", None),
        ("etc/netplan/50.yaml", "network:\n  tunnels:\n    wg0:\n      mode: wireguard\n", "netplan"),
        ("etc/netplan/50.yaml", "network:\n  tunnels:\n    wg01:\n      mode: wireguard\n", None),
        ("etc/network/interfaces", "auto lo wg0\niface wg0 inet static\n", "ifupdown"),
        ("etc/network/interfaces.d/office", "iface wg0 inet manual\n", "ifupdown"),
        ("etc/network/interfaces", "auto lo\n# iface wg0 inet static\n", None),
    ],
)
def test_programs_that_make_the_interface_are_named(
    tmp_path: Path, file: str, text: str, owner: str | None
) -> None:
    path = tmp_path / file
    path.parent.mkdir(parents=True)
    path.write_text(text)
    found = list(named_in_files(Places(tmp_path), WG0))
    assert found == ([f"{owner}, {path}"] if owner else [])
