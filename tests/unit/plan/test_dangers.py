from typing import Any

import pytest

from mesh.plan.dangers import Before, Loss, dangers, refused
from mesh.program.machines.hetzner.losses import loss_of
from mesh.program.machines.hetzner.model import wanted
from mesh.program.machines.hetzner.wishes import Present
from tests.unit.meshes import plan_of

NODE: dict[str, Any] = {"address": "10.10.0.1"}
SERVER = Present(location="fsn1", type="cx23")
WAS: dict[str, Any] = {"server": SERVER, "ip": "192.0.2.7", "address": "10.10.0.1", "enabled": True}


def _told(nodes: dict[str, Any], links: Any = None, **before: dict[str, Any]) -> dict[str, str]:
    plan = plan_of({"cidr": "10.10.0.0/24", "nodes": nodes, **({} if links is None else {"links": links})})

    def was(name: str, facts: dict[str, Any]) -> Before:
        node = plan.nodes.get(name)
        had = facts.get("addresses", {"ipv4": facts.get("ip")})
        loss = loss_of(wanted(node) if node else None, facts["server"], location="fsn1", addresses=had)
        return Before(
            loss=loss,
            address=facts.get("address"),
            enabled=facts.get("enabled"),
            reaches=facts.get("reaches"),
            routes=facts.get("routes", ()),
        )

    return dangers(plan, {name: was(name, facts) for name, facts in before.items()})


def test_nothing_is_told_of_what_stays() -> None:
    assert _told({"a": NODE, "b": {"address": "10.10.0.2"}}, a=WAS) == {}


def test_a_node_that_is_taken_out_loses_disk_and_address() -> None:
    assert _told({"b": {"address": "10.10.0.2"}}, a=WAS) == {
        "a": "a is not in the stack file any more: its server is deleted with its disk, and its public "
        "address 192.0.2.7 is given back"
    }


def test_a_rename_is_called_one() -> None:
    assert _told({"b": NODE}, a=WAS) == {
        "a": "a is not in the stack file any more (if you renamed it to b, give b `formerly: "
        "[a]`: then server and keys stay): its "
        "server is deleted with its disk, and its public address 192.0.2.7 is given back"
    }


def test_a_move_a_resize_and_another_address_are_one_line_each() -> None:
    assert _told({"a": {**NODE, "location": "hel1", "type": "cx33"}}, a=WAS)["a"] == (
        "a moves from fsn1 to hel1: its server is deleted with its disk, and its public address 192.0.2.7 is "
        "given back; both are created again there"
    )
    assert _told({"a": {"address": "10.10.0.9", "type": "cx33"}}, a=WAS)["a"] == (
        "a becomes a cx33 (now a cx23): the server is powered off for a minute or two, and a disk that grows "
        "never shrinks again; it has another address in the mesh, 10.10.0.9 instead of 10.10.0.1: "
        "connections to the old address are cut off"
    )


@pytest.mark.parametrize(
    ("cidr6", "was", "told"),
    [
        ("fd00:1::/64", "fd00:1::1", None),
        ("fd00:1::/64", None, None),
        (None, None, None),
        (
            None,
            "fd00:1::1",
            "a loses its IPv6 address in the mesh, fd00:1::1: connections to it are cut off",
        ),
        (
            "fd00:2::/64",
            "fd00:1::1",
            (
                "a has another IPv6 address in the mesh, fd00:2::1 instead of fd00:1::1: connections to the "
                "old address are cut off"
            ),
        ),
    ],
)
def test_an_ipv6_address_that_changes_or_goes_is_told_and_a_first_one_is_not(
    cidr6: str | None, was: str | None, told: str | None
) -> None:
    plan = plan_of({"cidr": "10.10.0.0/24", **({"cidr6": cidr6} if cidr6 else {}), "nodes": {"a": NODE}})
    found = dangers(plan, {"a": Before(loss=Loss(), address="10.10.0.1", address6=was, enabled=True)})
    assert found == ({"a": told} if told else {})


