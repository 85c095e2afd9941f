"""Servers with real hosts behind them: what the API says is what happens."""

import json
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from hcloud.firewalls import FirewallResource, FirewallRule
from hcloud.networks import NetworkSubnet
from hcloud.servers import BoundServer, Server

from lab.hosts import HostSpec, Lab
from lab.hosts.image import build_image
from lab.processes import end
from lab.testing import wait
from tests.lab.cloud.test_restart import kill
from tests.lab.cloud.world import LabCloud
from tests.lab.hosts.world import CLOUD_INIT, IMAGES, World, booted_well, reaches

pytestmark = pytest.mark.hosts


class RealCloud(LabCloud):
    """A cloud with hosts, and what one does in them."""

    @property
    def lab(self) -> Lab:
        return Lab(self.state, self.images or IMAGES)

    def run(self, server: Any, script: str) -> "subprocess.CompletedProcess[str]":
        words = self.lab.enter(str(server.id), ["sh", "-c", script])
        return subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)

    def inside(self, server: Any, script: str) -> str:
        done = self.run(server, script)
        assert done.returncode == 0, (script, done.stdout, done.stderr)
        return done.stdout.strip()

    def booted(self, server: Any) -> None:
        wait(lambda: booted_well(self.run(server, CLOUD_INIT).stdout), 90)

    def pings(self, server: Any, address: str) -> bool:
        return self.run(server, f"ping -c 1 -W 2 {address}").returncode == 0


def boots(cloud: RealCloud, server: Any) -> int:
    path = cloud.state / "hosts" / str(server.id) / "running.json"
    return int(json.loads(path.read_text())["leader"]) if path.exists() else 0


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealCloud]:
    built = build_image(IMAGES, "debian-12", print)
    images = tmp_path_factory.mktemp("images")  # with one image, whatever other tests have built
    (images / built.name).symlink_to(built)
    cloud = RealCloud(state=tmp_path_factory.mktemp("real"), images=images)
    cloud.start()
    world = World(cloud.state)
    try:
        yield cloud
    finally:
        cloud.process.stop()
        world.close()
        assert world.traces() == []


def _running(real: RealCloud, name: str, **wanted: Any) -> BoundServer:
    """The server of this name, made or switched on where another test left none that runs."""
    server = real.client.servers.get_by_name(name) or real.server(name, **wanted)
    if server.status == "off":
        server.power_on().wait_until_finished()
    real.booted(server)
    server.reload()
    return server


@pytest.fixture
def one(real: RealCloud) -> BoundServer:
    return _running(
        real, "one", user_data="#cloud-config\nwrite_files: [{path: /root/mark, content: mine}]\n"
    )


@pytest.fixture
def two(real: RealCloud) -> BoundServer:
    return _running(real, "two")


def ip(server: BoundServer) -> str:
    server.reload()
    return str(server.public_net.ipv4.ip)


def test_a_server_is_a_host(real: RealCloud, one: BoundServer, two: BoundServer) -> None:
    assert real.inside(one, "hostname") == "one"
    assert real.inside(one, "cat /root/mark") == "mine"
    wait(lambda: reaches(ip(one), 22))
    assert real.pings(one, ip(two))
    network = one.public_net.ipv6.ip
    wait(lambda: real.pings(two, network.replace("/64", "1")))


def test_power(real: RealCloud, two: BoundServer) -> None:
    two.power_off().wait_until_finished()
    assert not reaches(ip(two), 22)
    assert real.lab.states()[str(two.id)] == "off"
    two.power_on().wait_until_finished()
    wait(lambda: reaches(ip(two), 22))
    for act in (two.reset, two.reboot):
        before = boots(real, two)
        act().wait_until_finished()
        assert boots(real, two) != before
        wait(lambda: reaches(ip(two), 22))
    real.booted(two)
    real.run(two, "poweroff")  # by itself: the cloud notices
    wait(lambda: real.client.servers.get_by_id(two.id).status == "off")
    two.power_on().wait_until_finished()
    wait(lambda: reaches(ip(two), 22))


def test_rebuild(real: RealCloud, two: BoundServer) -> None:
    real.booted(two)
    address = ip(two)
    real.inside(two, "touch /root/precious")
    two.rebuild(image=two.image).action.wait_until_finished()
    real.booted(two)
    assert real.run(two, "test -e /root/precious").returncode == 1
    wait(lambda: reaches(address, 22))


def test_an_image_that_is_not_built_costs_no_data(real: RealCloud, two: BoundServer) -> None:
    real.inside(two, "touch /root/precious")
    done = real.ask("POST", f"/servers/{two.id}/actions/rebuild", {"image": "debian-13"}).json()["action"]
    action = real.client.actions.get_by_id(done["id"])

    def refused() -> bool:
        action.reload()
        return action.status == "error"

    wait(refused)
    assert "build it with" in action.error["message"]
    assert real.inside(two, "ls /root/precious") == "/root/precious"


