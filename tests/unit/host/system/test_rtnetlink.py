"""What the kernel tells of interfaces, addresses and routes, held against what `ip` prints of the same."""

import ipaddress
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="makes a network namespace")

WORLD = """
ip link set lo up
for name in uplink mesh idle tiny; do ip link add $name type bridge; done
ip link add ends type veth peer name otherend
ip link set mesh mtu 1420; ip link set tiny mtu 1280
for name in uplink mesh tiny ends otherend; do ip link set $name up; done
ip address add 192.0.2.5/24 dev uplink; ip address add 192.0.2.6/24 dev uplink
ip address add 10.10.0.1/24 dev mesh; ip address add 10.10.0.2/32 dev mesh
ip address add 169.254.7.7/16 scope link dev mesh; ip address add 10.99.0.1/32 scope host dev mesh
ip address add 10.50.0.1 peer 10.50.0.2/32 dev ends
ip address add 2001:db8::5/64 nodad dev uplink; ip address add fd12::1/64 nodad dev mesh
ip address add fd50::1 peer fd50::2/128 nodad dev ends
ip address add 10.60.0.1/24 dev idle
ip route add default via 192.0.2.1
ip route add default dev mesh metric 8700 proto 87
ip route add 10.20.0.0/16 dev mesh proto 87 mtu 1320
ip route add 10.21.0.0/16 dev mesh proto static src 10.10.0.2
ip route add 10.22.0.7 dev mesh mtu lock 1300
ip route add 10.23.0.0/16 via 10.10.0.9 dev mesh proto 87 metric 5
ip route add 10.24.0.0/16 via inet6 fd12::9 dev mesh
ip route add unreachable 10.25.0.0/16
ip route add local 10.26.0.1 dev mesh table main
ip route add 10.27.0.0/16 dev mesh table 77
ip route add 10.30.0.0/16 nexthop via 192.0.2.2 nexthop dev mesh
ip nexthop add id 9 dev mesh; ip route add 10.31.0.0/16 nhid 9 proto 87
ip -6 route add default via 2001:db8::1 dev uplink
ip -6 route add default dev mesh metric 8700 proto 87
ip -6 route add fd20::/64 dev mesh proto 87 src fd12::1 mtu 1320
ip -6 route add fd21::/64 via fd12::9 dev mesh proto static
ip -6 route add fd30::/64 nexthop via fd12::2 dev mesh nexthop via 2001:db8::2 dev uplink
ip -6 route add blackhole fd31::/64
ip -6 route add fd32::/64 dev mesh table 77
"""
NAMES = ("lo", "uplink", "mesh", "idle", "tiny", "ends", "otherend", "absent")
ASK = """
import json, sys
sys.path.insert(0, sys.argv[1])
from mesh.host.system import rtnetlink
names = sys.argv[2:]
print(json.dumps({
    "all": rtnetlink.addresses(),
    "addresses": {name: rtnetlink.addresses(name) for name in names},
    "kinds": {name: rtnetlink.link_kind(name) for name in names},
    "routes": {name: {version: rtnetlink.routes(version, name) for version in (4, 6)} for name in names},
    "defaults": {version: rtnetlink.default_routes(version) for version in (4, 6)},
}))
"""