@pytest.mark.parametrize(
    ("ends", "told"),
    [
        ((), None),
        (
            ("10.10.0.9", "fd00:1::9"),
            (
                "a has another address in the mesh, 10.10.0.1 instead of 10.10.0.9: connections to the old "
                "address are cut off; it has another IPv6 address in the mesh, fd00:2::1 instead of "
                "fd00:1::9: connections to the old address are cut off"
            ),
        ),
        (
            ("10.10.0.7", "fd00:1::7"),
            (
                "a gives up its former address 10.10.0.7 in the mesh: connections that use it are cut off; "
                "it gives up its former address fd00:1::7 in the mesh: connections that use it are cut off"
            ),
        ),
    ],
)
def test_only_addresses_that_are_not_held_are_told(ends: tuple[str, ...], told: str | None) -> None:
    plan = plan_of({"cidr": "10.10.0.0/24", "cidr6": "fd00:2::/64", "nodes": {"a": NODE}})
    before = Before(loss=Loss(), address="10.10.0.9", address6="fd00:1::9", enabled=True, ends=ends)
    assert dangers(plan, {"a": before}) == ({"a": told} if told else {})


def test_an_address_that_nobody_knew_has_not_changed() -> None:
    assert _told({"a": NODE}, a={**WAS, "address": None}) == {}


def test_each_node_that_loses_something_is_told_and_no_other() -> None:
    b, new = {"address": "10.10.0.2"}, {"address": "10.10.0.4"}
    nodes = {"a": {**NODE, "location": "hel1"}, "b": b, "new": new}
    assert list(_told(nodes, a=WAS, b={**WAS, **b}, gone={**WAS, "address": "10.10.0.3"})) == ["gone", "a"]


def test_a_node_that_is_not_enabled_keeps_what_it_has_and_that_is_told() -> None:
    out = {**NODE, "enabled": False}
    assert _told({"a": out, "b": {"address": "10.10.0.2"}}, a=WAS)["a"] == (
        "a leaves the peers of all other nodes (enabled: false): its connections through the mesh end"
    )
    was_out = {"server": SERVER, "address": "10.10.0.1", "enabled": False}
    assert _told({"a": out, "b": {"address": "10.10.0.2"}}, a=was_out) == {}
    assert _told({"a": {**out, "type": "cx33"}, "b": {"address": "10.10.0.2"}}, a=was_out)["a"] == (
        "a is not enabled, and gets cx33 (now cx23) only when it is enabled again"
    )
    assert _told(
        {"a": {**out, "type": "cx33", "location": "hel1"}, "b": {"address": "10.10.0.2"}}, a=WAS
    ) == {
        "a": "a leaves the peers of all other nodes (enabled: false): its connections through the mesh end; "
        "it is not enabled, and gets hel1 (now fsn1) and cx33 (now cx23) only when it is enabled again"
    }


def test_a_node_that_is_enabled_and_gets_another_provider_is_told_once() -> None:
    plan = plan_of({"cidr": "10.10.0.0/24", "nodes": {"a": NODE}})
    before = Before(loss=Loss(leaves="moves from basement to hetzner", moves="moves", changes=("grows",)))
    assert dangers(plan, {"a": before}) == {"a": "a moves from basement to hetzner"}


def test_a_node_that_is_out_and_gets_another_provider_loses_its_server_and_that_is_told() -> None:
    plan = plan_of({"cidr": "10.10.0.0/24", "nodes": {"a": {**NODE, "enabled": False}}})
    before = Before(loss=Loss(leaves="moves from basement to hetzner: its server is deleted with its disk"))
    assert dangers(plan, {"a": before}) == {
        "a": "a moves from basement to hetzner: its server is deleted with its disk"
    }


def test_an_address_without_a_server_is_told_too() -> None:
    only_address = {"server": None, "ip": "192.0.2.7"}
    assert _told({"b": {"address": "10.10.0.2"}}, a=only_address)["a"].endswith(
        ": its public address 192.0.2.7 is given back"
    )


def _refused(nodes: dict[str, Any], *, enabled: bool = True, **before: Loss) -> list[str]:
    plan = plan_of({"cidr": "10.10.0.0/24", "nodes": nodes})
    was = {name: Before(loss=loss, enabled=enabled) for name, loss in before.items()}
    return [str(problem) for problem in refused(plan, was)]


def _hetzner(protected: bool, wish: dict[str, Any] | None) -> Loss:  # noqa: FBT001 - what it was
    node = (
        None if wish is None else wanted(plan_of({"cidr": "10.10.0.0/24", "nodes": {"a": wish}}).nodes["a"])
    )
    return loss_of(node, SERVER, location="fsn1", addresses={"ipv4": "192.0.2.7"}, protected=protected)


