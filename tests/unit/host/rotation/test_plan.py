"""Which keys change, which documents may come into force meanwhile, and what of it the disk gives back."""

import json
from dataclasses import replace as replaced

import pytest

from mesh.host.files.wgconf import WgFile, parse_wg_file
from mesh.host.records import replace
from mesh.host.rotation.plan import Plan, continued, named, parse_plan, plan_between, plan_json
from mesh.host.rotation.progress import (
    Phase,
    Progress,
    first_progress,
    parse_progress,
    progress_json,
)
from tests.unit.host.documents import WG
from tests.unit.host.rotation.meshes import mesh

BEFORE = mesh("web-1", "web-2", "db-1")
ONE = mesh("web-1", "web-2", "db-1", **{"web-2": 2})
ALL = mesh("web-1", "web-2", "db-1", **{"web-1": 2, "web-2": 2, "db-1": 2})


def plan_of(name: str = "web-1", after: "WgFile | None" = None) -> Plan:
    plan = plan_between(BEFORE.file(name), after or ALL.file(name))
    assert plan
    return plan


def with_peer(file: WgFile, index: int, **values: object) -> WgFile:
    peers = list(file.peers)
    peers[index] = replace(peers[index], **values)  # type: ignore[arg-type]
    return replace(file, peers=tuple(peers))


def test_whose_key_changes_changes_with_all_others_with_that_one() -> None:
    assert plan_of("web-1", ONE.file("web-1")).changing == {"web-2"}
    assert plan_of("web-2", ONE.file("web-2")).changing == {"web-1", "db-1"}
    assert plan_of("web-1", replaced(BEFORE, preshared=2).file("web-1")).changing == {"web-2", "db-1"}


def test_without_rotation_in_the_mesh_or_other_keys_there_is_no_plan() -> None:
    assert plan_between(BEFORE.file("web-1"), replace(ALL.file("web-1"), next_port=None)) is None
    assert plan_between(BEFORE.file("web-1"), BEFORE.file("web-1")) is None
    assert plan_between(BEFORE.file("web-1"), BEFORE.without("db-1").file("web-1")) is None


def test_the_first_rotation_may_come_with_the_document_that_turns_it_on() -> None:
    assert plan_between(replace(BEFORE.file("web-1"), next_port=None), ALL.file("web-1"))


def test_a_client_keeps_the_old_keys_for_a_time_and_is_waited_for_by_nobody() -> None:
    old = with_peer(BEFORE.file("web-1"), 0, client=True)
    plan = plan_between(old, with_peer(ALL.file("web-1"), 0, client=True))
    assert plan
    assert plan.changing == {"db-1"}
    assert plan.clients == {"web-2"}
    assert plan.before.peers["web-2"].public_key == "web-2.1"
    assert plan_between(old, with_peer(old, 0, preshared="another")) is None


def test_who_comes_or_goes_in_the_same_run_has_no_part() -> None:
    plan = plan_of("web-1", mesh("web-1", "web-3", "db-1", **{"web-1": 2}).file("web-1"))
    assert plan.changing == plan.before.peers.keys() == plan.to.peers.keys() == {"db-1"}


def test_who_cannot_be_known_or_spoken_to_is_never_rotated() -> None:
    file = parse_wg_file(WG, where="x")
    assert list(named(file)) == ["web-2"]
    assert named(with_peer(file, 0, name="")) == {}
    assert named(with_peer(file, 0, allowed_ips=("10.10.0.0/28", "fd00::2/128"))) == {}
    twice = BEFORE.file("web-1")
    assert list(named(with_peer(twice, 0, name="db-1"))) == []


def test_a_name_that_passes_to_another_node_is_no_rotation_of_its_key() -> None:
    """web-2 becomes web-9 and keeps its key, and a new node is called web-2."""
    wanted = mesh("web-1", "web-9", "web-2", **{"web-1": 2}).file("web-1")
    wanted = with_peer(with_peer(wanted, 0, public_key="web-2.1"), 1, public_key="web-2.5")
    assert plan_between(BEFORE.file("web-1"), wanted) is None


