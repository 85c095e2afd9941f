"""The cloud's network: what reaches whom, and the firewalls on the way."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.hosts import HostError, Lab, Rule
from lab.hosts.errors import run
from lab.hosts.router import ruleset
from lab.testing import wait
from tests.examples import examples
from tests.lab.hosts.world import Host, World, output, reaches

pytestmark = pytest.mark.hosts

EVERYWHERE = ("0.0.0.0/0", "::/0")


def inbound(port: str | None, *networks: str, protocol: str = "tcp") -> Rule:
    return Rule(direction="in", protocol=protocol, port=port, networks=networks or EVERYWHERE)  # type: ignore[arg-type]


def outbound(port: str | None, *networks: str, protocol: str = "tcp") -> Rule:
    return Rule(direction="out", protocol=protocol, port=port, networks=networks or EVERYWHERE)  # type: ignore[arg-type]


@pytest.fixture
def pair(one: Host, two: Host) -> Iterator[tuple[Host, Host]]:
    """Two hosts that serve 80 and 81, without firewalls."""
    for host in (one, two):
        for port in (80, 81):
            host.run(f"systemctl is-active -q web-{port} || systemd-run -q --unit=web-{port} nc -lk {port}")
        wait(lambda host=host: reaches(host.address, 80) and reaches(host.address, 81))  # type: ignore[misc]
    yield one, two
    for host in (one, two):
        host.world.lab.set_firewall(host.key, None)


def test_hosts_reach_each_other_with_full_packets(pair: tuple[Host, Host]) -> None:
    one, two = pair
    one.inside(f"ping -c 1 -W 2 -M do -s 1472 {two.address}")
    two.inside(f"ping -c 1 -W 2 -M do -s 1472 {one.address}")


def test_nothing_leaves_the_lab(pair: tuple[Host, Host]) -> None:
    one, _ = pair
    assert one.run("ping -c 1 -W 1 192.0.2.1").returncode != 0
    machine = str(one.world.lab.pool[1])
    assert one.run(f"ping -c 1 -W 1 {machine}").returncode != 0  # nor does a host knock at this machine
    assert reaches(one.address, 80)  # while this machine reaches it


def test_a_firewall_lets_in_what_its_rules_say(pair: tuple[Host, Host]) -> None:
    one, two = pair
    one.world.lab.set_firewall("two", [inbound("80"), inbound("81", f"{one.address}/32")])
    assert reaches(two.address, 80)
    assert not reaches(two.address, 81)
    assert one.reaches(two, 81)
    assert one.run(f"ping -c 1 -W 1 {two.address}").returncode != 0
    one.world.lab.set_firewall("two", [inbound(None, protocol="icmp"), inbound("80-81")])
    assert one.run(f"ping -c 1 -W 1 {two.address}").returncode == 0
    assert reaches(two.address, 81)


def test_replies_pass_a_firewall_that_lets_nothing_in(pair: tuple[Host, Host]) -> None:
    one, two = pair
    one.world.lab.set_firewall("one", [])
    assert one.reaches(two, 80)
    assert one.run(f"ping -c 1 -W 1 {two.address}").returncode == 0
    assert not two.reaches(one, 80)
    one.world.lab.set_firewall("one", None)
    assert two.reaches(one, 80)


def test_outbound_rules_limit_where_a_host_connects_to(pair: tuple[Host, Host]) -> None:
    one, two = pair
    one.world.lab.set_firewall("one", [inbound("80"), outbound("80")])
    assert one.reaches(two, 80)
    assert not one.reaches(two, 81)
    assert reaches(one.address, 80)


def test_what_one_firewall_lets_out_another_may_not_let_in(pair: tuple[Host, Host]) -> None:
    one, two = pair
    one.world.lab.set_firewall("one", [outbound("80-81")])
    one.world.lab.set_firewall("two", [inbound("80")])
    assert one.reaches(two, 80)
    assert not one.reaches(two, 81)


def test_a_firewall_holds_over_a_restart_of_the_host_and_of_the_lab(pair: tuple[Host, Host]) -> None:
    one, two = pair
    lab = one.world.lab
    lab.set_firewall("two", [inbound("22")])
    lab.stop("two")
    Lab(one.world.folder, one.world.folder).up()
    lab.start("two")
    wait(lambda: reaches(two.address, 22))
    two.inside("systemd-run -q --unit=web-80 nc -lk 80; sleep 0.2")
    assert not one.reaches(two, 80)


def test_the_machines_own_rules_and_settings_stay(shared: World) -> None:
    tables = output("nft", "list", "tables")
    assert shared.id not in tables
    assert "cloud_firewall" not in tables


networks = st.one_of(
    st.tuples(st.ip_addresses(v=4), st.integers(0, 32)).map(lambda pair: f"{pair[0]}/{pair[1]}"),
    st.ip_addresses(v=6).map(lambda address: f"{address}/64"),
    st.just("0.0.0.0/0"),
)
ports = st.one_of(
    st.integers(1, 65535).map(str),
    st.tuples(st.integers(1, 65535), st.integers(1, 65535)).map(lambda pair: "{}-{}".format(*sorted(pair))),
    st.none(),
)
rules = st.builds(
    Rule,
    direction=st.sampled_from(["in", "out"]),
    protocol=st.sampled_from(["tcp", "udp", "icmp", "gre", "esp"]),
    port=ports,
    networks=st.lists(networks, min_size=1, max_size=5).map(tuple),
)


@examples(0.4)
@given(st.dictionaries(st.sampled_from(["h1", "hweb", "h42"]), st.lists(rules, max_size=5)))
def test_the_kernel_takes_every_firewall(firewalls: dict[str, list[Rule]]) -> None:
    run("unshare", "--net", "nft", "-f", "-", where="test", stdin=ruleset(firewalls))


def test_the_pool_is_kept_and_free_of_routes(world: World, tmp_path: Path) -> None:
    first = world.lab.pool
    assert Lab(world.folder, tmp_path).pool == first
    assert World(tmp_path / "other").lab.pool != first


def test_a_pool_that_is_routed_elsewhere_by_now_is_told(world: World) -> None:
    pool = world.lab.pool
    world.lab.down()
    output("ip", "route", "add", str(pool), "dev", "lo")
    try:
        with pytest.raises(HostError, match=f"this machine now has a route to {pool}: remove"):
            world.lab.up()
    finally:
        output("ip", "route", "del", str(pool), "dev", "lo")
    world.lab.up()


def test_a_network_that_was_half_made_is_made_whole(world: World) -> None:
    router, pool = world.lab._router, world.lab.pool
    output("ip", "-n", router.namespace, "route", "del", f"{pool[1]}/32")
    world.lab.up()
    assert str(pool[1]) in output("ip", "-n", router.namespace, "route")
    world.lab.down()
    router.namespace_path.touch()  # what is left of `ip netns add` when it was killed
    world.lab.up()
    assert str(pool) in output("ip", "route")