def test_firewalls_are_on_the_path(real: RealCloud, one: BoundServer, two: BoundServer) -> None:
    for server in (one, two):
        real.run(server, "systemctl is-active -q web || systemd-run -q --unit=web nc -lk 80")
        wait(lambda server=server: reaches(ip(server), 80))  # type: ignore[misc]
    rule = FirewallRule(direction="in", protocol="tcp", port="22", source_ips=["0.0.0.0/0"])
    made = real.client.firewalls.create(
        name="ssh", rules=[rule], resources=[FirewallResource(type="server", server=Server(id=one.id))]
    )
    for action in made.actions:
        action.wait_until_finished()
    wait(lambda: reaches(ip(one), 22))
    assert not reaches(ip(one), 80)
    assert real.run(one, f"nc -z -w 2 {ip(two)} 80").returncode == 0  # replies come back
    for action in made.firewall.set_rules([]):
        action.wait_until_finished()
    assert not reaches(ip(one), 22)
    resource = FirewallResource(type="server", server=Server(id=one.id))
    for action in made.firewall.remove_from_resources([resource]):
        action.wait_until_finished()
    assert reaches(ip(one), 80)
    made.firewall.delete()


def test_private_networks(real: RealCloud, one: BoundServer, two: BoundServer) -> None:
    subnet = NetworkSubnet(ip_range="10.0.1.0/24", type="cloud", network_zone="eu-central")
    net = real.client.networks.create(name="inner", ip_range="10.0.0.0/16", subnets=[subnet])
    for server in (one, two):
        server.attach_to_network(net).wait_until_finished()
        server.reload()
    wait(lambda: real.pings(one, two.private_net[0].ip))
    assert "mtu 1450" in real.inside(one, "ip link show enp7s0")
    assert one.private_net[0].mac_address in real.inside(one, "ip link show enp7s0")
    facts = yaml.safe_load(metadata(real, one, "metadata/private-networks"))
    assert [(fact["ip"], fact["subnet"], fact["gateway"]) for fact in facts] == [
        (one.private_net[0].ip, "10.0.1.0/24", "10.0.0.1")
    ]
    one.detach_from_network(net).wait_until_finished()
    assert real.run(one, "ip link show enp7s0").returncode != 0
    third = real.server("third", networks=[net])
    third.reload()
    wait(lambda: real.pings(two, third.private_net[0].ip), 60)
    net.delete()
    assert real.run(two, "ip link show enp7s0").returncode != 0
    third.delete().wait_until_finished()


def metadata(cloud: RealCloud, server: Any, path: str) -> str:
    url = f"http://169.254.169.254/hetzner/v1/{path}"
    script = f"import urllib.request as r; print(r.urlopen('{url}', timeout=5).read().decode())"
    return cloud.inside(server, f'python3 -c "{script}"')


def test_metadata(real: RealCloud, one: BoundServer, two: BoundServer) -> None:
    assert metadata(real, one, "metadata/hostname") == "one"
    assert metadata(real, two, "metadata/hostname") == "two"
    assert metadata(real, one, "metadata/instance-id") == str(one.id)
    assert metadata(real, one, "metadata/public-ipv4") == ip(one)
    assert metadata(real, one, "metadata/region") == "eu-central"
    assert metadata(real, one, "metadata/availability-zone") == "fsn1-dc1"
    assert "content: mine" in metadata(real, one, "userdata")
    summary = yaml.safe_load(metadata(real, one, "metadata"))
    assert (summary["instance-id"], summary["hostname"]) == (one.id, "one")
    asked = "printf 'GET /hetzner/v1/novelties HTTP/1.0\\r\\n\\r\\n' | nc -w 2 169.254.169.254 80"
    assert " 404 " in real.inside(one, asked)


def test_hosts_outlive_the_cloud_and_what_happened_meanwhile_shows(
    real: RealCloud, one: BoundServer, two: BoundServer
) -> None:
    before = boots(real, one)
    kill(real)
    record = json.loads((real.state / "hosts" / str(two.id) / "running.json").read_text())
    end(record["pid"], record["started"])
    real.lab.create(_spec("777", str(real.lab.pool[99])))
    real.lab.start("777")
    real.start()
    assert boots(real, one) == before
    assert real.client.servers.get_by_id(one.id).status == "running"
    assert real.client.servers.get_by_id(two.id).status == "off"
    assert "777" not in real.lab.states()  # a host without a server is removed
    two.power_on().wait_until_finished()
    wait(lambda: reaches(ip(two), 22))
    assert metadata(real, two, "metadata/hostname") == "two"


def test_a_host_that_is_killed_shows_as_off(real: RealCloud, two: BoundServer) -> None:
    record = json.loads((real.state / "hosts" / str(two.id) / "running.json").read_text())
    end(record["pid"], record["started"])
    wait(lambda: real.client.servers.get_by_id(two.id).status == "off")


def test_deletion_leaves_nothing(real: RealCloud, two: BoundServer) -> None:
    two.delete().wait_until_finished()
    assert not (real.state / "hosts" / str(two.id)).exists()
    assert str(two.id) not in real.lab.states()


def _spec(key: str, address: str) -> HostSpec:
    return HostSpec(
        key=key, hostname="stray", address=address, user_data="", public_keys=[], instance_id="stray"
    )
