"""Which route a packet takes: what is worked out before a trial, held against the kernel itself."""

import ipaddress
import json
import os
import subprocess
from pathlib import Path

import pytest

from mesh.host.live.lookup import Packet, decide, parse_rules, parse_table
from mesh.host.live.ways import by_query
from mesh.host.system.iproute import parse_answers

# A host with every kind of rule and route; its own part of 10.10.0.0/16 is on `mesh`.
WORLD = """
ip link set lo up
for name in uplink mesh other; do ip link add name $name type bridge; done
ip address add 192.0.2.5/24 dev uplink; ip address add 10.10.0.1/24 dev mesh
ip address add 10.20.0.1/16 dev other
for name in uplink mesh other; do ip link set $name up; done
ip route add default via 192.0.2.1
ip route add 10.10.0.64/26 dev other; ip route add unreachable 10.10.0.96/28
ip route add 10.0.0.0/8 via 192.0.2.9; ip route add local 10.10.0.7 dev lo
ip route add 10.30.0.0/16 nexthop via 192.0.2.2 nexthop via 192.0.2.3
ip route add default dev other table 52; ip route add throw 10.10.0.128/25 table 52
ip route add default dev other table 51820; ip route add 10.10.0.200/29 dev uplink table 53
ip rule add pref 50 to 10.10.0.4 unreachable
ip rule add pref 51 to 10.10.0.5 prohibit
ip rule add pref 52 to 10.10.0.6 goto 32760
ip rule add pref 60 from 10.10.0.1 to 10.10.0.200/30 lookup 53
ip rule add pref 61 fwmark 0x1/0xf lookup 52
ip rule add pref 62 uidrange 1000-2000 lookup 52
ip rule add pref 63 iif mesh lookup 52
ip rule add pref 64 to 10.10.0.128/26 lookup 52
ip rule add pref 65 not from all to 10.0.0.0/7 lookup 53
ip rule add pref 32760 lookup main suppress_prefixlength 0
ip rule add pref 32761 not fwmark 0xca6c lookup 51820
"""
ASKED = [f"10.10.0.{last}" for last in (2, 4, 5, 6, 7, 70, 100, 129, 130, 193, 201, 206, 255)]
ASKED += ["10.20.0.1", "10.20.3.4", "10.11.0.1", "192.0.2.77", "8.8.8.8", "10.30.0.1"]


@pytest.mark.skipif(os.geteuid() != 0, reason="makes a network namespace")
def test_it_decides_as_the_kernel_does(tmp_path: Path) -> None:
    queries = [f"{address}{source}" for address in ASKED for source in ("", " from 10.10.0.1")]
    (tmp_path / "batch").write_text("".join(f"route get {query}\n" for query in queries))
    script = (
        f"{WORLD}\nip -j rule >{tmp_path}/rules; ip -j -4 route show table all >{tmp_path}/routes;"
        f"ip -4 -j -force -batch {tmp_path}/batch 2>/dev/null; true"
    )
    said = subprocess.run(
        ["unshare", "-n", "sh", "-e", "-c", script], capture_output=True, text=True, check=False
    )
    answers = by_query(parse_answers(said.stdout))
    assert len(answers) > 20, said
    rules = parse_rules(json.loads((tmp_path / "rules").read_text()))
    routes = parse_table(json.loads((tmp_path / "routes").read_text()), 4)
    for query in queries:
        destination, _, source = query.partition(" from ")
        packet = Packet(ipaddress.ip_address(destination), ipaddress.ip_address(source) if source else None)
        rule, route = decide(packet, rules, routes)
        assert rule is not None
        answer = answers.get(query)
        if answer is None or answer.get("type") in ("unreachable", "prohibit"):
            assert route is None or route.kind in ("unreachable", "prohibit"), (query, str(route))
        else:
            assert route is not None, query
            local = route.kind == "local"
            assert answer["dev"] == ("lo" if local else route.device), (query, str(rule), str(route))
            assert answer.get("table", "main") == route.table


def test_rules_and_routes_read_as_an_operator_writes_them() -> None:
    rules = parse_rules(
        [
            {"priority": 5270, "src": "all", "table": "52"},
            {"priority": 9, "not": None, "src": "all", "fwmark": "0xca6c", "table": "51820"},
            {"priority": 7, "src": "10.0.0.0", "srclen": 8, "dst": "10.10.0.8", "action": "unreachable"},
        ]
    )
    assert [str(rule) for rule in rules] == [
        "7: from 10.0.0.0/8 to 10.10.0.8 unreachable",
        "9: not from all fwmark 0xca6c lookup 51820",
        "5270: from all lookup 52",
    ]
    entries = [
        {"dst": "default", "gateway": "192.0.2.1", "dev": "eth0", "table": "52"},
        {"type": "blackhole", "dst": "10.10.0.0/25"},
    ]
    routes = parse_table(entries, 4)
    assert [str(route) for route in routes] == [
        "0.0.0.0/0 via 192.0.2.1 dev eth0 table 52",
        "blackhole 10.10.0.0/25",
    ]


def test_nothing_said_is_nothing_read() -> None:
    assert parse_rules([]) == []
    assert parse_table([], 4) == []
    assert by_query(parse_answers("")) == {}
