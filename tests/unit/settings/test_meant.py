"""What a refused key, name or text was meant to be, and what a name stands for."""

from ipaddress import IPv4Network
from typing import Any

import pytest
from pydantic_core import PydanticCustomError

from mesh.settings import parse_settings, warnings_of
from mesh.settings.groups import members_by_name, members_in, policy_members_in
from mesh.settings.keys import meant_key, unknown_key
from mesh.settings.machines import KNOWN, read_provider
from mesh.settings.meant import accepts, meant, plain
from mesh.settings.names import host_name
from mesh.settings.problems import Instead
from mesh.settings.routes import member, route
from mesh.settings.topology import linked_pairs, unlinked_by_rule

NODE = ("address", "type", "public", "groups", "network")


@pytest.mark.parametrize(
    ("key", "told", "instead"),
    [
        ("adress", "is not a known key; did you mean address?", [Instead("key", "address")]),
        ("ip", "is not a known key; did you mean address?", [Instead("key", "address")]),
        ("Server_Type", "is not a known key; did you mean type?", [Instead("key", "type")]),
        (
            "groupes",
            "is not a known key; did you mean groups? groups is there already: remove one of the two",
            [],
        ),
        ("type:cx23", "is not a known key; write a space after the colon: `type: cx23`", []),
        ("type:a  b", "is not a known key; write a space after the colon: `type: 'a b'`", []),
        ("type:a:b", "is not a known key; write a space after the colon: `type: a:b`", []),
        ("type:", "is not a known key; write a space after the colon: `type: `", []),
        (
            f"type:{'x' * 70}",
            f"is not a known key; write a space after the colon: `type: '{'x' * 60}...'`",
            [],
        ),
        ("port", "is not a known key here; write it under the mesh", []),
        ("zzz", "is not a known key; known are address, type, public, groups, network", []),
    ],
)
def test_an_unknown_key_is_told_with_what_can_be_written_instead(
    key: str, told: str, instead: list[Instead]
) -> None:
    found = unknown_key(key, NODE, beside={"groups"}, homes={"port": "the mesh"})
    assert (found.text, list(found.instead)) == (told, instead)


@pytest.mark.parametrize(
    ("key", "told"),
    [
        ("publicKey", "`up` makes the keys and keeps them in the stack's state; never write a key here"),
        ("user", "everything on a node is done as root"),
        ("cloud-init", "a server gets no user data from the stack file; set up your software after `up`"),
        ("hub", "links says which nodes have a tunnel to each other; without links, all nodes have"),
        ("DENY", "there are no deny rules: a policy denies all traffic that no rule allows"),
        (
            "nameserver",
            "the names of all nodes are written into every node's /etc/hosts; there is no DNS server",
        ),
        ("allowed_ips", "the key `routes` of a node has the networks behind the node"),
        ("peers", "write each server under nodes, and each person's device under clients"),
        ("devices", "people's devices are listed under `clients` of the mesh (docs/clients.md)"),
    ],
)
def test_a_key_that_the_mesh_does_without_is_told_with_its_reason(key: str, told: str) -> None:
    homes = {"user": "defaults or the node", "publicKey": "the client"}
    found = unknown_key(key, NODE, homes=homes)
    assert found.text == f"is not a known key: {told}; remove this key"
    assert found.instead == (Instead("remove"),)


def test_without_a_word_of_its_place_a_key_is_just_unknown() -> None:
    assert unknown_key("port", NODE).text == (
        "is not a known key; known are address, type, public, groups, network"
    )


def test_the_key_that_is_meant_is_a_known_one() -> None:
    assert meant_key("ports", ["public"]) == "public"
    assert meant_key("ports", ["port"]) == "port"
    assert meant_key("ports", ["type"]) is None
    assert meant_key("\u0430ddress", ["address"]) == "address"  # a Cyrillic letter
    assert meant_key("host", ["hosts"]) is None
    assert meant_key("Persistent-Keepalive", ["keepalive"]) == "keepalive"


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ("\u201cweb\u201d", "web"),
        ("`web`", "web"),
        ("' web '", "web"),
        ("w\u00e9b", "web"),
        ("web\u200b", "web"),
        ("we\tb", "we b"),
        ("a\u2013b\u2212c", "a-b-c"),
        ("10\u3002\u0665", "10.\u0665"),
        ("\uff11\uff10\uff0e\uff18", "10.8"),
        ("\u041a\u0445", "Kx"),
    ],
)
def test_a_text_is_read_without_what_editors_put_in(given: str, found: str) -> None:
    assert plain(given) == found


