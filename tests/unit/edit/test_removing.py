"""A node less: with it goes what names it, and what would change the meaning of the rest is refused."""

import pytest

from mesh.edit.document import parse
from mesh.edit.errors import EditError
from mesh.edit.removing import remove_node
from tests.unit.edit.stackfiles import CHECK, LAYOUTS, added_lines, remove, text_of

_WHOLE = """config:
  x:mesh:
    cidr: 10.10.0.0/24
    nodes:
      web-1: {address: 10.10.0.1, groups: [web]}
      web-2: {address: 10.10.0.2, groups: [web]}   # the second
        # and more about it
      # about the next one
      db-1: {address: 10.10.0.11, groups: [db]}
      mon-1: {address: 10.10.0.21}
    policy:
      - {from: [web, mon-1], to: [db, web-2], allow: [tcp/5432]}
      - from: [all]
        to:
          - web-2
          - web-1   # the first
        allow: [tcp/9100]
      - {from: [mon-1], to: [web], allow: [icmp]}
    policyTests:
      - {from: web-2, to: db, port: tcp/5432, expect: allow}
      - {from: web-1, to: web-2, port: tcp/22, expect: deny}
      - {from: web, to: db, port: tcp/5432, expect: allow}
    rollout: {canary: web-1}
"""


def test_it_goes_with_all_that_names_it_and_nothing_else() -> None:
    new, gone = added_lines(_WHOLE, remove(_WHOLE, "web-2"))
    assert "".join(new) == "      - {from: [web, mon-1], to: [db], allow: [tcp/5432]}\n"
    assert "".join(gone) == (
        "      web-2: {address: 10.10.0.2, groups: [web]}   # the second\n"
        "        # and more about it\n"
        "      - {from: [web, mon-1], to: [db, web-2], allow: [tcp/5432]}\n"
        "          - web-2\n"
        "      - {from: web-2, to: db, port: tcp/5432, expect: allow}\n"
        "      - {from: web-1, to: web-2, port: tcp/22, expect: deny}\n"
    )


def test_it_is_said_what_is_lost() -> None:
    remarks = " ".join(remove_node(parse(_WHOLE), "web-2", CHECK).remarks)
    assert "deletes the server of web-2 with its disk" in remarks
    assert "2 tests of the policy named web-2" in remarks


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("web-1", [r"mesh.rollout.canary (line 23): web-1 is the canary; name another canary there"]),
        ("mon-1", [r"mesh.policy[2].from[0] (line 18): mon-1 is the only name there", "remove policy[2]"]),
        (
            "db-1",
            [
                "mesh.policy[0].to[0] (line 12): db-1 is the last node of the group db",
                "mesh.policyTests[0].to (line 20)",
                "mesh.policyTests[2].to (line 22)",
            ],
        ),
        ("web-3", ["'web-3' is not a node of this mesh; it has web-1, web-2, db-1, mon-1"]),
    ],
)
def test_what_would_change_the_meaning_of_the_rest_is_refused_with_what_to_do_first(
    name: str, said: list[str]
) -> None:
    with pytest.raises(EditError) as refused:
        remove(_WHOLE, name)
    for each in said:
        assert each in str(refused.value)


def test_an_end_of_a_link_stays_until_the_link_is_gone() -> None:
    with pytest.raises(EditError) as refused:
        remove(_WHOLE + "    links: [[all, web-1], [web-2, db-1]]\n", "web-2")
    assert "mesh.links[1][0] (line " in str(refused.value)
    assert "web-2 is one end of a link; remove the link, or name another node, first" in str(refused.value)


def test_a_node_that_gives_egress_stays_until_another_one_does() -> None:
    six = "      six: {address: 10.10.0.31, publicIpv4: false, publicIpv6: true, egress: web-2}\n"
    both = "    defaults: {publicIpv6: true}\n"
    whole = _WHOLE.replace("    policy:\n", f"{six}{both}    policy:\n", 1)
    with pytest.raises(EditError) as refused:
        remove(whole, "web-2")
    assert "mesh.nodes.six.egress (line " in str(refused.value)
    assert "six has its egress over web-2; name another node first" in str(refused.value)
    assert "egress" not in remove(whole, "six")


def test_the_only_node_stays() -> None:
    text = "config: {x:mesh: {cidr: 10.10.0.0/24, nodes: {web-1: {address: 10.10.0.1}}}}\n"
    with pytest.raises(EditError, match="`pulumi destroy` deletes the whole mesh"):
        remove(text, "web-1")


def test_tests_that_are_left_without_any_go_as_a_whole() -> None:
    text = _WHOLE.replace("      - {from: web, to: db, port: tcp/5432, expect: allow}\n", "")
    after = remove(text, "web-2")
    assert "policyTests" not in after
    assert after.endswith("    rollout: {canary: web-1}\n")


@pytest.mark.parametrize(
    ("layout", "name", "gone"),
    [
        ("blocks", "web-2", 9),  # four lines of the node, one of the policy, four of a test
        ("json", "web-2", 2),
        ("braces", "web-2", 3),
        ("one-line", "web-2", 1),
        ("windows", "web-2", 3),
        ("windows", "db-1", 3),  # and the end of the line before
        ("marked", "web-2", 2),
        ("anchors", "db-1", 1),
        ("aligned", "database-1", 1),
    ],
)
def test_every_layout_stays_as_it_is_around_what_goes(layout: str, name: str, gone: int) -> None:
    text = text_of(next(path for path in LAYOUTS if path.stem == layout))
    after = remove(text, name)
    assert name not in str(parse(after).value)
    _, lost = added_lines(text, after)
    assert len(lost) == gone
