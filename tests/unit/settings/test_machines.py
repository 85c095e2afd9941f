"""A mesh whose nodes are at two providers: each has its own keys, defaults and limits."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import pytest
from pydantic import BeforeValidator, ValidationError

from mesh.settings import Model, Problem, Settings, SettingsError, fields, parse_settings
from mesh.settings.machines import HetznerMachine, MachineKind, MachineModels
from mesh.settings.raw import Finding


class Shelf(Model):
    """A computer in somebody's basement."""

    shelf: Annotated[str, BeforeValidator(fields.word("top"))] = "top"
    """Where it stands."""


def _full(raw: Mapping[Any, Any], stack: str | None, mesh: str) -> Iterator[Finding | Problem]:
    yield ("nodes",), f"too many at {stack}/{mesh}: {', '.join(map(str, raw['nodes']))}"


HETZNER = MachineKind(model=HetznerMachine)
BASEMENT = MachineKind(model=Shelf)
BOTH = {"hetzner": HETZNER, "basement": BASEMENT}
AT_HETZNER: dict[str, Any] = {"address": "10.10.0.1"}
AT_HOME: dict[str, Any] = {"address": "10.10.0.2", "provider": "basement"}


def _mesh(nodes: Mapping[Any, Any] | None = None, **more: Any) -> dict[str, Any]:
    return {"cidr": "10.10.0.0/24", "nodes": nodes or {"a": AT_HETZNER, "b": AT_HOME}, **more}


def _parsed(raw: Any, kinds: Mapping[str, MachineKind] = BOTH) -> Settings:
    return parse_settings(raw, kinds=kinds)


def _problems(raw: Any, kinds: Mapping[str, MachineKind] = BOTH, **names: Any) -> list[str]:
    with pytest.raises(SettingsError) as error:
        parse_settings(raw, kinds=kinds, **names)
    return [str(problem) for problem in error.value.problems]


def test_a_node_has_the_keys_of_its_provider_and_no_others() -> None:
    nodes = _parsed(_mesh({"a": AT_HETZNER, "b": {**AT_HOME, "shelf": "low"}})).nodes
    assert nodes["a"].machine == HetznerMachine(location="fsn1", type="cx23", image="debian-12")
    assert nodes["b"].machine == Shelf(shelf="low")
    assert [node.provider for node in nodes.values()] == ["hetzner", "basement"]


def test_a_key_of_another_provider_is_unknown_and_those_that_are_known_are_listed() -> None:
    assert _problems(_mesh({"b": {**AT_HOME, "image": "debian-12"}, "a": {**AT_HETZNER, "shelf": "x"}})) == [
        (
            "mesh.nodes.b.image: is not a known key; known are address, shelf, address6, enabled, "
            "generation, revoked, "
            "protect, "
            "groups, public, forward, endpoint, keepalive, relay, egress, routes, formerly, networkAddress, "
            "trustedInterfaces, metadata, underlayMtu, keySource, provider, network"
        ),
        (
            "mesh.nodes.a.shelf: is not a known key; known are address, location, type, image, "
            "publicIpv4, publicIpv6, address6, enabled, generation, revoked, "
            "protect, groups, public, forward, endpoint, "
            "keepalive, relay, egress, routes, formerly, networkAddress, trustedInterfaces, metadata, "
            "underlayMtu, keySource, provider, network"
        ),
    ]


def test_defaults_have_the_keys_of_every_provider_and_each_node_gets_its_own() -> None:
    nodes = _parsed(_mesh(defaults={"location": "hel1", "shelf": "low"})).nodes
    assert nodes["a"].machine == HetznerMachine(location="hel1")
    assert nodes["b"].machine == Shelf(shelf="low")


def test_what_no_provider_has_is_unknown_among_the_defaults() -> None:
    assert _problems(_mesh(defaults={"zzz": 1})) == [
        (
            "mesh.defaults.zzz: is not a known key; known are shelf, location, type, image, publicIpv4, "
            "publicIpv6, trustedInterfaces, metadata, underlayMtu, keySource, provider, network"
        )
    ]


def test_the_provider_can_be_a_default_and_decides_which_other_defaults_count() -> None:
    nodes = {"a": {"address": "10.10.0.1"}, "b": {"address": "10.10.0.2", "provider": "hetzner"}}
    found = _parsed(_mesh(nodes, defaults={"provider": "basement", "shelf": "low", "type": "cx33"})).nodes
    assert found["a"].machine == Shelf(shelf="low")
    assert found["b"].machine == HetznerMachine(type="cx33")


