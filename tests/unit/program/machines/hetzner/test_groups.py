from mesh.plan import MeshPlan
from mesh.program.machines.hetzner.groups import full_groups, group_of
from tests.unit.meshes import plan_of

NINE = {f"n-{number}": f"10.10.0.1{number}" for number in range(9)}
IN_THE_TEN = dict.fromkeys(NINE, 1)


def _plan(**more: str) -> MeshPlan:
    nodes = {name: {"address": address} for name, address in {**NINE, **more}.items()}
    return plan_of({"cidr": "10.10.0.0/24", "nodes": nodes})


def test_the_eleventh_server_is_refused_with_the_one_that_stayed() -> None:
    plan = _plan(moved="10.10.0.50", late="10.10.0.19")
    (problem,) = full_groups(plan.nodes, {**IN_THE_TEN, "moved": 1})
    assert problem.path == "mesh.nodes.late.address"
    assert "the eleventh server of its placement group" in problem.message
    assert "moved got another address, but stayed in this group" in problem.message


def test_the_tenth_is_not() -> None:
    assert list(full_groups(_plan(late="10.10.0.19").nodes, IN_THE_TEN)) == []


def test_what_is_taken_out_makes_room() -> None:
    assert list(full_groups(_plan(late="10.10.0.19").nodes, {**IN_THE_TEN, "moved": 1})) == []


def test_a_new_mesh_fills_its_groups() -> None:
    assert list(full_groups(_plan(late="10.10.0.19", other="10.10.0.20").nodes, {})) == []


def test_a_spread_group_never_holds_more_than_the_cloud_allows() -> None:
    nodes = {f"n-{i}": {"address": f"10.10.{i // 250}.{i % 250 + 1}"} for i in range(300)}
    plan = plan_of({"cidr": "10.10.0.0/22", "nodes": nodes})
    groups = [group_of(node) for node in plan.nodes.values()]
    assert max(groups.count(group) for group in groups) == 10
