"""Private networks: interfaces that come and go in running hosts, apart from the public network."""

from collections.abc import Iterator

import pytest

from lab.hosts import Interface, Lab, PrivateNetwork, Rule
from lab.testing import wait
from tests.lab.hosts.world import Host, World, reaches

pytestmark = pytest.mark.hosts


def at(
    number: int,
    address: str,
    *,
    name: str = "enp7s0",
    network: str = "1",
    aliases: str = "",
    second: int = 0,
) -> Interface:
    """Return an interface in the network 10.<second>.0.0/16."""
    return Interface(
        network=network,
        name=name,
        mac=f"86:00:00:00:{int(network):02x}:{number:02x}",
        address=address,
        ip_range=f"10.{second}.0.0/16",
        gateway=f"10.{second}.0.1",
        aliases=tuple(aliases.split()),
    )


@pytest.fixture
def lab(shared: World) -> Iterator[Lab]:
    """Two networks with the same range."""
    for key in ("1", "2"):
        shared.lab.set_network(key, PrivateNetwork())
    yield shared.lab
    for machine in shared.lab.machines():
        shared.lab.set_interfaces(machine.key, [])
    for key in ("1", "2"):
        shared.lab.set_network(key, None)


def addresses(host: Host) -> str:
    return host.inside("ip -4 -o addr")


def pings(host: Host, address: str, options: str = "") -> bool:
    return host.run(f"ping -c 1 -W 2 {options} {address}").returncode == 0


def test_running_hosts_are_plugged_in(lab: Lab, one: Host, two: Host) -> None:
    lab.set_interfaces("one", [at(1, "10.0.1.1")])
    lab.set_interfaces("two", [at(2, "10.0.2.1")])
    wait(lambda: pings(one, "10.0.2.1"))
    assert "enp7s0" in addresses(one)
    link = one.inside("ip link show enp7s0")
    assert "mtu 1450" in link
    assert "86:00:00:00:01:01" in link
    assert one.inside("ip route get 10.0.2.1").startswith("10.0.2.1 via 10.0.0.1 dev enp7s0")
    assert pings(one, "10.0.2.1", "-M do -s 1422")  # 1450 less 28
    assert not pings(one, "10.0.2.1", "-M do -s 1423")
    lab.set_interfaces("one", [])
    assert "enp7s0" not in one.inside("ip link")
    assert not pings(two, "10.0.1.1")


def test_networks_are_apart(lab: Lab, one: Host, two: Host) -> None:
    lab.set_interfaces("one", [at(1, "10.0.1.1")])
    lab.set_interfaces("two", [at(2, "10.0.2.1", network="2")])
    wait(lambda: "10.0.1.1" in addresses(one) and "10.0.2.1" in addresses(two))
    assert pings(one, "10.0.0.1")
    assert not pings(one, "10.0.2.1")


def test_the_clouds_firewall_is_not_on_a_private_network(lab: Lab, one: Host, two: Host) -> None:
    lab.set_interfaces("one", [at(1, "10.0.1.1")])
    lab.set_interfaces("two", [at(2, "10.0.2.1")])
    lab.set_firewall("two", [Rule(direction="in", protocol="tcp", port="1", networks=("0.0.0.0/0",))])
    try:
        wait(lambda: pings(one, "10.0.2.1"))
        assert not pings(one, two.address)
    finally:
        lab.set_firewall("two", None)


def test_aliases_reach_the_host_that_configures_them(lab: Lab, one: Host, two: Host) -> None:
    lab.set_interfaces("one", [at(1, "10.0.1.1")])
    lab.set_interfaces("two", [at(2, "10.0.2.1", aliases="10.0.2.9")])
    wait(lambda: pings(one, "10.0.2.1"))
    two.inside("ip addr add 10.0.2.9/32 dev enp7s0")
    assert pings(one, "10.0.2.9")
    lab.set_interfaces("two", [at(2, "10.0.2.1")])
    assert not pings(one, "10.0.2.9")
    assert "10.0.2.9" in addresses(two)  # the interface stayed as it was


def test_a_networks_route_leads_to_a_host(lab: Lab, one: Host, two: Host) -> None:
    lab.set_interfaces("one", [at(1, "10.0.1.1")])
    lab.set_interfaces("two", [at(2, "10.0.2.1")])
    wait(lambda: pings(one, "10.0.2.1"))
    one.inside("ip route add 192.168.7.0/24 via 10.0.0.1 dev enp7s0")
    two.inside("ip addr add 192.168.7.1/32 dev lo")
    assert not pings(one, "192.168.7.1")
    lab.set_network("1", PrivateNetwork(routes=(("192.168.7.0/24", "10.0.2.1"),)))
    assert pings(one, "192.168.7.1")


def test_a_host_keeps_its_networks_over_reboots_and_while_off(lab: Lab, one: Host, two: Host) -> None:
    lab.set_interfaces("one", [at(1, "10.0.1.1")])
    lab.stop("two")
    lab.set_interfaces("two", [at(2, "10.0.2.1"), at(3, "10.1.3.1", network="2", name="enp8s0", second=1)])
    lab.start("two")
    wait(lambda: pings(one, "10.0.2.1"))
    wait(lambda: "10.1.3.1" in addresses(two))
    Lab(one.world.folder, one.world.folder).up()  # another process finds all as it is
    leader = two.record()["leader"]
    two.run("systemctl reboot")
    wait(lambda: two.state == "running" and two.record()["leader"] != leader)
    wait(lambda: pings(one, "10.0.2.1"))


def test_ipv6_between_hosts_and_through_firewalls(world: World) -> None:
    lab, networks = world.lab, list(world.lab.pool6.subnets(new_prefix=64))
    one, two = (
        world.boot(key, number=number, network6=str(networks[number]))
        for key, number in (("one", 10), ("two", 11))
    )
    address = str(networks[11][1])
    wait(lambda: pings(one, address))
    wait(lambda: reaches(address, 22))  # from this machine too
    lab.set_firewall("two", [Rule(direction="in", protocol="tcp", port="22", networks=("::/0",))])
    assert not pings(one, address)
    assert one.run(f"nc -6 -z -w 2 {address} 22").returncode == 0
    assert one.run(f"nc -z -w 1 {two.address} 22").returncode != 0
    lab.set_firewall("two", [Rule(direction="in", protocol="icmp", port=None, networks=(f"{networks[10]}",))])
    assert pings(one, address)
