import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mesh.host.files.document import SYSCTL, parse_document
from mesh.host.files.settings import parse_sysctls
from mesh.host.live.sysctl import check_sysctls
from tests.unit.meshes import documents_of, plan_of

REPOSITORY = Path(__file__).parents[3]
BASELINE = {
    **{
        f"net.ipv4.conf.{scope}.{key}": value
        for scope in ("all", "default")
        for key, value in {
            "rp_filter": "2",
            "accept_redirects": "0",
            "send_redirects": "0",
            "accept_source_route": "0",
        }.items()
    },
    **{
        f"net.ipv6.conf.{scope}.{key}": "0"
        for scope in ("all", "default")
        for key in ("accept_redirects", "accept_source_route")
    },
    "net.ipv4.conf.all.log_martians": "1",
    "net.ipv4.icmp_echo_ignore_broadcasts": "1",
    "net.ipv4.tcp_syncookies": "1",
    "kernel.kptr_restrict": "2",
    "kernel.dmesg_restrict": "1",
    "kernel.unprivileged_bpf_disabled": "2",
    "kernel.yama.ptrace_scope": "1",
    "net.core.bpf_jit_harden": "2",
    "fs.protected_hardlinks": "1",
    "fs.protected_symlinks": "1",
    "fs.protected_fifos": "2",
    "fs.protected_regular": "2",
}


def _file(**node: Any) -> str:
    mesh = {"cidr": "10.10.0.0/24", "nodes": {"a": {"address": "10.10.0.1", **node}}}
    return parse_document(documents_of(plan_of(mesh))["a"].encode()).files[SYSCTL]


def test_every_node_gets_the_baseline() -> None:
    assert parse_sysctls(_file(), where="a") == BASELINE


def test_a_node_that_forwards_gets_that_first_because_it_changes_other_keys() -> None:
    found = parse_sysctls(_file(forward=True), where="a")
    assert next(iter(found)) == "net.ipv4.ip_forward"
    assert found == {"net.ipv4.ip_forward": "1", **BASELINE}


def test_this_kernel_knows_every_key() -> None:
    check_sysctls(Path("/proc/sys"), BASELINE, where="a")


# Sets what the file says of the network, in a namespace made for it, as the agent does.
_APPLY = """
import sys
from pathlib import Path
from mesh.host.files.settings import parse_sysctls
from mesh.host.live.sysctl import set_sysctls
root = Path("/proc/sys")
for text in sys.stdin.read().split("\\0"):
    wanted = parse_sysctls(text, where="a")
    own = {key: value for key, value in wanted.items() if key.startswith(("net.ipv4", "net.ipv6"))}
    set_sysctls(root, own)
    assert set_sysctls(root, own) == 0
print("held")
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root")
def test_hardening_holds_when_forwarding_is_switched_on_and_off() -> None:
    off = "net.ipv4.ip_forward = 0\n"
    stages = [_file(), _file(forward=True), off + _file(), _file(forward=True)]
    done = subprocess.run(
        ["unshare", "--net", sys.executable, "-c", _APPLY],
        input="\0".join(stages),
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "held\n"), done.stderr
