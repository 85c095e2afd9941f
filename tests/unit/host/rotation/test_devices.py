"""What the interfaces hold in each phase; whether nodes reach each other by it, the simulation shows."""

from dataclasses import replace as replaced

import pytest

from mesh.host.files.wgconf import WgFile
from mesh.host.live.device import wanted_device
from mesh.host.records import replace
from mesh.host.rotation.devices import next_device, redirected, wg0_device
from mesh.host.rotation.peers import Known, known_peers
from mesh.host.rotation.plan import Plan, plan_between
from mesh.host.rotation.progress import Phase, Progress, first_progress
from tests.unit.host.rotation.meshes import mesh

NAMES = ("web-1", "web-2", "db-1")
BEFORE = mesh(*NAMES)
ALL = mesh(*NAMES, **dict.fromkeys(NAMES, 2))
MORE = mesh(*NAMES, "db-2", **dict.fromkeys(NAMES, 2))


def begun(name: str, before: WgFile, after: WgFile) -> tuple[WgFile, Plan, Progress]:
    plan = plan_between(before, after)
    assert plan
    return after, plan, first_progress(plan, 0.0)


def case(name: str = "web-2") -> tuple[WgFile, Plan, Progress]:
    return begun(name, BEFORE.file(name), ALL.file(name))


def test_in_the_first_phase_wg0_keeps_all_keys_and_the_second_interface_has_the_next_ones() -> None:
    file, plan, progress = case()
    assert wg0_device(file, plan, progress) == wanted_device(BEFORE.file("web-2"))
    assert wg0_device(file, plan, None) == wanted_device(BEFORE.file("web-2"))
    second = next_device(file, plan, progress)
    assert second
    assert (second.private_key, second.port) == ("private web-2.2", 51821)
    assert {name: (peer.endpoint, peer.keepalive) for name, peer in second.peers.items()} == {
        "web-1.2": ("198.51.100.1:51821", 1),
        "db-1.2": ("198.51.100.3:51821", 1),
    }
    assert redirected(file, plan, progress) == set()
    assert redirected(file, plan, replace(progress, moved=frozenset(["db-1"]))) == {"db-1"}


def test_after_the_re_key_the_lower_end_shakes_hands_and_the_higher_one_waits() -> None:
    file, plan, progress = case()
    rekeyed = replace(progress, phase=Phase.REKEYED, moved=plan.changing)

    def keepalives(progress: Progress) -> dict[str, int]:
        return {name: peer.keepalive for name, peer in wg0_device(file, plan, progress).peers.items()}

    assert keepalives(rekeyed) == {"web-1.2": 0, "db-1.2": 25}
    assert redirected(file, plan, rekeyed) == {"web-1", "db-1"}
    back = replace(rekeyed, back=frozenset(["web-1"]))
    assert keepalives(back) == {"web-1.2": 25, "db-1.2": 25}
    assert redirected(file, plan, back) == {"db-1"}
    assert next_device(file, plan, back) == next_device(file, plan, progress)


def test_a_keepalive_of_the_file_stays_but_while_the_node_is_shy() -> None:
    file, plan, progress = case()
    file = replace(file, peers=tuple(replace(peer, keepalive=7) for peer in file.peers))
    rekeyed = replace(progress, phase=Phase.REKEYED, moved=plan.changing)
    for given, expected in ((progress, (7, 7)), (rekeyed, (0, 7))):
        assert tuple(peer.keepalive for peer in wg0_device(file, plan, given).peers.values()) == expected


def test_at_the_end_all_is_as_in_the_file() -> None:
    file, plan, progress = case()
    linger = replace(progress, phase=Phase.LINGER, moved=plan.changing, back=plan.changing)
    assert wg0_device(file, plan, linger) == wanted_device(file) == wg0_device(file, None, None)
    assert next_device(file, plan, linger) is None
    assert redirected(file, plan, linger) == set()


def test_what_is_not_a_key_comes_from_the_file_in_force() -> None:
    file, plan, progress = case()
    peers = (
        replace(file.peers[0], endpoint="[2001:db8::1]:51820", allowed_ips=("10.10.0.9/32",), keepalive=20),
        replace(file.peers[1], endpoint=None),
    )
    file = replace(file, peers=peers)
    first, second = wg0_device(file, plan, progress), next_device(file, plan, progress)
    assert second
    assert first.peers["web-1.1"] == replace(
        wanted_device(file).peers["web-1.2"], preshared_key="psk web-1-web-2.1"
    )
    assert second.peers["web-1.2"].endpoint == "[2001:db8::1]:51821"
    assert second.peers["web-1.2"].allowed_ips == {"10.10.0.9/32"}
    assert second.peers["db-1.2"].endpoint is None


