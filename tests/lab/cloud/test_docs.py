"""The table of routes says what is there."""

import re
from pathlib import Path

from lab.cloud import firewalls, networks, primary_ips, server_actions

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "lab-cloud.md").read_text()


def test_every_action_is_in_the_table() -> None:
    table = PAGE.partition("## Routes")[2].partition("## Faults")[0]
    for module in (firewalls, networks, primary_ips, server_actions):
        assert [name for name in module.ACTIONS if name not in table] == []


def test_every_test_that_the_table_names_is_there() -> None:
    named = re.findall(r"`((?:tests/[\w/]+/)?test_\w+\.py)(?:::(test_\w+))?`", PAGE)
    assert len(named) > 30
    for path, test in named:
        file = ROOT / path if "/" in path else Path(__file__).with_name(path)
        assert f"def {test}(" in file.read_text() if test else file.exists(), (path, test)
