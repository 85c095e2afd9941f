"""The agent's life on real hosts: first files, changes, trials, reboots."""

import re
import subprocess

import pytest

from lab.testing import wait
from tests.host.nodes import CALL, DEADLINE, INCOMING, Hosts, Node
from tests.host.trials import set_deadline

pytestmark = pytest.mark.hosts

PAIR = ("web-1", "web-2")
THREE = ("web-1", "web-2", "web-3")


@pytest.fixture
def mesh(hosts: Hosts, web_1: Node, web_2: Node) -> Node:
    """Both hosts in one mesh; returns the one under test."""
    for node in (web_1, web_2):
        node.bring(hosts.document(node.name, PAIR))
    return web_1


def test_first_files_are_in_force_and_at_their_places(mesh: Node, hosts: Hosts) -> None:
    assert mesh.inside("ping -c 2 -i 0.2 -W 3 10.10.0.2 >/dev/null && echo yes") == "yes"
    assert mesh.inside("stat -L -c '%a %U' /etc/wireguard/wg0.conf") == "600 root"
    conf = mesh.inside("cat /etc/wireguard/wg0.conf")
    assert len(re.findall(r"(?m)^PrivateKey = \S{44}$", conf)) == 1
    assert len(re.findall(r"(?m)^PresharedKey = \S{44}$", conf)) == 1
    assert (
        mesh.inside("systemctl is-active wg-quick@wg0; systemctl is-enabled wg-quick@wg0")
        == "active\nenabled"
    )
    assert mesh.inside("getent hosts web-2").split() == ["10.10.0.2", "web-2"]
    assert mesh.inside("stat -c '%a' /root/.ssh/authorized_keys") == "600"
    assert mesh.inside("sysctl -n net.ipv4.conf.all.rp_filter") == "2"
    assert mesh.status()["differences"] == []


def test_the_host_key_of_first_contact_is_no_longer_offered(mesh: Node) -> None:
    scanned = subprocess.run(
        ["ssh-keyscan", "-T", "3", mesh.address], capture_output=True, text=True, check=False
    ).stdout
    assert "ssh-ed25519" in scanned
    assert "ecdsa" not in scanned


def test_the_same_files_again_send_nothing(mesh: Node, hosts: Hosts) -> None:
    before = mesh.inside(
        "nft -a list table inet wgmesh; ls -l --time-style=full-iso /etc/hosts /var/lib/wgmesh"
    )
    run = mesh.agent("apply", hosts.document("web-1", PAIR))
    assert (run.word, run.code) == ("UNCHANGED", 0)
    after = mesh.inside(
        "nft -a list table inet wgmesh; ls -l --time-style=full-iso /etc/hosts /var/lib/wgmesh"
    )
    assert re.sub(r"packets \d+ bytes \d+", "", after) == re.sub(r"packets \d+ bytes \d+", "", before)


def test_installing_again_changes_nothing(mesh: Node) -> None:
    before = mesh.live()
    assert mesh.install().word == "INSTALLED"
    assert mesh.live() == before


def test_another_file_than_the_announced_one_is_refused(mesh: Node, hosts: Hosts) -> None:
    mesh.copy(hosts.agent)
    run = mesh.ssh(f"exec python3 -IS {INCOMING} install", "0" * 64)
    assert (run.word, run.code) == ("REFUSED", 65)


@pytest.mark.parametrize("times", [1, pytest.param(10, marks=pytest.mark.long)])
def test_adding_and_removing_a_peer_loses_no_packet(
    mesh: Node, hosts: Hosts, web_2: Node, times: int
) -> None:
    with mesh.pinging("10.10.0.2", 0.01) as pings:
        for members in (THREE, PAIR) * times:
            for node in (mesh, web_2):
                assert node.apply(hosts.document(node.name, members)).word == "CONFIRMED"
    assert len(pings.answered) > 100
    assert pings.lost() == []


def test_a_change_of_address_port_and_mtu_takes_effect(mesh: Node, hosts: Hosts) -> None:
    document = hosts.document("web-1", PAIR, mesh_port=51999, mesh_mtu=1300, address="10.10.0.77")
    assert mesh.apply(document).word == "CONFIRMED"
    assert mesh.inside("wg show wg0 listen-port") == "51999"
    assert mesh.inside("cat /sys/class/net/wg0/mtu") == "1300"
    assert "10.10.0.77/24" in mesh.inside("ip -o -4 address show wg0")
    assert "10.10.0.1/24" not in mesh.inside("ip -o -4 address show wg0")
    assert mesh.apply(hosts.document("web-1", PAIR)).word == "CONFIRMED"


