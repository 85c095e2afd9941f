"""Random changes of random stacks, for tests of what a review says of them."""

from typing import Any, Final

from hypothesis import strategies as st

from mesh.settings import members_by_name

__all__ = ["PORTS", "changes", "stacks"]

_NAMES: Final = ("web-1", "web-2", "db-1", "mon-1", "mail")
_GROUPS: Final = ("web", "db", "eu")
_ALLOW: Final = ("tcp/80", "tcp/443", "udp/53", "tcp/5432-5440", "tcp/22", "udp/8000-8100", "icmp", "all")
_PUBLIC: Final = ("tcp/80", "tcp/443", "udp/53", "tcp/8000-8100", "tcp/79")
_SSH: Final = (
    "0.0.0.0/0", "::/0", "203.0.113.0/24", "198.51.100.7/32", "10.10.0.2/32", "10.10.0.0/29",
    "fd00:10::2/128",
)  # fmt: skip
PORTS: Final = (
    *(
        ("tcp", port)
        for port in (1, 22, 23, 78, 79, 80, 81, 443, 2222, 5431, 5432, 5440, 5441, 8000, 8100, 65535)
    ),
    *(("udp", port) for port in (1, 52, 53, 54, 67, 80, 7999, 8000, 8100, 8101)),
)
"""Both sides of every edge that a stack of these strategies has."""


def _some(of: tuple[str, ...], *, at_least: int = 0, at_most: int = 3) -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from(of), unique=True, min_size=at_least, max_size=at_most)


@st.composite
def _rule(draw: st.DrawFn, names: tuple[str, ...]) -> dict[str, list[str]]:
    allow = draw(_some(_ALLOW, at_least=1))
    return {
        "from": draw(_some(names, at_least=1, at_most=2)),
        "to": draw(_some(names, at_least=1, at_most=2)),
        "allow": allow[:1] if "all" in allow else allow,
    }


@st.composite
def stacks(draw: st.DrawFn) -> dict[str, Any]:
    """Any mesh of up to five nodes; a node has the same address in all of them."""
    names = draw(_some(_NAMES, at_least=1, at_most=5))
    nodes = {name: draw(_node(_NAMES.index(name) + 1)) for name in names}
    groups = {group for node in nodes.values() for group in node["groups"]}
    mesh: dict[str, Any] = {
        "cidr": "10.10.0.0/24",
        "nodes": nodes,
        "ssh": {"from": draw(_some(_SSH, at_least=1)), "port": draw(st.sampled_from((22, 22, 2222)))},
    }
    if draw(st.booleans()):
        mesh["cidr6"] = "fd00:10::/64"
    if draw(st.booleans()):
        known = ("all", *names, *sorted(groups))
        mesh["policy"] = draw(st.lists(_rule(known), max_size=4, unique_by=_meaning))
    return _without_empty_rules(mesh)


def _meaning(rule: dict[str, list[str]]) -> tuple[frozenset[str], ...]:
    """What a rule says, in whatever order: a stack file may not say the same twice."""
    return tuple(frozenset(rule[key]) for key in ("from", "to", "allow"))


def _without_empty_rules(mesh: dict[str, Any]) -> dict[str, Any]:
    """Leave out rules that a stack file may not have: of unknown names, or of one node to itself."""
    if "policy" not in mesh:
        return mesh
    groups = {name: node["groups"] for name, node in mesh["nodes"].items()}
    members = members_by_name(groups)

    def fits(rule: dict[str, list[str]]) -> bool:
        names = {*rule["from"], *rule["to"]}
        return names <= members.keys() and len({node for name in names for node in members[name]}) > 1

    return {**mesh, "policy": [rule for rule in mesh["policy"] if fits(rule)]}


@st.composite
def _node(draw: st.DrawFn, number: int) -> dict[str, Any]:
    return {
        "address": f"10.10.0.{number}",
        "groups": draw(_some(_GROUPS, at_most=2)),
        "public": draw(_some(_PUBLIC)),
        "enabled": draw(st.sampled_from((True, True, True, False))),
        "forward": draw(st.booleans()),
        "trustedInterfaces": draw(_some(("docker0", "cni0", "br-*"), at_most=1)),
    }


@st.composite
def changes(draw: st.DrawFn) -> tuple[dict[str, Any], dict[str, Any]]:
    """A mesh before and after: a few keys of it are as in another one, or all are."""
    before, other = draw(stacks()), draw(stacks())
    if draw(st.booleans()):
        return before, other
    after = {**before, "nodes": dict(before["nodes"])}
    if draw(st.booleans()):
        after["ssh"] = other["ssh"]
    for name in draw(_some(tuple(other["nodes"]), at_most=2)):
        after["nodes"][name] = {
            **other["nodes"][name],
            "groups": before["nodes"].get(name, {}).get("groups", []),
        }
    if draw(st.booleans()) and "policy" in before:
        after["policy"] = draw(st.permutations(before["policy"]))[1:]
    return before, _without_empty_rules(after)
