"""Hosts on which IPv6 is switched off, by whichever of the kernel's switches."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from mesh.host.answers import AgentError, Answer
from mesh.host.files.document import parse_document
from mesh.host.files.generation import Generation, as_generation
from mesh.host.live.ipv6 import as_far_as_possible, require_ipv6
from mesh.host.places import Places
from mesh.host.tunnel import WG0
from tests.unit.meshes import documents_of, plan_of

REMEDY = "or take `cidr6` out of the stack file"


@dataclass
class Host:
    places: Places

    @property
    def conf(self) -> Path:
        return self.places.sysctls / "net/ipv6/conf"

    def switch(self, name: str, value: str) -> None:
        (self.conf / name).mkdir(parents=True, exist_ok=True)
        (self.conf / name / "disable_ipv6").write_text(f"{value}\n")


@pytest.fixture
def host(tmp_path: Path) -> Host:
    made = Host(Places(tmp_path))
    for name in ("all", "default", "eth0"):
        made.switch(name, "0")
    return made


def _generation(places: Places, **mesh: object) -> Generation:
    nodes = {"a": {"address": "10.10.0.1"}, "b": {"address": "10.10.0.2"}}
    text = documents_of(plan_of({"cidr": "10.10.0.0/24", "nodes": nodes, **mesh}))["a"]
    return as_generation(places, parse_document(text.encode()))


def _refusal(host: Host) -> str:
    with pytest.raises(AgentError) as error:
        require_ipv6(host.places, WG0, _generation(host.places, cidr6="fd00:10::/64").file)
    assert error.value.answer is Answer.REFUSED
    return str(error.value)


def test_a_host_with_ipv6_and_a_mesh_without_are_fine(host: Host) -> None:
    require_ipv6(host.places, WG0, _generation(host.places, cidr6="fd00:10::/64").file)
    host.switch("eth0", "1")  # somebody else's interface
    require_ipv6(host.places, WG0, _generation(host.places, cidr6="fd00:10::/64").file)
    host.switch("default", "1")
    require_ipv6(host.places, WG0, _generation(host.places).file)


@pytest.mark.parametrize("name", ["default", "wg0"])
def test_the_switch_that_is_off_is_named_with_the_remedy(host: Host, name: str) -> None:
    host.switch(name, "1")
    key = f"net.ipv6.conf.{name}.disable_ipv6"
    assert f"fd00:10::1/64: {key} is 1 on this host, so wg0 cannot have an IPv6 address: set {key} = 0" in (
        told := _refusal(host)
    )
    assert told.endswith(REMEDY)


def test_the_file_that_switches_ipv6_off_is_named(host: Host) -> None:
    host.switch("default", "1")
    folder = host.places.root / "etc/sysctl.d"
    folder.mkdir(parents=True)
    (folder / "10-other.conf").write_text("net.ipv6.conf.all.disable_ipv6 = 0\n")
    (folder / "70-no-ipv6.conf").write_text("# ours\nnet.ipv6.conf.all.disable_ipv6=1\n")
    assert f"is 1 on this host (by {folder}/70-no-ipv6.conf), so" in _refusal(host)


def test_a_kernel_without_ipv6_is_told(tmp_path: Path) -> None:
    told = _refusal(Host(Places(tmp_path)))
    assert "fd00:10::1/64: the kernel of this host has no IPv6: take `ipv6.disable=1` off" in told
    assert told.endswith(REMEDY)


def test_after_a_restart_without_ipv6_the_interface_has_its_ipv4(host: Host) -> None:
    both = _generation(host.places, cidr6="fd00:10::/64")
    assert as_far_as_possible(host.places, WG0, both) == both
    host.switch("wg0", "1")
    alone = _generation(host.places)
    assert as_far_as_possible(host.places, WG0, both).file == alone.file
    assert as_far_as_possible(host.places, WG0, alone) == alone
