"""A trial ends also where somebody stopped what was to end it."""

import json
import re
import time

import pytest

from lab.testing import wait
from tests.host.nodes import Node
from tests.host.trials import (
    NEXT,
    PAIR,
    SHORT,
    UNITS,
    WATCH,
    applying,
    go_live,
    seconds_left,
    set_deadline,
)

pytestmark = pytest.mark.hosts


@pytest.fixture
def node(impatient: Node) -> Node:
    return impatient


def test_isolating_a_target_ends_neither_trial_nor_timers(node: Node, new: str) -> None:
    before = node.live()
    go_live(node, new)
    node.inside("systemctl isolate multi-user.target")
    txn = json.loads(node.inside("cat /run/wgmesh/trial.json"))["txn"]
    units = node.inside(f"systemctl list-units --no-legend --state=active 'wgmesh-*{txn}*'")
    assert len(units.splitlines()) == 3, units
    node.wait_idle(SHORT + 3)
    assert node.live() == before


@pytest.mark.long
def test_isolating_a_target_while_the_trial_runs_does_not_stop_it(node: Node, new: str) -> None:
    set_deadline(node, 30)
    node.inside("echo 'firewall 4' >/etc/wgmesh/failpoint")
    with applying(node, new) as client:
        wait(node.pending, 15)
        node.inside("systemctl isolate multi-user.target")
        client.wait(30)
    node.inside("rm -f /etc/wgmesh/failpoint")
    node.wait_for_ssh()
    assert node.apply(new).word == "CONFIRMED"


@pytest.mark.long
def test_with_both_timers_stopped_the_watch_rolls_back(node: Node, new: str) -> None:
    before = node.live()
    go_live(node, new)
    node.inside("systemctl stop 'wgmesh-rollback*.timer'; pkill -KILL -f '[w]ay-back.sh watch'")
    node.wait_idle(SHORT + WATCH + 5)
    assert node.live() == before


@pytest.mark.long
def test_the_guard_ends_a_trial_that_nobody_else_ends(node: Node, new: str) -> None:
    before = node.live()
    go_live(node, new)
    node.inside(f"systemctl stop {UNITS}")
    node.wait_idle(SHORT + 70)
    assert node.live() == before


@pytest.mark.parametrize("phase", ["live", pytest.param("armed", marks=pytest.mark.long)])
@pytest.mark.parametrize(
    "command", ["apply", *(pytest.param(name, marks=pytest.mark.long) for name in NEXT if name != "apply")]
)
def test_whoever_comes_next_ends_a_trial_that_lost_its_timers(
    node: Node, new: str, command: str, phase: str
) -> None:
    before = node.live()
    if phase == "armed":
        node.inside("echo 'armed kill' >/etc/wgmesh/failpoint")
        node.agent("apply", new)
    else:
        go_live(node, new)
    node.inside(f"systemctl stop {UNITS}")
    time.sleep(seconds_left(node) + 1)
    assert node.pending(), "nothing else ends it"
    assert NEXT[command](node), command
    assert not node.pending()
    assert node.live() == before


@pytest.mark.long
@pytest.mark.parametrize("step", ["pending", "armed"])
def test_a_trial_whose_arming_was_cut_short_is_armed_anew(node: Node, new: str, step: str) -> None:
    """It would run without its timers."""
    node.inside(f"echo '{step} kill' >/etc/wgmesh/failpoint")
    node.agent("apply", new)
    assert node.pending()
    go_live(node, new)
    txn = json.loads(node.inside("cat /run/wgmesh/trial.json"))["txn"]
    units = node.inside(f"systemctl list-units --no-legend --state=active 'wgmesh-*{txn}*'")
    assert len(units.splitlines()) == 3, units
    assert node.apply(new).word == "CONFIRMED"


@pytest.mark.long
def test_no_report_says_that_a_trial_is_over_in_the_past(node: Node, new: str) -> None:
    """Also not where it cannot be undone."""
    go_live(node, new)
    node.inside(f"systemctl stop {UNITS}; p=$(readlink -f $(command -v nft)); mv $p $p.away")
    time.sleep(seconds_left(node) + 2)
    try:
        trial = node.status()["trial"]
        assert trial["seconds_left"] == 0.0
        run = node.agent("apply", node.hosts.document("web-1", PAIR, public=["tcp/99"]))
        assert re.search("ends in at most 15 s", run.out), run.out
    finally:
        node.inside("mv /usr/sbin/nft.away /usr/sbin/nft")
    assert node.status()["state"] == "idle"
