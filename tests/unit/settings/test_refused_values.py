"""What people write by mistake for a single value: the words of the refusal, and the values that are offered.

`python -m mesh validate` prints both, and editors offer the values as quick fixes.
"""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from pydantic_core import PydanticCustomError

from mesh.settings import addresses, addresses6, fields, grants, lists
from mesh.settings.problems import Instead

FIELDS: Final = {
    **{field.__name__: field for field in (
        addresses.address, addresses.mesh_network, addresses.source_network,
        addresses6.mesh_network6, addresses6.address6,
        grants.port_range, grants.single_port, grants.allowed,
        fields.authorized_key, fields.port_number, fields.mtu, fields.keepalive, fields.generation,
        fields.underlay_mtu, fields.days,
        lists.items,
    )},
    "allow or deny": fields.one_of("allow", "deny"),
    "root or containers": fields.one_of("root", "containers"),
    "auto": fields.one_of("auto"),
    "word": fields.word("fsn1"),
    "list of port_range": lists.list_of(grants.port_range),
    "list of authorized_key": lists.list_of(fields.authorized_key),
}  # fmt: skip
CASES: Final[dict[str, list[dict[str, Any]]]] = yaml.safe_load(
    Path(__file__).with_name("refused.yaml").read_text()
)


@pytest.mark.parametrize(
    ("field", "case"), [(field, case) for field, cases in CASES.items() for case in cases]
)
def test_a_wrong_value_is_refused_in_these_words_and_with_these_values_instead(
    field: str, case: dict[str, Any]
) -> None:
    with pytest.raises(PydanticCustomError) as error:
        FIELDS[field](case["given"])
    assert error.value.type == "mesh"
    assert str(error.value) == case["told"]
    offered = [Instead("value", value) for value in case.get("instead", ())]
    assert error.value.context == {"text": case["told"], "instead": tuple(offered)}


def test_every_field_has_cases() -> None:
    assert CASES.keys() == FIELDS.keys()


def test_a_host_part_needs_room_in_the_ipv6_network() -> None:
    cidr, cidr6 = IPv4Network("10.10.0.0/16"), IPv6Network("fd1a::/120")
    assert addresses6.derived(IPv4Address("10.10.0.255"), cidr, cidr6) == IPv6Address("fd1a::ff")
    for beyond in ("10.10.1.0", "10.10.1.1"):
        with pytest.raises(ValueError, match=f"fd1a::/120 has no room for the host part of {beyond}"):
            addresses6.derived(IPv4Address(beyond), cidr, cidr6)