def test_forwarding_is_put_back_as_it_was_when_a_node_stops_forwarding(mesh: Node, hosts: Hosts) -> None:
    assert mesh.inside("sysctl -n net.ipv4.ip_forward") == "0"
    assert mesh.apply(hosts.document("web-1", PAIR, forward=True)).word == "CONFIRMED"
    assert mesh.inside("sysctl -n net.ipv4.ip_forward net.ipv4.conf.all.accept_redirects") == "1\n0"
    assert mesh.apply(hosts.document("web-1", PAIR)).word == "CONFIRMED"
    assert mesh.inside("sysctl -n net.ipv4.ip_forward net.ipv4.conf.all.accept_redirects") == "0\n0"


@pytest.mark.parametrize("stride", [199, pytest.param(1, marks=pytest.mark.long)])
def test_a_document_cut_at_any_byte_is_refused_and_changes_nothing(
    mesh: Node, hosts: Hosts, stride: int
) -> None:
    document = hosts.document("web-1", THREE)
    before = mesh.live()
    cuts = range(0, len(document.encode()), stride)
    loop = (
        f"cat >/run/doc; for n in $(seq 0 {stride} {cuts[-1]}); do"
        f" head -c $n /run/doc | {CALL} apply; echo $?; done; rm /run/doc"
    )
    run = mesh.ssh(loop, document, timeout=1800)
    assert run.out.splitlines()[1::2] == ["65"] * len(cuts)
    assert all(line.startswith("REFUSED ") for line in run.out.splitlines()[::2])
    assert mesh.live() == before


def test_a_firewall_that_does_more_than_our_table_is_refused(mesh: Node, hosts: Hosts) -> None:
    document = hosts.document("web-1", PAIR)
    before = mesh.live()
    for line in ("flush ruleset", 'include "/etc/nftables.conf"', "table ip other { }"):
        run = mesh.agent(
            "apply", document.replace("delete table inet wgmesh", f"delete table inet wgmesh\n{line}")
        )
        assert (run.word, run.code) == ("REFUSED", 65), run.out
    assert mesh.live() == before


def test_a_key_that_was_not_sent_is_asked_for(mesh: Node, hosts: Hosts) -> None:
    document = re.sub(r"(# PresharedKey = key:)\w+", r"\g<1>0123456789abcdef", hosts.document("web-1", PAIR))
    run = mesh.agent("apply", document)
    assert (run.word, run.code) == ("KEYS-MISSING", 66)
    assert "0123456789abcdef" in run.out


def test_reload_without_the_file_keeps_key_and_peers(mesh: Node) -> None:
    before = mesh.inside("wg show wg0 public-key; wg show wg0 peers")
    mesh.inside(
        "mv /etc/wireguard/wg0.conf /root/; systemctl reload wg-quick@wg0; mv /root/wg0.conf /etc/wireguard/"
    )
    assert mesh.inside("wg show wg0 public-key; wg show wg0 peers") == before


def test_a_change_by_hand_is_undone_by_the_same_files(mesh: Node, hosts: Hosts) -> None:
    mesh.inside(
        "wg set wg0 peer $(wg show wg0 peers) preshared-key /dev/null persistent-keepalive 7;"
        "ip link set wg0 mtu 1400; ip route del 10.10.0.0/24 dev wg0; sysctl -q net.ipv4.tcp_syncookies=0;"
        "nft add rule inet wgmesh input tcp dport 99 accept"
    )
    assert len(mesh.status()["differences"]) >= 5
    assert mesh.apply(hosts.document("web-1", PAIR)).word == "CONFIRMED"
    assert mesh.status()["differences"] == []


def test_files_and_units_changed_by_hand_are_put_right(mesh: Node, hosts: Hosts) -> None:
    before = mesh.live()
    mesh.inside(
        "chmod 0644 /var/lib/wgmesh/current/wg0.conf; chown nobody /var/lib/wgmesh/keys/*;"
        "systemctl disable -q wg-quick@wg0 wgmesh-firewall; rm /etc/sysctl.d/90-wgmesh.conf;"
        "sed -i '/web-2/d' /etc/hosts; sed -i 's/wireguard-mesh/gone/' /root/.ssh/authorized_keys"
    )
    assert len(mesh.status()["differences"]) >= 7
    assert mesh.agent("apply", hosts.document("web-1", PAIR)).word == "CONFIRMED"
    assert mesh.status()["differences"] == []
    assert mesh.live() == before


