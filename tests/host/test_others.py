"""Files of others keep their bytes, owners, modes and names, whatever is in them, and get all of it back."""

import pytest

from tests.host.nodes import Hosts, Node

pytestmark = pytest.mark.hosts

PAIR = ("web-1", "web-3")
# A line that holds a form feed, NEL, U+2028, Latin-1 and NUL; one that ends with CRLF.
_ODD = r"# old\fssh-ed25519 AAAA gone\302\205# \342\200\250ssh-rsa BBBB \344\000\n# windows\r\n\v\n"
_LOOK = """
for f in /etc/hosts /root/.ssh/authorized_keys /root/other-name /etc/sysctl.d/90-wgmesh.conf; do
    md5sum <$f; stat -L -c '%a %u %g %h' $f
done
readlink /etc/hosts; readlink /etc/wireguard/wg0.conf; stat -c '%a %N' /etc/wireguard
ls -d /etc/wgmesh /etc/systemd/system/wg-quick@wg0.service.d 2>&1; true
"""


@pytest.fixture(scope="module")
def guest(hosts: Hosts) -> Node:
    """A host whose owner keeps odd files: links, other owners, other line ends, other settings of his own."""
    node = hosts.boot("web-3")
    node.inside(
        f"rm -r /etc/wgmesh; cd /root/.ssh; (printf '{_ODD}'; cat authorized_keys; printf '# last') >keys;"
        "mv keys authorized_keys; chmod 640 authorized_keys; chown 0:4 authorized_keys;"
        "ln authorized_keys /root/other-name;"
        f"(cat /etc/hosts; printf '{_ODD}192.0.2.9 mine') >/srv/hosts; ln -sf /srv/hosts /etc/hosts;"
        "mkdir -p /etc/wireguard; chmod 755 /etc/wireguard; ln -sfn /srv/none /etc/wireguard/wg0.conf;"
        "echo '# mine' >/etc/sysctl.d/90-wgmesh.conf; chmod 644 /etc/sysctl.d/90-wgmesh.conf"
    )
    return node


def _join(node: Node, hosts: Hosts) -> None:
    assert node.install().word == "INSTALLED"
    assert node.agent("keys", hosts.keys.bundle("web-3")).word == "STORED"
    assert node.apply(hosts.document("web-3", PAIR)).word == "CONFIRMED"


def test_files_of_others_come_back_to_the_byte(guest: Node, hosts: Hosts) -> None:
    before = guest.inside(_LOOK)
    _join(guest, hosts)
    modes = guest.inside(
        "stat -c %a /etc/wgmesh /usr/local/lib/wgmesh /etc/systemd/system/wg-quick@wg0.service.d"
    )
    assert set(modes.splitlines()) == {"755"}
    assert guest.inside("getent hosts 10.10.0.1") == "10.10.0.1       web-1"
    assert guest.apply(hosts.document("web-3", PAIR, public=["tcp/80"])).word == "CONFIRMED"
    assert guest.inside(
        "cmp /root/other-name /root/.ssh/authorized_keys; stat -c '%a %u:%g' /root/other-name"
    ) == ("640 0:4")
    assert guest.status()["differences"] == []
    assert guest.agent("leave").word == "LEFT"
    assert guest.inside(_LOOK) == before


@pytest.mark.long
def test_a_locked_file_is_named_before_anything_changes(guest: Node, hosts: Hosts) -> None:
    guest.inside("chattr +i /srv/hosts")
    try:
        before = guest.inside(_LOOK)
        assert guest.install().word == "INSTALLED"
        assert guest.agent("keys", hosts.keys.bundle("web-3")).word == "STORED"
        run = guest.apply(hosts.document("web-3", PAIR))
        assert run.word == "REFUSED", run.out
        assert (
            "/etc/hosts must change, but /srv/hosts is immutable (`chattr -i /srv/hosts` ends that)"
            in run.out
        )
        assert guest.inside("ip link show wg0 2>&1", check=False).endswith("does not exist.")
    finally:
        guest.inside("chattr -i /srv/hosts")
    assert guest.apply(hosts.document("web-3", PAIR)).word == "CONFIRMED"
    guest.inside("chattr +i /srv/hosts")
    try:
        run = guest.agent("leave")
    finally:
        guest.inside("chattr -i /srv/hosts")
    assert run.word == "LEFT"
    assert "our lines in /etc/hosts: /srv/hosts is immutable" in run.out
    guest.inside("sed -i '/# BEGIN wgmesh/,/# END wgmesh/d' /srv/hosts; truncate -s -1 /srv/hosts")
    assert guest.inside(_LOOK) == before