def test_a_protected_node_that_is_taken_out_is_refused_by_name() -> None:
    others = {"b": {"address": "10.10.0.2"}}
    (said,) = _refused(others, a=_hetzner(True, None))
    assert said == (
        "mesh.nodes.a: is protected, but not in the stack file any more: its server is deleted with its "
        "disk, and its public address 192.0.2.7 is given back. To delete the node, put it back with "
        "`protect: false` and run up; then take it out"
    )
    assert _refused(others, a=_hetzner(False, None)) == []


def test_protection_that_goes_together_with_the_server_still_counts() -> None:
    moved = {**NODE, "location": "nbg1", "protect": False}
    (said,) = _refused({"a": moved}, a=_hetzner(True, moved))
    assert said == (
        "mesh.nodes.a: is protected, but moves from fsn1 to nbg1: its server is deleted with its disk, and "
        "its public address 192.0.2.7 is given back; both are created again there. To go on, take this "
        "change back, set `protect: false` for the node and run up; then make the change"
    )
    assert _refused({"a": moved}, a=_hetzner(False, moved)) == []


def test_a_protected_server_may_change_in_place_and_a_node_that_is_out_does_not_move() -> None:
    larger = {**NODE, "type": "cx33", "protect": True}
    assert _refused({"a": larger}, a=_hetzner(True, larger)) == []
    out = {**NODE, "location": "nbg1", "enabled": False, "protect": True}
    assert _refused({"a": out, "b": {"address": "10.10.0.2"}}, a=_hetzner(True, out)) == []


def test_a_protected_machine_does_not_go_to_another_provider_unseen() -> None:
    leaving = Loss(leaves="moves from basement to hetzner: its shelf is emptied", protected=True)
    (said,) = _refused({"a": {**NODE, "enabled": False}}, enabled=False, a=leaving)
    assert said.startswith(
        "mesh.nodes.a: is protected, but moves from basement to hetzner: its shelf is emptied."
    )


def test_a_rename_of_a_protected_node_is_told_how_to_keep_the_server() -> None:
    plan = plan_of({"cidr": "10.10.0.0/24", "nodes": {"b": NODE}})
    (problem,) = refused(plan, {"a": Before(loss=_hetzner(True, None), address="10.10.0.1")})
    assert "(if you renamed it to b, give b `formerly: [a]`: then server and keys stay)" in problem.message


FOUR = {name: {"address": f"10.10.0.{number}"} for number, name in enumerate("abcd", 1)}
STAR = [["a", "all"]]


def _four(**more: Any) -> dict[str, dict[str, Any]]:
    return {
        name: {"server": SERVER, "address": node["address"], "enabled": True, **more}
        for name, node in FOUR.items()
    }


def test_pairs_that_lose_their_link_are_told_once_each() -> None:
    assert _told(FOUR, STAR, **_four()) == {
        "b": "b has no link with c, d any more (links): connections between both ends are cut off",
        "c": "c has no link with d any more (links): connections between both ends are cut off",
    }


def test_pairs_without_a_link_before_lose_none() -> None:
    was = {name: {**facts, "reaches": frozenset("a")} for name, facts in _four().items()}
    was["a"]["reaches"] = frozenset("bcd")
    assert _told(FOUR, STAR, **was) == {}
    was["c"]["reaches"] = frozenset("ad")
    assert list(_told(FOUR, STAR, **was)) == ["c"]


def test_a_link_is_not_lost_by_a_node_that_was_out_or_is_new_or_has_another_name() -> None:
    was = _four()
    was["c"]["enabled"] = False
    del was["d"]
    assert _told(FOUR, STAR, **was) == {}
    was = {name: {**facts, "reaches": frozenset({"a", "old"})} for name, facts in _four().items()}
    renamed = {**FOUR, "c": {**FOUR["c"], "formerly": ["old"]}}
    assert list(_told(renamed, STAR, **was)) == ["b"]


def test_a_network_that_is_no_longer_behind_a_node_is_told() -> None:
    was = {**WAS, "routes": ("10.20.0.0/16", "10.21.0.0/16")}
    assert _told({"a": {**NODE, "routes": ["10.21.0.0/16"]}}, a=was) == {
        "a": "a is no longer the way to 10.20.0.0/16 (routes): connections of other nodes to hosts there end"
    }
    assert _told({"a": {**NODE, "routes": ["10.21.0.0/16", "10.20.0.0/16"]}}, a=was) == {}