SECRET = "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk="


def test_a_guess_is_one_that_the_field_takes_and_never_the_value_itself() -> None:
    assert meant(" web ", host_name) == "web"
    assert meant("Web", host_name) == "web"
    assert meant("web,", host_name) == "web"
    assert meant("we b", host_name) == "web"
    assert meant("web; ", host_name) == "web"
    assert meant("web", host_name) is None
    assert meant("!", host_name) is None
    assert meant("!", host_name, "?", "DB", "x") == "db"
    assert meant("!", host_name, "x", "y") == "x"
    assert meant(f" {SECRET} ", str) is None


def test_a_field_that_refuses_asks_no_field_again() -> None:
    asked: list[object] = []

    def field(value: object) -> object:
        asked.append(accepts(host_name, "web"))
        return host_name(value)

    assert accepts(field, "web")
    assert not accepts(field, "Web")
    assert asked == [False, False]
    assert accepts(host_name, "web")


ROUTES = {"gw": [IPv4Network("10.20.0.0/16"), IPv4Network("10.30.0.0/16")]}
GROUPS = {"gw": ["edge"], "web-1": ["web", "edge"], "db-1": []}


def test_a_name_stands_for_groups_nodes_all_and_networks_in_this_order() -> None:
    found = members_by_name(GROUPS, ROUTES, ["10.0.0.0/8", "10.99.0.0/16"], {"laptop": ["people", "web"]})
    assert found == {
        "edge": {"gw", "web-1"},
        "web": {"web-1", "laptop"},
        "people": {"laptop"},
        "gw": {"gw"},
        "web-1": {"web-1"},
        "db-1": {"db-1"},
        "laptop": {"laptop"},
        "all": {"gw", "web-1", "db-1"},
        "10.0.0.0/8": {"10.20.0.0/16 behind gw", "10.30.0.0/16 behind gw"},
    }
    assert list(found)[:4] == ["edge", "web", "people", "gw"]


def test_a_raw_mesh_has_the_names_that_can_be_read() -> None:
    raw: dict[str, Any] = {
        "nodes": {
            "gw": {"groups": ["edge", "Bad", 7], "routes": ["10.20.0.0/16", "x"]},
            7: {"groups": "edge"},
            "odd": None,
        },
        "clients": {"laptop": {"groups": ["people", "Bad"]}},
        "policy": [
            {"from": ["10.0.0.0/8", "x/"], "to": ["edge"]},
            {"from": "10.0.0.0/9", "to": ["10.20.0.0/15"]},
            7,
        ],
        "policyTests": [{"from": "10.16.0.0/12", "to": "10.20.0.0/16"}, 7, {"from": 7}],
    }
    behind = {"10.20.0.0/16 behind gw"}
    nodes = {
        "edge": {"gw"},
        "gw": {"gw"},
        "7": {"7"},
        "odd": {"odd"},
        "all": {"gw", "7", "odd"},
        **dict.fromkeys(("10.0.0.0/8", "10.20.0.0/15", "10.16.0.0/12", "10.20.0.0/16"), behind),
    }
    assert members_in(raw) == nodes
    assert policy_members_in(raw) == {**nodes, "people": {"laptop"}, "laptop": {"laptop"}}


def test_a_link_of_names_that_nobody_has_links_nothing() -> None:
    members = {"web": ["a", "b"], "db": ["b", "c"]}
    assert linked_pairs([("web", "db"), ("zzz", "web"), ("web", "zzz")], members) == {
        frozenset("ab"),
        frozenset("ac"),
        frozenset("bc"),
    }


def test_the_pairs_of_a_rule_without_a_link() -> None:
    groups = {"a": ["web"], "b": ["web"], "c": ["db"]}
    links = [("a", "db")]
    assert unlinked_by_rule(links, groups, ["web"], ["db", "a"]) == [("b", "a"), ("b", "c")]
    assert unlinked_by_rule(links, groups, ["db"], ["a"]) == []
    assert unlinked_by_rule(links, groups, ["zzz", "b"], ["c", "zzz"]) == [("b", "c")]
    assert unlinked_by_rule(links, groups, ["all"], ["c"]) == []
    assert unlinked_by_rule(links, groups, ["b"], ["all"]) == []


