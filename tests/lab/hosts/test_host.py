"""The life of a host, as its root user and as the cloud see it."""

import subprocess
from pathlib import Path

import pytest

from lab.hosts import HostError, HostSpec, Lab
from lab.testing import wait
from tests.lab.hosts.world import Host, World

pytestmark = pytest.mark.hosts


def test_a_host_is_a_whole_machine(one: Host) -> None:
    assert one.inside("cat /proc/1/comm") == "systemd"
    assert one.inside("systemctl is-system-running --wait || true") in {"running", "degraded"}
    assert one.inside("systemctl list-units --failed --plain --no-legend") == ""
    assert one.inside("hostname; cat /etc/hostname").split() == ["lab-one", "lab-one"]
    assert one.inside("systemctl is-active ssh").strip() == "active"


def test_a_host_changes_its_own_network_settings_and_none_of_this_machine(one: Host) -> None:
    here = Path("/proc/sys/net/ipv4/ip_forward").read_text()
    one.inside("sysctl -w net.ipv4.ip_forward=1 net.ipv4.conf.all.rp_filter=2")
    assert Path("/proc/sys/net/ipv4/ip_forward").read_text() == here
    one.inside("sysctl -w net.ipv4.ip_forward=0")
    assert one.run("cat /proc/sys/kernel/panic >/proc/sys/kernel/panic").returncode != 0


def test_a_command_in_a_host_may_do_what_the_host_may_and_no_more(one: Host) -> None:
    """Among the rest: not set the clock, load modules or write to raw devices, which are this machine's."""
    mine = int(one.inside("grep CapEff /proc/self/status").split()[1], 16)
    assert mine == int(one.inside("grep CapBnd /proc/1/status").split()[1], 16)
    for number in (16, 17, 25):  # CAP_SYS_MODULE, CAP_SYS_RAWIO, CAP_SYS_TIME: capability.h
        assert not mine & 1 << number


def test_a_host_sees_no_process_or_file_of_this_machine(one: Host) -> None:
    assert one.run(f"test -e {Path(__file__)}").returncode != 0
    assert "pytest" not in one.inside("cat /proc/[0-9]*/cmdline | tr '\\0' ' '")
    assert one.inside("ls /sys/class/net").split() == ["eth0", "lo"]


def test_hosts_differ_in_what_must_be_unique(one: Host, two: Host) -> None:
    for question in (
        "cat /etc/machine-id",
        "cat /etc/ssh/ssh_host_ed25519_key.pub",
        "cat /sys/class/net/eth0/address",
    ):
        assert one.inside(question) != two.inside(question)


def test_reboot_from_inside_comes_back_by_itself(one: Host) -> None:
    one.inside("touch /root/kept /run/forgotten")
    before = one.record()
    one.run("systemctl reboot")
    wait(lambda: one.record()["leader"] != before["leader"])
    one.wait_booted()
    assert one.record()["supervisor"] == before["supervisor"]
    assert one.inside("ls /root/kept /run/forgotten 2>/dev/null || true") == "/root/kept"
    assert one.inside("ip -4 -o address show eth0 | cut -d' ' -f7") == f"{one.address}/32"


def test_a_command_under_way_in_a_host_that_reboots_ends_with_it(one: Host) -> None:
    before = one.record()
    words = one.world.lab.enter("one", ["sleep", "300"])
    with subprocess.Popen(words, stdin=subprocess.DEVNULL) as sleeping:
        one.run("systemctl reboot")
        wait(lambda: one.record()["leader"] != before["leader"])
        assert sleeping.wait(timeout=60) != 0
    one.wait_booted()


def test_poweroff_from_inside_stays_off_and_start_keeps_the_disk(two: Host) -> None:
    lab = two.world.lab
    two.inside("echo data >/root/kept")
    two.run("systemctl poweroff")
    wait(lambda: two.state == "off")
    with pytest.raises(HostError, match="is off"):
        lab.enter("two", ["true"])
    lab.start("two")
    two.wait_booted()
    assert two.inside("cat /root/kept") == "data"


def test_stop_is_orderly_or_cuts_the_power(two: Host) -> None:
    lab = two.world.lab
    witness = "-p RemainAfterExit=yes -p 'ExecStop=/bin/sh -c \"echo stopped >/root/stopped\"' true"
    for graceful, expected in ((True, "stopped"), (False, "")):
        two.inside(f"rm -f /root/stopped; systemd-run -q --unit=witness {witness}")
        wait(lambda: two.inside("systemctl is-active witness || true") == "active")
        lab.stop("two", graceful=graceful)
        assert two.state == "off"
        lab.start("two")
        two.wait_booted()
        assert two.inside("cat /root/stopped || true") == expected


def test_start_and_stop_twice_is_once(one: Host) -> None:
    lab = one.world.lab
    before = one.record()
    lab.start("one")
    assert one.record() == before
    lab.stop("one")
    lab.stop("one")
    assert one.state == "off"
    lab.start("one")
    one.wait_booted()


def test_destroy_leaves_nothing_of_a_running_host(shared: World) -> None:
    shared.create("gone", number=30)
    shared.lab.start("gone")
    shared.lab.destroy("gone")
    assert [trace for trace in shared.traces() if "gone" in trace] == []
    assert [path.name for path in (shared.folder / "hosts").iterdir() if "gone" in path.name] == []
    assert "gone" not in shared.lab.states()
    shared.lab.destroy("gone")


def test_another_address_counts_from_the_next_start(two: Host) -> None:
    lab, old = two.world.lab, two.address
    with pytest.raises(HostError, match="stop the host before you change its address"):
        lab.readdress("two", str(lab.pool[99]))
    for address in (str(lab.pool[99]), old):
        lab.stop("two")
        lab.readdress("two", address)
        lab.start("two")
        two.wait_booted()
        assert two.inside("ip -4 -o address show eth0 | cut -d' ' -f7") == f"{address}/32"


def test_a_host_without_an_address_boots(shared: World) -> None:
    shared.lab.create(
        HostSpec(key="dark", hostname="dark", address=None, user_data="", public_keys=[], instance_id="dark")
    )
    shared.lab.start("dark")
    dark = Host(shared, "dark", "")
    assert dark.inside("ip -4 -o address show eth0") == ""
    shared.lab.destroy("dark")


@pytest.mark.parametrize("key", ["", "much-too-long", "../up", "ünicode"])
def test_unusable_keys_are_refused(shared: World, key: str) -> None:
    with pytest.raises(HostError, match="letters and digits"):
        shared.create(key, number=40)


def test_what_is_not_there_is_named(shared: World, one: Host) -> None:
    with pytest.raises(HostError, match="host 'nobody' does not exist"):
        shared.lab.start("nobody")
    with pytest.raises(HostError, match="already"):
        shared.create("one", number=40)
    with pytest.raises(HostError, match=r"its image 'debian-12' is not in .*; build it with"):
        Lab(shared.folder, shared.folder / "no-images").create(
            HostSpec(key="x", hostname="x", address=None, user_data="", public_keys=[], instance_id="x")
        )
