import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mesh.host.answers import AgentError
from mesh.host.system import ruleset

RULES = """
table ip filter { chain INPUT { type filter hook input priority 0; policy drop; } chain mine { accept; } }
table ip6 filter { chain FORWARD { type filter hook forward priority 0; } }
table inet wgmesh { chain in { type filter hook prerouting priority -5; policy accept; } }
table arp a { chain c { type filter hook input priority 0; policy drop; } }
table bridge b { chain c { type filter hook postrouting priority 0; } }
table netdev n { chain come { type filter hook ingress device lo priority 0; policy drop; } }
table inet empty { }
"""
EGRESS = "table netdev e { chain leave { type filter hook egress device lo priority 0; } }\n"
ASK = """
import sys; sys.path.insert(0, sys.argv[1])
from mesh.host.system.ruleset import base_chains, tables
print(tables(), [[c.family, c.table, c.name, c.egress, c.drops] for c in base_chains()], sep="\\n")
"""
ROOT = Path(__file__).parents[4]


def _in_namespace(rules: str) -> tuple[Any, Any, list[dict[str, Any]]]:
    """Return what the kernel tells of tables and chains once rules are loaded, and what nft lists."""
    script = 'ip link set lo up; nft -f - && "$@" && nft -j list ruleset'
    argv = ["unshare", "-n", "sh", "-e", "-c", script, "sh", sys.executable, "-c", ASK, str(ROOT)]
    lines = rules.replace(" }", "\n}\n")  # as nft wants them
    done = subprocess.run(argv, input=lines, capture_output=True, text=True, check=False)
    if "unknown chain hook" in done.stderr:
        pytest.skip("this nft has no hook egress")
    assert done.returncode == 0, done.stderr
    tables, chains, listed = done.stdout.splitlines()
    return eval(tables), eval(chains), json.loads(listed)["nftables"]


@pytest.mark.parametrize("rules", ["", RULES, RULES + EGRESS])
def test_names_are_those_that_nft_lists(rules: str) -> None:
    tables, chains, listed = _in_namespace(rules)
    shown = [entry["table"] for entry in listed if "table" in entry]
    assert sorted(tables) == sorted((each["family"], each["name"]) for each in shown)
    hooked = [entry["chain"] for entry in listed if "hook" in entry.get("chain", {})]
    assert sorted(chains) == sorted(
        [each["family"], each["table"], each["name"], each["hook"] == "egress", each.get("policy") == "drop"]
        for each in hooked
    )
    assert len(chains) == len(rules.replace("chain mine", "").split("chain ")) - 1


def test_many_chains_come_in_many_pieces() -> None:
    chains = "".join(f"chain c{n} {{ type filter hook input priority {n}; }}\n" for n in range(900))
    _tables, found, _listed = _in_namespace(f"table inet large {{ {chains} }}")
    assert {name for _family, _table, name, _egress, _drops in found} == {f"c{n}" for n in range(900)}


COUNT = """
import os, subprocess, sys; sys.path.insert(0, sys.argv[1])
from mesh.host.system.ruleset import change_number
def change(text): subprocess.run(["nft", "-f", "-"], input=text, text=True, check=True)
numbers = [change_number()]
for text in sys.argv[2:]:
    change(text)
    numbers.append(change_number())
with subprocess.Popen(["nft", "-j", "list", "ruleset"], stdout=subprocess.DEVNULL): pass
numbers.append(change_number())
print(numbers)
"""


def test_every_change_of_any_table_is_counted_and_looking_is_none() -> None:
    changes = [
        "table ip mine {\nset s { type inet_service; }\n}",
        "add element ip mine s { 22 }",
        "table inet wgmesh {\nchain c { accept; }\n}",
        "flush chain inet wgmesh c",
        "delete table ip mine",
    ]
    argv = ["unshare", "-n", sys.executable, "-c", COUNT, str(ROOT), *changes]
    *numbers, after = eval(subprocess.run(argv, capture_output=True, text=True, check=True).stdout)
    assert len(set(numbers)) == len(changes) + 1
    assert after == numbers[-1]


@pytest.mark.parametrize("answers", [[], [(0, bytes(4))]], ids=["no answer", "an answer without a number"])
def test_a_kernel_that_counts_nothing_never_looks_unchanged(
    monkeypatch: pytest.MonkeyPatch, answers: list[tuple[int, bytes]]
) -> None:
    monkeypatch.setattr(ruleset, "ask", lambda *_words, **_options: answers)
    with pytest.raises(AgentError, match="does not count changes"):
        ruleset.change_number()