def test_who_is_new_is_called_by_the_second_interface_while_the_own_key_is_an_old_one() -> None:
    file, plan, progress = begun("web-2", BEFORE.file("web-2"), MORE.file("web-2"))
    second = next_device(file, plan, progress)
    assert second
    assert "db-2.1" not in wg0_device(file, plan, progress).peers
    assert second.peers["db-2.1"].endpoint == "198.51.100.4:51820"
    assert redirected(file, plan, progress) == {"db-2"}
    rekeyed = replace(progress, phase=Phase.REKEYED, moved=plan.changing)
    second = next_device(file, plan, rekeyed)
    assert second
    assert "db-2.1" not in second.peers
    assert wg0_device(file, plan, rekeyed).peers["db-2.1"].keepalive == 25
    assert "db-2" not in redirected(file, plan, rekeyed)


def test_who_is_new_is_on_wg0_where_the_own_key_stays() -> None:
    after = mesh(*NAMES, "db-2", **{"web-1": 2}).file("web-2")
    file, plan, progress = begun("web-2", BEFORE.file("web-2"), after)
    second = next_device(file, plan, progress)
    assert second
    assert wg0_device(file, plan, progress).peers.keys() == {"web-1.1", "db-1.1", "db-2.1"}
    assert second.peers.keys() == {"web-1.2"}
    assert redirected(file, plan, progress) == set()
    rekeyed = replace(progress, phase=Phase.REKEYED, moved=plan.changing)
    keepalives = {name: peer.keepalive for name, peer in wg0_device(file, plan, rekeyed).peers.items()}
    assert keepalives == {"web-1.2": 0, "db-1.1": 0, "db-2.1": 0}


@pytest.mark.parametrize("own", [1, 2])
def test_who_is_seen_at_its_end_is_like_one_that_is_new(own: int) -> None:
    after = mesh(*NAMES, **{"web-1": 2, "web-2": own, "db-1": 2}).file("web-2")
    file, plan, progress = begun("web-2", BEFORE.file("web-2"), after)
    settled = replace(progress, moved=frozenset(["web-1"]), settled=frozenset(["web-1"]))
    first, second = wg0_device(file, plan, settled), next_device(file, plan, settled)
    assert second
    assert "db-1.1" in first.peers
    assert ("web-1.2" in first.peers, "web-1.1" in first.peers) == (own == 1, False)
    assert ("web-1.2" in second.peers) == (own == 2)
    if own == 2:
        assert second.peers["web-1.2"].endpoint == "198.51.100.1:51820"
    assert redirected(file, plan, settled) == ({"web-1"} if own == 2 else set())
    rekeyed = replace(settled, phase=Phase.REKEYED, moved=plan.changing)
    assert redirected(file, plan, rekeyed) == {"db-1"}


def test_a_client_stays_on_wg0_with_the_keys_of_the_phase() -> None:
    def with_client(file: WgFile) -> WgFile:
        return replace(file, peers=(replace(file.peers[0], client=True), file.peers[1]))

    after = with_client(replaced(ALL, preshared=2).file("web-2"))
    file, plan, progress = begun("web-2", with_client(BEFORE.file("web-2")), after)
    second = next_device(file, plan, progress)
    assert second
    assert wg0_device(file, plan, progress).peers["web-1.1"].preshared_key == "psk web-1-web-2.1"
    assert second.peers.keys() == {"db-1.2"}
    rekeyed = replace(progress, phase=Phase.REKEYED, moved=plan.changing)
    assert wg0_device(file, plan, rekeyed).peers["web-1.2"].preshared_key == "psk web-1-web-2.2"
    assert [peer.name for peer in known_peers(file, plan, progress)] == ["db-1"]


def test_who_has_no_name_is_as_in_the_file_in_each_phase() -> None:
    def nameless(file: WgFile) -> WgFile:
        return replace(file, peers=(replace(file.peers[0], name=""), file.peers[1]))

    file, plan, progress = begun("web-2", nameless(BEFORE.file("web-2")), nameless(ALL.file("web-2")))
    second = next_device(file, plan, progress)
    assert second
    assert "web-1.2" in wg0_device(file, plan, progress).peers
    assert second.peers.keys() == {"db-1.2"}


def test_who_leaves_the_document_is_on_no_interface() -> None:
    _, plan, progress = case()
    file = ALL.without("db-1").file("web-2")
    second = next_device(file, plan, progress)
    assert second
    assert wg0_device(file, plan, progress).peers.keys() == {"web-1.1"}
    assert second.peers.keys() == {"web-1.2"}
    assert redirected(file, plan, replace(progress, moved=plan.changing)) == {"web-1"}


def test_words_go_to_all_that_change_and_to_who_is_new() -> None:
    file, plan, progress = begun("web-2", BEFORE.file("web-2"), MORE.file("web-2"))
    assert known_peers(file, plan, progress) == [
        Known("web-1", "10.10.0.1", plain=False, shy=True),
        Known("db-1", "10.10.0.3", plain=False, shy=False),
        Known("db-2", "10.10.0.4", plain=True, shy=False),
    ]
    linger = replace(progress, phase=Phase.LINGER, back=plan.changing)
    for last in (plan, None):
        assert [peer.name for peer in known_peers(file, last, linger)] == ["web-1", "db-1"]