def test_other_documents_may_come_into_force_meanwhile() -> None:
    plan, wanted = plan_of(), ALL.file("web-1")
    assert continued(plan, wanted) is None
    assert continued(plan, ALL.without("db-1").file("web-1")) is None
    assert continued(plan, mesh("web-1", "web-2", "db-1", "db-2", **dict(ALL.nodes)).file("web-1")) is None
    moved = with_peer(wanted, 0, endpoint="203.0.113.7:51820", allowed_ips=("10.10.0.99/32",), keepalive=25)
    assert continued(plan, replace(moved, mtu=1320, addresses=("10.10.0.77/24",))) is None


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"port": 51830}, "the ports would no longer be 51820 and 51821"),
        ({"next_port": 51831}, "the ports would no longer be 51820 and 51821"),
        ({"next_port": None}, "the ports would no longer be 51820 and 51821"),
        ({"private": "private web-1.3"}, "this node's key would change once more"),
        ({"private": "private web-1.1"}, "this node's key would change once more"),
    ],
)
def test_another_key_of_its_own_or_port_waits_for_the_end(change: dict[str, object], says: str) -> None:
    assert continued(plan_of(), replace(ALL.file("web-1"), **change)) == says  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"public_key": "web-2.3"}, "the keys of web-2 would change once more"),
        ({"public_key": "web-2.1"}, "the keys of web-2 would change once more"),
        ({"preshared": "another"}, "the keys of web-2 would change once more"),
        ({"name": "web-9"}, "web-9 would have the key of web-2"),
        ({"name": "web-9", "public_key": "web-2.1"}, "web-9 would have the key of web-2"),
        ({"name": ""}, "a peer without a name would have the key of web-2"),
    ],
)
def test_another_key_of_a_peer_waits_for_the_end(change: dict[str, object], says: str) -> None:
    assert continued(plan_of(), with_peer(ALL.file("web-1"), 0, **change)) == says


def test_all_keys_of_both_sides_are_named_for_the_keystore() -> None:
    after = replaced(ALL, preshared=2)
    assert sorted(plan_of("web-1", after.file("web-1")).key_names()) == [
        "private web-1.1",
        "private web-1.2",
        "psk db-1-web-1.1",
        "psk db-1-web-1.2",
        "psk web-1-web-2.1",
        "psk web-1-web-2.2",
    ]


def test_a_plan_comes_back_from_the_disk() -> None:
    plan = plan_of("web-1", with_peer(ALL.file("web-1"), 0, preshared=None, client=True))
    assert parse_plan(plan_json(plan)) == plan
    assert plan.digest == parse_plan(plan_json(plan)).digest  # type: ignore[union-attr]
    assert plan.digest != plan_of().digest


_RAW = plan_json(plan_of())
_VALUE = json.loads(_RAW)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"[]",
        b"\xff",
        _RAW[:-20],
        json.dumps({**_VALUE, "format": 2}).encode(),
        json.dumps({**_VALUE, "clients": [1]}).encode(),
        json.dumps({**_VALUE, "before": {"private": "x", "peers": {}}}).encode(),
        json.dumps({**_VALUE, "to": {"private": None, "peers": {}}}).encode(),
        json.dumps({**_VALUE, "to": {"private": "x", "peers": []}}).encode(),
        json.dumps({name: value for name, value in _VALUE.items() if name != "port"}).encode(),
    ],
)
def test_a_damaged_plan_is_none(raw: bytes) -> None:
    assert parse_plan(raw) is None


def progress_of(plan: Plan, phase: Phase) -> Progress:
    names = frozenset({"web-2"})
    fresh = first_progress(plan, 1700000000.5)
    return replace(fresh, phase=phase, moved=plan.changing, back=names, settled=names)


@pytest.mark.parametrize("phase", Phase)
def test_progress_comes_back_from_the_disk_for_its_plan_alone(phase: Phase) -> None:
    plan, other = plan_of(), plan_of("web-1", ONE.file("web-1"))
    progress = progress_of(plan, phase)
    assert parse_progress(progress_json(progress), plan) == progress
    assert parse_progress(progress_json(progress), other) is None
    without_plan = parse_progress(progress_json(progress), None)
    assert without_plan == (progress if phase is Phase.LINGER else None)


def test_damaged_progress_is_none() -> None:
    plan = plan_of()
    good = json.loads(progress_json(first_progress(plan, 1.0)))
    wrong: dict[str, object] = {"phase": "old", "moved": "web-2", "back": [1], "began": "soon", "more": 1}
    for name, value in wrong.items():
        assert parse_progress(json.dumps({**good, name: value}).encode(), plan) is None
    for name in good:
        less = {each: value for each, value in good.items() if each != name}
        assert parse_progress(json.dumps(less).encode(), plan) is None
    assert parse_progress(b"", plan) is None
    assert parse_progress(json.dumps(good).encode(), plan)
