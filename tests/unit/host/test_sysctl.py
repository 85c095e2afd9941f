from pathlib import Path

import pytest

from mesh.host.answers import AgentError
from mesh.host.sysctl import check_sysctls, originals_after, parse_sysctls, read_sysctls, set_sysctls


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    for key, value in (
        ("ipv4/ip_forward", "0"),
        ("ipv4/conf/all/rp_filter", "0"),
        ("ipv4/tcp_rmem", "1\t2\t3"),
    ):
        path = tmp_path / "net" / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{value}\n")
    return tmp_path


def test_a_file_is_read_line_by_line() -> None:
    text = "# comment\n\nnet.ipv4.ip_forward = 1\nnet.ipv4.tcp_rmem = 4096  87380\t6291456\n"
    assert parse_sysctls(text, where="x") == {
        "net.ipv4.ip_forward": "1",
        "net.ipv4.tcp_rmem": "4096 87380 6291456",
    }


@pytest.mark.parametrize(
    "line", ["net.ipv4.ip_forward=1", "-net.x = 1", "a.b =", "/etc = 1", "a..b = 1", "a = 1\na = 2"]
)
def test_a_wrong_line_is_refused(line: str) -> None:
    with pytest.raises(AgentError, match="x line"):
        parse_sysctls(line, where="x")


def test_only_what_differs_is_written(proc: Path) -> None:
    wanted = {"net.ipv4.ip_forward": "0", "net.ipv4.conf.all.rp_filter": "2", "net.ipv4.tcp_rmem": "1 2 3"}
    assert set_sysctls(proc, wanted) == 1
    assert set_sysctls(proc, wanted) == 0
    assert read_sysctls(proc, wanted) == wanted


def test_an_unknown_key_is_refused_but_ipv6_may_be_switched_off(proc: Path) -> None:
    check_sysctls(proc, {"net.ipv4.ip_forward": "1", "net.ipv6.conf.all.forwarding": "1"}, where="x")
    with pytest.raises(AgentError, match=r"no net\.ipv4\.nonsense"):
        check_sysctls(proc, {"net.ipv4.nonsense": "1"}, where="x")


@pytest.mark.parametrize(
    ("originals", "live", "wanted", "expected"),
    [
        ({}, {"a": "0", "b": "5"}, {"a": "1"}, {"a": "0"}),
        ({"a": "0"}, {"a": "1"}, {"a": "2"}, {"a": "0"}),
        ({"a": "0", "b": "5"}, {"a": "1", "b": "6"}, {"b": "6"}, {"b": "5"}),
        ({}, {}, {"absent": "1"}, {}),
    ],
)
def test_the_first_value_seen_is_the_one_to_go_back_to(
    originals: dict[str, str], live: dict[str, str], wanted: dict[str, str], expected: dict[str, str]
) -> None:
    assert originals_after(originals, live, wanted) == expected