def test_where_hetzner_is_unknown_the_first_provider_is_that_of_all_nodes() -> None:
    settings = _parsed(_mesh({"a": AT_HETZNER}), {"basement": BASEMENT})
    assert (settings.nodes["a"].provider, settings.nodes["a"].machine) == ("basement", Shelf())
    assert settings.defaults.provider == "basement"


def test_hetzner_is_that_of_a_node_that_names_none_wherever_it_stands() -> None:
    assert _parsed(_mesh(), {"basement": BASEMENT, "hetzner": HETZNER}).nodes["a"].provider == "hetzner"


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("aws", "'aws' is not a known provider; known are hetzner, basement"),
        ("hetzer", "'hetzer' is not a known provider; did you mean hetzner?"),
        (7, "7 is not text; give a provider such as hetzner, in quotes if need be"),
    ],
)
def test_a_provider_that_is_unknown_is_refused(given: object, told: str) -> None:
    assert _problems(_mesh({"a": {**AT_HETZNER, "provider": given}})) == [f"mesh.nodes.a.provider: {told}"]


def test_a_wrong_provider_among_the_defaults_is_told_once() -> None:
    assert _problems(_mesh(defaults={"provider": "aws"})) == [
        "mesh.defaults.provider: 'aws' is not a known provider; known are hetzner, basement"
    ]


def test_a_default_that_is_wrong_takes_no_other_with_it() -> None:
    node = {"address": "10.10.0.1", "shelf": "low"}
    assert _problems(_mesh({"a": node}, defaults={"location": "Bad place", "provider": "basement"})) == [
        "mesh.defaults.location: 'Bad place' is not a name such as fsn1; write bad-place"
    ]


def test_a_providers_model_may_leave_a_key_to_pydantic() -> None:
    class Rack(Model):
        height: int = 1
        """In units."""

    kinds = {**BOTH, "basement": MachineKind(model=Rack)}
    (problem,) = _problems(_mesh({"b": {**AT_HOME, "height": "x y"}}), kinds)
    assert problem.startswith("mesh.nodes.b.height: 'x y': Input should be a valid integer")


def test_a_wrong_key_is_told_by_the_provider_of_the_node() -> None:
    assert _problems(_mesh({"b": {**AT_HOME, "shelf": "Top"}})) == [
        "mesh.nodes.b.shelf: 'Top' is not a name such as top; write top"
    ]


def test_the_limits_of_a_provider_are_asked_about_its_nodes_alone() -> None:
    full = MachineKind(model=Shelf, check=_full)
    nodes = {"a": AT_HETZNER, "b": AT_HOME, 7: {**AT_HOME, "address": "10.10.0.3"}}
    told = _problems(_mesh(nodes), {**BOTH, "basement": full}, stack="prod", mesh="office")
    assert told[0] == "mesh.nodes: too many at prod/office: b, 7"
    assert _parsed(_mesh({"a": AT_HETZNER}), {**BOTH, "basement": full}).nodes.keys() == {"a"}


def test_a_limit_with_a_path_of_its_own_is_told_first_and_as_it_is() -> None:
    def crowded(_raw: Mapping[Any, Any], _stack: str | None, _mesh: str) -> Iterator[Finding | Problem]:
        yield ("nodes", "b"), "is one too many"
        yield Problem(path="the stack's name", message="is too long")

    kinds = {**BOTH, "basement": MachineKind(model=Shelf, check=crowded)}
    assert _problems(_mesh(port=0), kinds) == [
        "the stack's name: is too long",
        "mesh.nodes.b: is one too many",
        "mesh.port: 0 is below 1; ports go from 1 to 65535",
    ]


def test_a_node_that_cannot_be_read_counts_as_one_of_the_default_provider() -> None:
    kinds = {**BOTH, "hetzner": MachineKind(model=HetznerMachine, check=_full)}
    assert _problems(_mesh({"a": None, "b": AT_HOME}), kinds, stack="s", mesh="m")[0] == (
        "mesh.nodes: too many at s/m: a"
    )


def test_the_models_describe_the_provider_with_its_default() -> None:
    field = MachineModels({"basement": BASEMENT}).node({}).model_fields["provider"]
    assert field.default == "basement"
    assert field.title == "name"
    with pytest.raises(ValidationError, match="7 is not text; give a provider such as basement, in quotes"):
        MachineModels({"basement": BASEMENT}).node({}).model_validate({**AT_HOME, "provider": 7})
    assert MachineModels(BOTH).node({}).__name__ == "hetzner-node"
    assert MachineModels(BOTH).defaults.__name__ == "defaults"
