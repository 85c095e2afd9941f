"""The firewall of a node that keeps a former address: a network that is told already is not told twice."""

from ipaddress import ip_interface

import pytest

from mesh.plan.held import with_held
from mesh.render.firewall import firewall_view
from tests.unit.meshes import THREE, facts_of, plan_of


@pytest.mark.parametrize(
    ("held", "apart"),
    [
        (["10.10.0.9/24"], [False]),  # the network that the node is in now
        (["10.10.0.9/25"], [False]),
        (["10.10.0.200/25"], [False]),
        (["10.10.0.9/16"], [True]),  # wider
        (["10.10.1.9/24"], [True]),
        (["10.9.255.9/15", "10.10.0.9/16"], [True, True]),
        (
            ["192.168.0.1/16", "192.168.9.1/24", "192.168.0.2/16", "192.169.0.1/16"],
            [True, False, False, True],
        ),
        (["fd00:1::9/64", "fd00:1::8/80", "fd00:1::7/48"], [True, False, True]),
        (["::a0a:5/120"], [True]),  # the same number as an address of the other family
        (["10.10.0.0/31", "10.10.2.0/31", "10.10.2.2/31"], [False, True, True]),
    ],
)
def test_a_former_network_counts_as_its_own_unless_one_before_has_all_of_it(
    held: list[str], apart: list[bool]
) -> None:
    plan = plan_of(THREE)
    plan = with_held(plan, {"db-1": [ip_interface(each) for each in held]})
    former = firewall_view(plan.nodes["db-1"], facts_of(plan)).former
    assert [side.apart for side in former] == apart
    assert [f"{side.address}/{side.network.prefixlen}" for side in former] == held
    assert [side.family.version for side in former] == [ip_interface(each).version for each in held]
