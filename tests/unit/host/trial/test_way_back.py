import subprocess
from pathlib import Path

import pytest

from mesh.host.files.document import parse_document
from mesh.host.files.generation import Generation, as_generation
from mesh.host.live.device import Device, Link, Peer
from mesh.host.live.route_text import ROUTE_PROTOCOL
from mesh.host.places import Places
from mesh.host.records import replace
from mesh.host.system.run import boot_id, since_boot
from mesh.host.trial.record import Phase, Trial, load_trial, save_trial
from mesh.host.trial.undo import Snapshot, load_snapshot, snapshot_json
from mesh.host.trial.way_back import plain_commands, record_way_back
from mesh.host.tunnel import WG0
from tests.unit.host.documents import KEYS, document, fingerprint

LEFT = Peer(
    preshared_key=None, endpoint="192.0.2.9:51820", allowed_ips=frozenset(["10.10.0.9/32"]), keepalive=0
)
SETTINGS = {"net.ipv4.conf.all.rp_filter": "1", "net.ipv4.ip_forward": "0"}


def generation(folder: Path) -> Generation:
    return as_generation(Places(folder), parse_document(document().encode()))


def snapshot(*, tunnel: bool = True) -> Snapshot:
    device = Device(private_key=fingerprint(KEYS[4]), port=51999, fwmark=0, peers={"P": LEFT})
    link = Link(
        frozenset(["10.10.0.5/24", "10.10.0.6/24"]),
        1400,
        up=True,
        routes=frozenset(["10.11.0.0/16 src 10.10.0.6"]),
        networks=frozenset(["10.10.0.0/24 src 10.10.0.6"]),
    )
    return Snapshot((device, link) if tunnel else None, "table inet wgmesh\n", "{}", SETTINGS)


def trial(**changes: object) -> Trial:
    new = Trial("0123456789abcdef", "d" * 64, Phase.LIVE, boot_id(), since_boot() + 50, 1.0, repair=False)
    return replace(new, **changes)  # type: ignore[arg-type]


@pytest.fixture
def places(tmp_path: Path) -> Places:
    places = Places(tmp_path)
    places.volatile.mkdir(parents=True)
    return places


def test_the_firewall_comes_first_and_everything_is_set_anew(places: Places, tmp_path: Path) -> None:
    lines = plain_commands(places, WG0, generation(tmp_path), snapshot())
    assert lines[0] == 'quick nft -f "$here/firewall.nft" || worked=no'
    text = "\n".join(lines)
    assert f"peer {KEYS[2]} remove" in text, "what only the trial knows goes"
    key = places.keys / fingerprint(KEYS[4])
    assert f"quick wg set wg0 private-key {key} listen-port 51999 fwmark 0x0 " in text
    assert (
        "peer P preshared-key /dev/null endpoint 192.0.2.9:51820 persistent-keepalive off"
        " allowed-ips 10.10.0.9/32" in text
    )
    for line in (
        "quick ip address add 10.10.0.5/24 dev wg0",
        "quick ip address del 10.10.0.1/24 dev wg0",
        "quick ip link set dev wg0 mtu 1400",
        f"quick ip route replace 10.11.0.0/16 src 10.10.0.6 dev wg0 proto {ROUTE_PROTOCOL}",
    ):
        assert line in lines
    network = "quick ip route replace 10.10.0.0/24 dev wg0 proto kernel scope link src 10.10.0.6"
    assert lines.index(network) > lines.index("quick ip address add 10.10.0.6/24 dev wg0")
    settings = [line for line in lines if line.startswith("put ")]
    assert [line.rpartition("/")[2] for line in settings] == ["ip_forward", "rp_filter"]


def test_a_tunnel_that_was_not_there_goes(places: Places, tmp_path: Path) -> None:
    lines = plain_commands(places, WG0, generation(tmp_path), snapshot(tunnel=False))
    assert "quick ip link delete dev wg0" in lines
    assert not any("wg set" in line for line in lines)


def test_the_script_is_good_and_no_file_holds_a_key(places: Places, tmp_path: Path) -> None:
    archive = tmp_path / "agent"
    archive.write_bytes(b"zip")
    record_way_back(places, WG0, trial(), generation(tmp_path), snapshot(), archive)
    script = places.way_back / "way-back.sh"
    subprocess.run(["dash", "-n", script], check=True)
    for path in places.way_back.iterdir():
        assert not any(key in path.read_text() for key in KEYS if key != KEYS[2]), path
    assert (places.way_back / "wgmesh.pyz").read_bytes() == b"zip"
    assert {path.stat().st_mode & 0o777 for path in places.way_back.iterdir()} == {0o600}


@pytest.mark.parametrize("lost", ["gone", "{", "[]", '{"interface": 7}', '{"interface": {"device": []}}'])
def test_the_state_of_before_is_recorded_twice(places: Places, lost: str) -> None:
    places.way_back.mkdir()
    kept = snapshot_json(snapshot())
    for path, other in (
        (places.undo, places.way_back / "undo.json"),
        (places.way_back / "undo.json", places.undo),
    ):
        path.write_bytes(kept)
        other.unlink(missing_ok=True)
        if lost != "gone":
            other.write_text(lost)
        assert load_snapshot(places) == snapshot()


@pytest.mark.parametrize("damage", ["", "{", "[]", "{}", '{"txn": 1}', "\x00\xff"])
def test_a_record_that_cannot_be_read_is_a_trial_that_is_over(places: Places, damage: str) -> None:
    places.trial.write_text(damage)
    found = load_trial(places)
    assert found is not None
    assert found.seconds_left == 0


def test_a_trial_of_another_boot_is_none(places: Places) -> None:
    assert load_trial(places) is None
    save_trial(places, trial())
    assert load_trial(places) is not None
    save_trial(places, trial(boot="another"))
    assert load_trial(places) is None
