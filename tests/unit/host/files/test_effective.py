from pathlib import Path

import pytest

from mesh.host.files.effective import base_key, on_interfaces, patterns, with_later_interfaces
from mesh.host.live.sysctl import (
    forwarding_first,
    originals_after,
    read_sysctls,
    set_sysctls,
    side_effects,
    sysctl_differences,
)

WANTED = {
    "net.ipv4.conf.all.accept_redirects": "0",
    "net.ipv4.conf.default.accept_redirects": "0",
    "net.ipv4.conf.all.rp_filter": "2",
    "net.ipv4.conf.all.log_martians": "1",
    "net.ipv6.conf.all.accept_redirects": "0",
    "net.ipv6.conf.all.accept_source_route": "0",
    "net.ipv4.ip_forward": "1",
}
TOLD = ("net.ipv4.conf.{}.accept_redirects", "net.ipv6.conf.{}.accept_redirects")


def make(root: Path, *interfaces: str, families: tuple[str, ...] = ("ipv4", "ipv6")) -> None:
    for family in families:
        for interface in interfaces:
            for name in ("accept_redirects", "accept_source_route", "rp_filter", "log_martians"):
                path = root / "net" / family / "conf" / interface / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text("1\n")
    (root / "net" / "ipv4" / "ip_forward").write_text("1\n")


def value(root: Path, interface: str, family: str = "ipv4") -> str:
    return (root / "net" / family / "conf" / interface / "accept_redirects").read_text().strip()


def test_each_interface_is_told_what_all_does_not_decide(tmp_path: Path) -> None:
    make(tmp_path, "all", "default", "lo", "eth0", "eth0.100")
    found = on_interfaces(tmp_path, WANTED)
    own = {each.format(name) for each in TOLD for name in ("lo", "eth0", "eth0/100")}
    assert found.keys() == {*WANTED, *own}
    assert {found[key] for key in own} == {"0"}
    set_sysctls(tmp_path, found)
    assert value(tmp_path, "eth0.100") == value(tmp_path, "eth0.100", "ipv6") == "0"


def test_a_host_without_ipv6_is_told_of_ipv4(tmp_path: Path) -> None:
    make(tmp_path, "all", "default", "eth0", families=("ipv4",))
    assert on_interfaces(tmp_path, WANTED).keys() == {*WANTED, "net.ipv4.conf.eth0.accept_redirects"}


def test_what_is_given_for_one_interface_stays(tmp_path: Path) -> None:
    make(tmp_path, "all", "eth0")
    own = {"net.ipv4.conf.eth0.accept_redirects": "1"}
    assert on_interfaces(tmp_path, {**WANTED, **own})["net.ipv4.conf.eth0.accept_redirects"] == "1"


@pytest.mark.parametrize(
    ("key", "told"), [("rp_filter", "1"), ("log_martians", "0"), ("send_redirects", "0")]
)
def test_a_value_that_an_interface_can_outweigh_is_told_to_each(key: str, told: str) -> None:
    assert f"-net.ipv4.conf.*.{key} = {told}\n" in patterns({f"net.ipv4.conf.all.{key}": told})
    assert "-net" not in patterns({f"net.ipv4.conf.all.{key}": "2" if key == "rp_filter" else "1"})


def test_the_patterns_are_for_interfaces_to_come() -> None:
    assert [line for line in patterns(WANTED).splitlines() if not line.startswith("#")] == [
        "-net.ipv4.conf.*.accept_redirects = 0",
        "-net.ipv6.conf.*.accept_redirects = 0",
    ]


def test_a_thousand_interfaces_are_no_thousand_lines(tmp_path: Path) -> None:
    make(tmp_path, "all", "default", *(f"veth{number}" for number in range(1000)))
    set_sysctls(tmp_path, WANTED)
    wanted = on_interfaces(tmp_path, WANTED)
    found = sysctl_differences(tmp_path, wanted)
    assert (len(found), found[-1].live) == (21, "1980 more, like these")
    assert found[0].item == "sysctl net.ipv4.conf.veth0.accept_redirects"
    assert set_sysctls(tmp_path, wanted) == 2000
    assert sysctl_differences(tmp_path, wanted) == []


def test_an_interface_that_goes_away_meanwhile_is_no_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path, "all", "default", "veth0")
    wanted = on_interfaces(tmp_path, WANTED)
    gone = tmp_path / "net" / "ipv4" / "conf" / "veth0" / "accept_redirects"
    write = Path.write_text

    def vanish(path: Path, text: str) -> int:
        if path == gone:
            path.unlink()
            raise FileNotFoundError(path)
        return write(path, text)

    monkeypatch.setattr(Path, "write_text", vanish)
    set_sysctls(tmp_path, wanted)
    assert not gone.exists()


def test_interfaces_that_began_with_our_default_go_back_to_their_own_value(tmp_path: Path) -> None:
    make(tmp_path, "all", "default", "eth0")
    eth0, docker0 = (f"net.ipv4.conf.{name}.rp_filter" for name in ("eth0", "docker0"))
    wanted = {"net.ipv4.conf.all.rp_filter": "2", "net.ipv4.conf.default.rp_filter": "2"}
    assert on_interfaces(tmp_path, wanted) == wanted, "`all` decides"
    assert side_effects(tmp_path, wanted) == {eth0: ""}
    originals = originals_after({}, read_sysctls(tmp_path, {**wanted, eth0: ""}), wanted)
    assert originals == {**dict.fromkeys(wanted, "1"), eth0: "1"}
    make(tmp_path, "docker0")
    assert with_later_interfaces(tmp_path, originals) == {**originals, docker0: "1"}


def test_each_interface_goes_back_to_its_own_value(tmp_path: Path) -> None:
    ipv4 = {key: value for key, value in WANTED.items() if "ipv6" not in key}
    eth0, lo, new = (f"net.ipv4.conf.{name}.accept_redirects" for name in ("eth0", "lo", "docker0"))
    before = {**dict.fromkeys(ipv4, "1"), eth0: "0", lo: "1"}
    originals = originals_after({}, before, ipv4)
    assert originals == before
    make(tmp_path, "all", "default", "lo", "eth0", "docker0")
    later = originals_after(originals, {**dict.fromkeys([eth0, lo, new], "0"), **ipv4}, ipv4)
    assert later == {**before, new: "1"}, "what docker0 would have got from `default`"
    assert with_later_interfaces(tmp_path, originals) == later
    assert originals_after(originals, {new: "1"}, ipv4)[new] == "1", "somebody's own value"
    assert originals_after(originals, {}, {"net.ipv4.ip_forward": "1"}) == {"net.ipv4.ip_forward": "1"}


def test_forwarding_goes_back_before_what_it_rewrites() -> None:
    keys = ["net.ipv4.conf.all.accept_redirects", "net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"]
    assert forwarding_first(keys)[-1] == "net.ipv4.conf.all.accept_redirects"
    assert base_key("net.ipv4.ip_forward") == "net.ipv4.ip_forward"