def test_after_a_reboot_everything_is_back_by_itself(mesh: Node) -> None:
    before = mesh.live()
    mesh.reboot()
    wait(lambda: mesh.inside("systemctl is-active wg-quick@wg0", check=False) == "active", 30)
    wait(lambda: mesh.inside("ping -c 1 -W 1 10.10.0.2 >/dev/null && echo yes", check=False) == "yes", 30)
    assert mesh.live() == before
    assert mesh.status()["differences"] == []
    assert "ecdsa" not in mesh.inside("ls /etc/ssh")


def test_restarting_the_unit_by_hand_brings_the_same_interface(mesh: Node) -> None:
    before = mesh.live()
    mesh.inside("systemctl restart wg-quick@wg0")
    assert mesh.live() == before


def test_one_connection_cannot_confirm_its_own_trial(mesh: Node, hosts: Hosts) -> None:
    document = hosts.document("web-1", THREE)
    twice = f"cat >/run/doc; for i in 1 2 3; do {CALL} apply </run/doc; sleep 1; done; rm /run/doc"
    run = mesh.ssh(twice, document)
    assert [line.split()[0] for line in run.out.splitlines()] == ["RECONNECT"] * 3
    assert mesh.apply(document).word == "CONFIRMED"
    assert mesh.apply(hosts.document("web-1", PAIR)).word == "CONFIRMED"


def test_silence_rolls_back_at_the_deadline(mesh: Node, hosts: Hosts) -> None:
    before = mesh.live()
    run = mesh.agent("apply", hosts.document("web-1", THREE))
    assert (run.word, run.code) == ("RECONNECT", 75)
    wait(lambda: mesh.status()["state"] == "live", DEADLINE)
    assert mesh.live() != before
    mesh.wait_idle()
    assert mesh.live() == before
    took = mesh.moment("is rolled back") - mesh.moment("is armed")
    assert DEADLINE - 1 < took < DEADLINE + 5
    assert mesh.agent("apply", hosts.document("web-1", THREE)).word == "ROLLED-BACK"
    assert mesh.apply(hosts.document("web-1", THREE)).word == "CONFIRMED"
    assert mesh.apply(hosts.document("web-1", PAIR)).word == "CONFIRMED"


def test_another_document_during_a_trial_is_told_to_wait(mesh: Node, hosts: Hosts) -> None:
    set_deadline(mesh, 90)  # time for four commands on a loaded machine
    try:
        assert mesh.agent("apply", hosts.document("web-1", THREE)).word == "RECONNECT"
        run = mesh.agent("apply", hosts.document("web-1", PAIR, public=["tcp/80"]))
        assert (run.word, run.code) == ("BUSY", 73)
        assert mesh.install().word == "BUSY"
        assert mesh.apply(hosts.document("web-1", THREE)).word == "CONFIRMED"
    finally:
        set_deadline(mesh, DEADLINE)
    assert mesh.apply(hosts.document("web-1", PAIR)).word == "CONFIRMED"


@pytest.mark.parametrize("graceful", [True, False])
def test_a_reboot_during_a_trial_ends_in_the_old_state(mesh: Node, hosts: Hosts, *, graceful: bool) -> None:
    before = mesh.live()
    assert mesh.agent("apply", hosts.document("web-1", THREE)).word == "RECONNECT"
    wait(lambda: mesh.status()["state"] == "live", DEADLINE)
    mesh.reboot(graceful=graceful)
    wait(lambda: mesh.inside("systemctl is-active wg-quick@wg0", check=False) == "active", 30)
    wait(lambda: mesh.status()["differences"] == [], 20)
    assert mesh.live() == before
    assert mesh.status()["state"] == "idle"


def test_a_step_that_fails_is_undone_at_once(mesh: Node, hosts: Hosts) -> None:
    before = mesh.live()
    for step in ("firewall", "interface", "sysctl", "checked"):
        mesh.inside(f"echo '{step} fail' >/etc/wgmesh/failpoint")
        run = mesh.apply(hosts.document("web-1", THREE))
        mesh.inside("rm /etc/wgmesh/failpoint")
        assert (run.word, run.code) == ("ROLLED-BACK", 70), run.out
        assert mesh.live() == before
    assert mesh.status()["state"] == "idle"


def test_a_foreign_listener_on_the_port_is_refused_by_name(mesh: Node, hosts: Hosts) -> None:
    before = mesh.live()
    mesh.inside('systemd-run -q --unit=squat python3 -c "import socket, time\ns = socket.socket(2, 2)\n'
                "s.bind(('0.0.0.0', 51999))\ntime.sleep(99)\"; sleep 1")  # fmt: skip
    run = mesh.apply(hosts.document("web-1", PAIR, mesh_port=51999))
    mesh.inside("systemctl stop squat")
    assert run.word == "REFUSED", run.out
    assert "another program on this host uses UDP port 51999" in run.out
    assert mesh.live() == before
