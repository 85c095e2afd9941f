"""What an operator counts on while the agent works: no packet lost, one winner, nothing unasked for."""

import re
import subprocess

import pytest

from lab.testing import wait
from tests.host.nodes import AGENT, DEADLINE, Hosts, Node, Run

pytestmark = pytest.mark.hosts

PAIR = ("web-1", "web-2")
THREE = ("web-1", "web-2", "web-3")


@pytest.fixture(scope="module")
def mesh(hosts: Hosts, web_1: Node, web_2: Node) -> Node:
    for node in (web_1, web_2):
        node.bring(hosts.document(node.name, PAIR))
    return web_1


def _race(node: Node, document: str) -> Run:
    """Have the deadline come at the very moment a new connection confirms."""
    txn = node.status()["trial"]["txn"]
    expire = node.hosts.lab.enter(node.key, ["python3", AGENT, "expire", txn])
    with subprocess.Popen(expire):
        return node.agent("apply", document)


@pytest.mark.parametrize("rounds", [4, pytest.param(1000, marks=pytest.mark.long)])
def test_confirmation_and_rollback_never_both_win(mesh: Node, hosts: Hosts, rounds: int) -> None:
    ports: dict[tuple[str, ...], str] = {PAIR: "51820", THREE: "51821"}
    committed: tuple[str, ...] = PAIR
    for _round in range(rounds):
        wanted = THREE if committed == PAIR else PAIR
        document = hosts.document("web-1", wanted, mesh_port=int(ports[wanted]))
        assert mesh.agent("apply", document).word == "RECONNECT"
        wait(lambda: mesh.status()["state"] == "live", DEADLINE)
        word = _race(mesh, document).word
        mesh.wait_idle()
        assert word in ("CONFIRMED", "ROLLED-BACK")
        committed = wanted if word == "CONFIRMED" else committed
        mesh.inside("rm -f /run/wgmesh/outcome.json")
        assert mesh.inside("wg show wg0 listen-port") == ports[committed]
        assert mesh.status()["differences"] == []
    assert mesh.apply(hosts.document("web-1", PAIR)).word in ("CONFIRMED", "UNCHANGED")


@pytest.mark.parametrize("times", [40, pytest.param(300, marks=pytest.mark.long)])
def test_replacing_the_firewall_loses_no_packet(mesh: Node, hosts: Hosts, times: int) -> None:
    with mesh.pinging("10.10.0.2", 0.002) as pings:
        mesh.inside(
            f"for i in $(seq {times}); do nft -f /var/lib/wgmesh/current/firewall.nft; sleep 0.02; done"
        )
    assert len(pings.answered) > times * 10
    assert pings.lost() == []


def test_an_open_connection_survives_a_new_firewall(mesh: Node, hosts: Hosts, web_2: Node) -> None:
    server = (
        "import socket\ns=socket.create_server((str(), 7777))\nc=s.accept()[0]\nwhile c.send(c.recv(9)): pass"
    )
    client = (
        "import socket, time\nc=socket.create_connection(('10.10.0.2', 7777))\n"
        "end=time.monotonic()+6\nn=0\n"
        "while time.monotonic()<end: c.send(b'x'); assert c.recv(9); n+=1; time.sleep(0.01)\nprint(n)"
    )
    web_2.inside(f'systemd-run -q --collect --unit=echo7777 python3 -c "{server}"; sleep 0.5')
    argv = hosts.lab.enter(mesh.key, ["python3", "-c", client])
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as running:
        for node in (mesh, web_2):
            assert node.apply(hosts.document(node.name, PAIR, public=["tcp/8080"])).word == "CONFIRMED"
        printed = running.communicate()[0]
    assert running.returncode == 0
    assert int(printed) > 100
    for node in (mesh, web_2):
        assert node.apply(hosts.document(node.name, PAIR)).word == "CONFIRMED"


def test_the_same_input_is_refused_in_every_bent_form(mesh: Node, hosts: Hosts) -> None:
    """Whatever arrives, key and peers of the live interface stay."""
    show = "wg show wg0 public-key; wg show wg0 allowed-ips"
    before = mesh.inside(show)
    good = hosts.document("web-1", THREE)
    bent = {
        "empty": "",
        "garbage": "\x00\xff" * 500,
        "no private key": re.sub(r"# PrivateKey.*\n", "", good),
        "no peers' keys": re.sub(r"PublicKey = .*\n", "", good),
        "another version": good.replace("wgmesh-files 1", "wgmesh-files 9"),
        "too long": good.replace("==> end", "# " + "x" * 80 + "\n" * 4_300_000 + "==> end"),
        "a preview's text": re.sub(r"PublicKey = .*", "PublicKey = <known after up>", good),
        "overlap": good.replace("10.10.0.3/32", "10.10.0.2/32"),
        "a file twice": good.replace("==> end <==", "==> /etc/hosts <==\n==> end <=="),
        "own key as peer": good.replace(hosts.keys.public("web-2"), hosts.keys.public("web-1")),
    }
    for name, document in bent.items():
        run = mesh.agent("apply", document)
        assert (run.word, run.code) == ("REFUSED", 65), (name, run.out)
    assert mesh.inside(show) == before
    assert mesh.status()["state"] == "idle"