def _in_space(script: str) -> str:
    done = subprocess.run(
        ["unshare", "-n", "sh", "-e", "-c", script], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def _read(tmp_path: Path, world: str) -> tuple[Any, Any]:
    """What the kernel tells, and what `ip` prints."""
    (tmp_path / "ask.py").write_text(ASK)
    lines = [f"cd {tmp_path}", "ip -j address >all"]
    lines += [f"ip -j -d link show dev {name} >link-{name} 2>&1 || true" for name in NAMES]
    lines += [f"ip -j address show dev {name} >address-{name} 2>&1 || true" for name in NAMES]
    lines += [
        f"ip -j -{version} route show dev {name} >route-{version}-{name} 2>/dev/null || true"
        for name in NAMES
        for version in (4, 6)
    ]
    root = Path(__file__).parents[4]
    asked = f"{sys.executable} ask.py {root} {' '.join(NAMES)}"
    told = json.loads(_in_space(f"{world}\n" + "\n".join([*lines, asked])))

    def printed(name: str) -> list[Any]:
        text = (tmp_path / name).read_text()
        return list(json.loads(text)) if text.startswith("[") else []

    return told, printed


def _interface(entry: Any) -> Any:
    """What the agent asks for of an interface as `ip` prints it."""
    keys = ("family", "local", "prefixlen", "scope", "address")
    return {
        "ifname": entry["ifname"],
        "flags": [flag for flag in entry["flags"] if flag == "UP"],
        "mtu": entry["mtu"],
        "addr_info": [{key: info[key] for key in keys if key in info} for info in entry["addr_info"]],
    }


def _route(entry: Any) -> Any:
    """What the agent asks for of a route as `ip` prints it."""
    shown = {key: entry[key] for key in ("metric", "prefsrc", "gateway") if key in entry}
    sizes = [{"mtu": each["mtu"]} for each in entry.get("metrics", []) if "mtu" in each]
    shown |= {"metrics": sizes} if sizes else {}
    dst = entry["dst"] if entry["dst"] == "default" else str(ipaddress.ip_network(entry["dst"]))
    return {"dst": dst, "protocol": entry.get("protocol", "boot"), **shown}


def test_interfaces_and_addresses_are_those_that_ip_prints(tmp_path: Path) -> None:
    told, printed = _read(tmp_path, WORLD)
    assert told["all"] == [_interface(entry) for entry in printed("all")]
    assert len(told["all"]) == len(NAMES) - 1
    for name in NAMES:
        assert told["addresses"][name] == [_interface(entry) for entry in printed(f"address-{name}")], name
    (mesh,) = told["addresses"]["mesh"]
    assert (mesh["mtu"], mesh["flags"]) == (1420, ["UP"])
    assert {"family": "inet6", "local": "fd12::1", "prefixlen": 64, "scope": "global"} in mesh["addr_info"]
    assert told["addresses"]["idle"][0]["flags"] == told["addresses"]["absent"] == []
    (ends,) = told["addresses"]["ends"]
    assert [info.get("address") for info in ends["addr_info"][:2]] == ["10.50.0.2", "fd50::2"]


def test_the_kind_of_an_interface_is_that_which_ip_prints(tmp_path: Path) -> None:
    told, printed = _read(tmp_path, WORLD)
    for name in NAMES[:-1]:
        (entry,) = printed(f"link-{name}")
        assert told["kinds"][name] == entry.get("linkinfo", {}).get("info_kind", ""), name
    assert (told["kinds"]["mesh"], told["kinds"]["ends"], told["kinds"]["absent"]) == ("bridge", "veth", None)


def test_routes_are_those_that_ip_prints(tmp_path: Path) -> None:
    told, printed = _read(tmp_path, WORLD)
    seen = 0
    for name in NAMES:
        for version in (4, 6):
            wanted = [_route(entry) for entry in printed(f"route-{version}-{name}")]
            found = [_route(entry) for entry in told["routes"][name][str(version)]]
            assert found == wanted, (name, version)
            seen += len(found)
    assert seen > 25
    assert told["defaults"] == {"4": ["uplink", "mesh"], "6": ["uplink", "mesh"]}


def test_a_default_route_of_several_ways_names_all_their_interfaces(tmp_path: Path) -> None:
    several = "default nexthop via 192.0.2.1 dev uplink nexthop dev mesh"
    world = WORLD.replace("default via 192.0.2.1", several)
    assert _read(tmp_path, world)[0]["defaults"]["4"] == ["uplink", "mesh"]


def test_a_host_without_addresses_has_none(tmp_path: Path) -> None:
    told, _printed = _read(tmp_path, "")
    assert [entry["addr_info"] for entry in told["all"]] == [[]]
    assert told["defaults"] == {"4": [], "6": []}


def test_thousands_of_routes_come_whole(tmp_path: Path) -> None:
    """More than one message of the kernel holds."""
    many = "\n".join(f"route add 10.{a}.{b}.0/24 dev mesh" for a in range(100, 110) for b in range(250))
    (tmp_path / "many").write_text(many)
    told, _printed = _read(tmp_path, f"{WORLD}\nip -batch {tmp_path}/many")
    assert len([route for route in told["routes"]["mesh"]["4"] if route["dst"].endswith("/24")]) > 2500
    assert told["defaults"]["4"] == ["uplink", "mesh"]
