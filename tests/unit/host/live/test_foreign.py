from mesh.host.live.foreign import Ruleset, _part
from mesh.host.trial.doors import _matches

SAVED = """\
# Generated
*filter
:INPUT DROP [0:0]
-A INPUT -j ACCEPT
COMMIT
*nat
:PREROUTING ACCEPT [0:0]
COMMIT
"""


def test_one_table_of_what_iptables_saved() -> None:
    assert _part(SAVED, "filter") == "*filter\n:INPUT DROP [0:0]\n-A INPUT -j ACCEPT\nCOMMIT\n"
    assert _part(SAVED, "nat") == "*nat\n:PREROUTING ACCEPT [0:0]\nCOMMIT\n"
    assert _part(SAVED, "raw") == ""


def test_rules_that_nftables_does_not_trace() -> None:
    names = ("ip6tables-legacy", "table netdev x", "table bridge y", "table inet z")
    assert [Ruleset(name, [], "").untraced for name in names] == [True, True, True, False]


def test_a_trusted_name_may_be_a_pattern() -> None:
    assert _matches("eth0", "eth0")
    assert _matches("e*", "eth0")
    assert _matches("*", "eth0")
    assert not _matches("eth0", "eth01")
    assert not _matches("br-*", "br0")
