"""What people write by mistake for a single value: the words of the refusal, and the values that are offered.

`python -m mesh validate` prints both, and editors offer the values as quick fixes.
"""

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
        fields.authorized_key, fields.port_number, fields.mtu, fields.keepalive, fields.underlay_mtu,
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
