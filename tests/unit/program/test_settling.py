"""The program asks agents behind a real SSH server how far they are with their keys."""

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

import pulumi
import pytest

from mesh.names import COMMAND, COPY
from mesh.program.previous import NOTHING_KNOWN, Previous
from mesh.program.settling import Dialled, Put, Urns, look_ahead, refuse_under_way, wait_until_settled
from tests.unit.program.agents import Agent, dialled, nodes, put, report, rotating

SILENT = "no word on port 51821"


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the program tells of its progress."""
    found: list[str] = []
    monkeypatch.setattr(pulumi.log, "info", found.append)
    return found


def _wait(
    agents: Mapping[str, Agent],
    *,
    patience: float = 20,
    missing: Mapping[str, Put] | None = None,
    closed: Mapping[str, Dialled] | None = None,
) -> None:
    async def wait() -> None:
        async with nodes(agents) as found:
            await wait_until_settled(
                {**found, **(closed or {})},
                {**put(*agents), **(missing or {})},
                Urns(NOTHING_KNOWN),
                port=51821,
                what="keys",
                pause=0.01,
                patience=patience,
            )

    asyncio.run(wait())


def _until(last: int, name: str, **pairs: str) -> Agent:
    """An agent that rotates for some rounds."""
    return Agent(lambda asked: rotating(name, **pairs) if asked < last else report(name))


def test_it_waits_until_no_node_replaces_a_key_and_tells_progress_once(told: list[str]) -> None:
    agents = {"web-1": _until(3, "web-1", db_1=""), "db-1": _until(5, "db-1", web_1=SILENT)}
    _wait(agents)
    assert agents["db-1"].asked == 6
    assert told == [
        "keys: 0 of 2 nodes are done, 2 ways between nodes to go",
        "keys: 1 of 2 nodes are done, 1 way between nodes to go",
    ]


def test_a_node_that_only_lingers_is_done_and_so_is_an_agent_that_knows_no_rotation(told: list[str]) -> None:
    older = {key: value for key, value in report("db-1").items() if key != "rotation"}
    _wait({"web-1": Agent(lambda _: rotating("web-1", "linger", db_1="")), "db-1": Agent(lambda _: older)})
    assert told == []


@pytest.mark.usefixtures("told")
def test_without_progress_it_says_who_waits_for_whom_and_that_nothing_is_lost() -> None:
    agents = {
        "web-1": Agent(lambda _: rotating("web-1", db_1=SILENT, web_2="")),
        "web-2": Agent(lambda _: rotating("web-2", db_1=SILENT, web_1="")),
        "db-1": Agent(lambda _: rotating("db-1", web_1="heard, not heard there")),
    }
    with pytest.raises(pulumi.RunError) as caught:
        _wait(agents, patience=0.2)
    assert str(caught.value) == (
        "keys: not all nodes have their new keys yet: web-1 and web-2 wait for db-1 (no word on port 51821); "
        "db-1 waits for web-1 (heard, not heard there). Nothing is lost: these pairs go on with the old "
        "keys. "
        "See that UDP port 51821 is open between these nodes, also in firewalls on the way, and run up "
        "again; "
        "`python -m mesh check` shows how the nodes are."
    )


@pytest.mark.usefixtures("told")
def test_where_the_canary_failed_it_alone_is_to_be_mended() -> None:
    skipped = {name: Put(document=None, public_key=None) for name in ("web-1", "web-2")}
    agents = {"web-1": Agent(lambda _: report("web-1")), "web-2": Agent(lambda _: report("web-2"))}
    with pytest.raises(pulumi.RunError, match=r"Correct what is wrong with web-1, web-2 \("):
        _wait(agents, missing=skipped)
    with pytest.raises(pulumi.RunError, match=r"Correct what is wrong with web-2 \("):
        _wait(agents, missing={**skipped, "web-2": replace(skipped["web-2"], canary=True)})


@pytest.mark.usefixtures("told")
def test_progress_gives_more_time() -> None:
    waited = {f"n{number}": SILENT for number in range(20)}

    def fewer_each_time(asked: int) -> dict[str, Any]:
        return rotating("web-1", **dict([*waited.items()][asked:])) if asked < 20 else report("web-1")

    agent = Agent(fewer_each_time)
    _wait({"web-1": agent}, patience=0.1)  # all of it takes longer
    assert agent.asked == 21


@pytest.mark.usefixtures("told")
def test_it_ends_at_once_when_only_a_node_whose_files_failed_is_waited_for() -> None:
    agents = {
        "web-1": Agent(lambda _: rotating("web-1", db_1=SILENT, web_2="")),
        "web-2": Agent(lambda _: rotating("web-2", db_1=SILENT, web_1="")),
    }
    failed = {"db-1": Put(document=None, public_key="key of db-1")}
    with pytest.raises(pulumi.RunError) as caught:
        _wait(agents, missing=failed)
    assert {agent.asked for agent in agents.values()} == {2}
    assert str(caught.value) == (
        "keys: not all nodes have their new keys yet: web-1 and web-2 wait for db-1 (no word on port 51821); "
        "db-1 has not taken this run's files. Nothing is lost: these pairs go on with the old keys. Correct "
        "what is wrong with db-1 (errors above say what), or take out what is dead with `enabled: false`, "
        "and "
        "run up again."
    )


@pytest.mark.usefixtures("told")
def test_a_node_that_cannot_be_reached_is_named_though_nobody_waits_for_it() -> None:
    with pytest.raises(pulumi.RunError, match=r"db-1 cannot be reached \(127\.0\.0\.1 refuses connections"):
        _wait(
            {"web-1": Agent(lambda _: report("web-1"))},
            missing=put("db-1"),
            closed={"db-1": dialled("db-1", 1)},
        )


@pytest.mark.usefixtures("told")
def test_a_node_with_other_files_has_not_had_its_turn() -> None:
    with pytest.raises(pulumi.RunError, match="db-1 has other files than this run's"):
        _wait(
            {"web-1": Agent(lambda _: report("web-1")), "db-1": Agent(lambda _: report("db-1", current="x"))}
        )


@pytest.mark.usefixtures("told")
def test_a_node_is_told_once_of_peers_that_are_done_for_good() -> None:
    held = Agent(lambda n: rotating("db-1", web_1=SILENT, web_2=SILENT) if n < 4 else report("db-1"))
    drifted = {"item": "private key", "live": "another one", "wanted": "this node's"}
    _wait(
        {
            "db-1": held,
            "web-1": Agent(lambda _: report("web-1")),
            "web-2": Agent(lambda n: report("web-2", differences=[drifted] if n < 5 else [])),
        }
    )
    assert held.settled == [{"format": 1, "settled": {"web-1": "key of web-1"}, "gone": []}]


@pytest.mark.usefixtures("told")
def test_what_nodes_say_is_shown_visibly_and_in_part() -> None:
    hostile = Agent(
        lambda _: rotating("web-1", db_1="\x1b[2J" + "x" * 1_900, **{f"n{i}": "y" for i in range(99)})
    )
    with pytest.raises(pulumi.RunError) as caught:
        _wait({"web-1": hostile}, patience=0.1)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 3_000


def _gate(
    agents: Mapping[str, Agent],
    closed: Mapping[str, Dialled] | None = None,
    *,
    done: bool = True,
    back: Collection[str] = (),
) -> None:
    async def look() -> None:
        async with nodes(agents) as found:
            answers = await look_ahead({**found, **(closed or {})}, Urns(NOTHING_KNOWN), back)
            refuse_under_way(answers.without(back), done=done, what="keys")

    asyncio.run(look())


def test_a_node_without_an_answer_counts_where_the_keys_before_were_never_seen_in_force() -> None:
    agents = {"web-1": Agent(lambda _: report("web-1"))}
    _gate(agents, {"db-1": dialled("db-1", 1)})
    with pytest.raises(pulumi.RunError, match=r"not done: db-1 gives no answer \(127\.0\.0\.1 refuses"):
        _gate(agents, {"db-1": dialled("db-1", 1)}, done=False)
    _gate(agents, done=False)


def test_a_node_that_comes_back_is_let_go_from_the_rotation_in_which_it_was_taken_out() -> None:
    held = Agent(lambda _: rotating("db-1", web_1=SILENT, web_2=SILENT))
    _gate({"db-1": held, "web-1": Agent(lambda _: report("web-1"))}, done=False, back=["db-1"])
    assert held.settled == [{"format": 1, "settled": {}, "gone": ["web-1", "web-2"]}]


@pytest.mark.usefixtures("told")
def test_a_node_that_comes_and_goes_does_not_make_it_wait_for_ever() -> None:
    flapping = Agent(lambda n: report("db-1", current=None if n % 3 else "x" * 64))
    held = Agent(lambda _: rotating("web-1", db_1=SILENT, web_2=SILENT))
    with pytest.raises(pulumi.RunError, match="web-1 waits for db-1"):
        _wait({"db-1": flapping, "web-1": held, "web-2": Agent(lambda _: report("web-2"))}, patience=0.5)


def test_keys_are_not_replaced_while_nodes_replace_the_ones_before() -> None:
    with pytest.raises(pulumi.RunError) as caught:
        _gate(
            {
                "web-1": Agent(lambda _: rotating("web-1", "rekeyed", db_1=SILENT)),
                "db-1": Agent(lambda _: "x"),
            }
        )
    assert str(caught.value) == (
        "keys: the rotation before this one is not done: web-1 waits for db-1 (no word on port 51821). No "
        "key "
        "was replaced: a node that never got the keys before would never meet the others again. Write the "
        "numbers (`rotation`, `generation`) as they were before, and run up until the rotation is done: "
        "revive "
        "nodes that others wait for, or take them out with `enabled: false`. Then raise the numbers again."
    )


def test_a_node_that_waits_for_nobody_yet_is_not_done_either() -> None:
    with pytest.raises(pulumi.RunError, match="is not done: web-1 is not done"):
        _gate({"web-1": Agent(lambda _: rotating("web-1", db_1=""))})


def test_nodes_that_are_done_linger_or_cannot_be_reached_do_not_hold_keys_back() -> None:
    agents = {
        "web-1": Agent(lambda _: report("web-1")),
        "web-2": Agent(lambda _: rotating("web-2", "linger", web_1="")),
        "db-1": Agent(lambda _: "broken"),
    }
    _gate(agents, {"db-2": dialled("db-2", 1)})
    assert [agent.asked for agent in agents.values()] == [1, 1, 1]


def test_remedies_name_what_the_state_has() -> None:
    urns: Any = {
        ("hcloud:index/server:Server", "web-1-server"): "urn::server",
        (COPY, "web-1-agent-file"): "urn::file",
    }
    known = Urns(Previous(urns=urns))
    assert known.server("web-1") == "urn::server"
    assert known.agent("web-1") == ("urn::file", "<urn of web-1-keys>")
    assert known.server("db-1") == "<urn of db-1-server>"
    urns[COMMAND, "web-1-keys"] = "urn::keys"
    assert known.agent("web-1")[1] == "urn::keys"