def test_a_member_of_a_policy_is_a_name_or_a_network_in_its_shortest_form() -> None:
    assert [member(value) for value in ("web", "10.20.0.0/16", "fd00::/64", "0.0.0.0/0", "224.0.0.0/4")] == [
        "web", "10.20.0.0/16", "fd00::/64", "0.0.0.0/0", "224.0.0.0/4",
    ]  # fmt: skip
    with pytest.raises(PydanticCustomError, match=r"^10.20.0.5/16 names a host, not a network; write"):
        member("10.20.0.5/16")
    with pytest.raises(PydanticCustomError, match=r"^7 is not text; give a name"):
        member(7)


@pytest.mark.parametrize(
    ("given", "written"),
    [
        ("10.20.0.0", ["10.20.0.0/32", "10.20.0.0/24"]),
        ("10.20.0.0/255.255.0.0", ["10.20.0.0/16"]),
        ("10.20.0.7/16", ["10.20.0.0/16"]),
        ("010.020.0.0/16", ["10.20.0.0/16"]),
        (" 010.20.0.0 \\ 16", ["10.20.0.0/16"]),
        ("lan", []),
    ],
)
def test_what_can_be_written_for_a_network_behind_a_node(given: str, written: list[str]) -> None:
    with pytest.raises(PydanticCustomError) as error:
        route(given)
    assert [one.write for one in (error.value.context or {})["instead"]] == written


@pytest.mark.parametrize(
    ("kinds", "given", "written"),
    [
        (["hetzner", "static"], "hetzer", ["hetzner"]),
        (["hetzner", "static"], "Static", ["static"]),
        (["hetzner", "static"], "aws", []),
        (["hetzner"], "aws", ["hetzner"]),
        (["hetzner", "static"], ["static"], ["static"]),
    ],
)
def test_what_can_be_written_for_a_provider(kinds: list[str], given: object, written: list[str]) -> None:
    known = dict.fromkeys(kinds, KNOWN["hetzner"])
    with pytest.raises(PydanticCustomError) as error:
        read_provider(known, "hetzner", given)
    assert [one.write for one in (error.value.context or {})["instead"]] == written


def _warned(**more: Any) -> list[tuple[str, tuple[int | str, ...] | None]]:
    nodes = {
        name: {"address": f"10.10.0.{number}", "groups": [name[:2]]}
        for number, name in enumerate(("aa-1", "bb-1", "bb-2", "bb-3", "hub"), start=1)
    }
    raw = {"cidr": "10.10.0.0/24", "nodes": nodes, **more}
    return [(str(each), each.place) for each in warnings_of(parse_settings(raw))]


@pytest.mark.parametrize(
    ("linked", "others"),
    [
        (["bb-2", "bb-3"], "bb-1"),
        (["bb-3"], "bb-1 and 1 more pair"),
        ([], "bb-1 and 2 more pairs"),
    ],
)
def test_a_rule_for_pairs_of_which_only_some_have_a_link_is_told(linked: list[str], others: str) -> None:
    # the hub is in the rule, so one pair has a link in every case
    policy = [
        {"from": ["hub"], "to": ["aa"], "allow": ["tcp/1"]},
        {"from": ["aa"], "to": ["bb", "hub"], "allow": ["tcp/2"]},
    ]
    links = [["hub", "all"], *(["aa-1", name] for name in linked)]
    said = (
        f"mesh.policy: policy[1] lets aa-1 reach {others}, but links has no link between them: nothing passes"
    )
    assert _warned(links=links, policy=policy) == [
        (f"{said}; add [aa-1, bb-1] to links, or name fewer nodes in the rule", ("policy",))
    ]


def test_an_only_address_that_may_log_in_is_told_at_its_place() -> None:
    ((said, place),) = _warned(ssh={"from": ["203.0.113.7", "10.10.0.0/24"]})
    assert said.startswith("mesh.ssh.from: 203.0.113.7 is the only address that may log in: when your")
    assert place == ("ssh", "from")
