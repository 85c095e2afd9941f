"""Anything the official document allows, and much that it does not, gets an answer that fits it."""

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.core.result import Ok

from tests.lab.cloud.document import MISSING, load
from tests.lab.cloud.world import TOKEN, LabCloud, public_key, unique

# what the lab has not: images are Debian's, so nobody's to change
NOT_SERVED = ("/images/actions", "/images/{id}/actions")
document = load()
pytestmark = pytest.mark.skipif(document is None, reason=MISSING)


def operations() -> list[Any]:
    if document is None:
        return []
    schema = schemathesis.openapi.from_dict(dict(document.document))
    found = [result.ok() for result in schema.get_all_operations() if isinstance(result, Ok)]
    return [
        operation
        for operation in found
        if not operation.path.startswith(NOT_SERVED)
        and (operation.method.upper() == "GET" or not operation.path.startswith("/images"))
    ]


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabCloud]:
    """A cloud that takes as many requests as there are."""
    cloud = LabCloud(state=tmp_path_factory.mktemp("fuzz"), options={"requests": 1_000_000})
    cloud.start()
    yield cloud
    cloud.process.stop()


def number(cloud: LabCloud, collection: str) -> int:
    """Return the number of a resource that is there."""
    bodies = {
        "networks": {"ip_range": "10.0.0.0/16"},
        "primary_ips": {"type": "ipv4", "location": "fsn1"},
        "placement_groups": {"type": "spread"},
        "ssh_keys": {"public_key": public_key()},
        "firewalls": {},
    }
    if collection == "servers":
        return int(cloud.off().id)
    if collection in bodies:
        made = cloud.ask("POST", f"/{collection}", {"name": unique("n"), **bodies[collection]}).json()
        return int(made[collection.removesuffix("s")]["id"])
    found = cloud.ask("GET", f"/{collection}?id=1").json()[collection]
    return int(found[0]["id"]) if found else 1


# values that mean something, for the fields that would be refused with any others
SENSIBLE: dict[str, Any] = {
    "name": None, "server_type": "cx33", "image": "debian-12", "location": "fsn1", "user_data": "#!/bin/sh",
    "labels": {"a": "b"}, "ssh_keys": [], "volumes": [], "networks": [], "firewalls": [], "public_net": {},
    "ip_range": "10.0.0.0/16", "subnets": [], "routes": [], "network_zone": "eu-central",
    "destination": "192.168.0.0/16", "gateway": "10.0.0.2", "rules": [], "apply_to": [], "alias_ips": [],
}  # fmt: skip


REFERENCES = ("placement_group", "assignee_id")  # hardly ever to something that is there


def sensible(body: dict[str, Any], spare: tuple[str, ...]) -> dict[str, Any]:
    """Return a body with sensible values in the fields it has, but for those to `spare`."""
    known = {field: value for field, value in SENSIBLE.items() if field in body and field not in spare}
    if "name" in known:
        known["name"] = unique("f")
    kept = {field: value for field, value in body.items() if field not in REFERENCES or field in spare}
    return kept | known


def ask(cloud: LabCloud, operation: Any, examples: int) -> None:
    there = number(cloud, operation.path.split("/")[1]) if "{id}" in operation.path else 1
    both = st.one_of(
        operation.as_strategy(generation_mode=GenerationMode.POSITIVE),
        operation.as_strategy(generation_mode=GenerationMode.NEGATIVE),
    )

    @settings(max_examples=examples, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(both, st.integers(0, 2), st.lists(st.sampled_from(sorted(SENSIBLE)), max_size=2))
    def run(case: Any, aim: int, spare: list[str]) -> None:
        if aim and isinstance(case.body, dict):
            case.body = sensible(case.body, tuple(spare))
        if aim and "id" in case.path_parameters:
            case.path_parameters["id"] = there
        answer = case.call(base_url=cloud.url, headers={"Authorization": f"Bearer {TOKEN}"})
        assert answer.status_code < 500, answer.content

    run()


def name(operation: Any) -> str:
    return f"{operation.method.upper()} {operation.path}"


@pytest.mark.parametrize("operation", operations(), ids=name)
def test_no_request_is_too_much(busy: LabCloud, operation: Any) -> None:
    ask(busy, operation, 4)


@pytest.mark.long
@pytest.mark.parametrize("operation", operations(), ids=name)
def test_no_request_is_too_much_at_length(busy: LabCloud, operation: Any) -> None:
    ask(busy, operation, 150)
