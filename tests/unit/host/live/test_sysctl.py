from pathlib import Path

import pytest

from mesh.host.answers import AgentError
from mesh.host.files.settings import parse_sysctls
from mesh.host.live.sysctl import check_sysctls, originals_after, read_sysctls, set_sysctls


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
    "line",
    [
        "net.ipv4.ip_forward=1",
        "-net.x = 1",
        "kernel.kptr_restrict = 2",
        "net.core.bpf_jit_harden = 2",
        "a.b =",
        "/etc = 1",
        "a..b = 1",
        "a = 1\na = 2",
    ],
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


def test_keys_of_the_whole_machine_have_a_mark_and_keep_their_name() -> None:
    text = "-kernel.kptr_restrict = 2\n-fs.protected_fifos = 2\n-net.core.bpf_jit_harden = 2\n"
    assert list(parse_sysctls(text, where="x")) == [
        "kernel.kptr_restrict",
        "fs.protected_fifos",
        "net.core.bpf_jit_harden",
    ]


def test_what_a_container_may_not_set_is_left_alone(proc: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = {"kernel.kptr_restrict": "2", "kernel.dmesg_restrict": "1", "net.ipv4.ip_forward": "1"}
    (proc / "kernel").mkdir()
    (proc / "kernel" / "kptr_restrict").write_text("0\n")
    # as on a read-only /proc/sys, which root cannot be shown without mounting one
    monkeypatch.setattr("os.access", lambda path, _mode: "kernel" not in str(path))
    check_sysctls(proc, wanted, where="x")
    assert read_sysctls(proc, wanted) == {"net.ipv4.ip_forward": "0"}
    assert set_sysctls(proc, wanted) == 1
    assert (proc / "kernel" / "kptr_restrict").read_text() == "0\n"


def test_a_value_the_kernel_never_lets_go_is_left_alone(proc: Path) -> None:
    (proc / "kernel" / "yama").mkdir(parents=True)
    wanted = {"kernel.unprivileged_bpf_disabled": "2", "kernel.yama.ptrace_scope": "1"}
    (proc / "kernel" / "unprivileged_bpf_disabled").write_text("1\n")
    (proc / "kernel" / "yama" / "ptrace_scope").write_text("0\n")
    assert read_sysctls(proc, wanted) == {"kernel.yama.ptrace_scope": "0"}
    assert set_sysctls(proc, wanted) == 1
    assert (proc / "kernel" / "unprivileged_bpf_disabled").read_text() == "1\n"


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
