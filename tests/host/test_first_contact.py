"""First contact with servers whose sshd is not as on a fresh Debian, as the program makes it."""

import re
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from lab.hosts.image import build_image
from lab.hosts.repository import build_repository, offer
from lab.testing import wait
from tests.host.conftest import IMAGE
from tests.host.new_servers import Boot, Server, Servers
from tests.host.nodes import INCOMING, Hosts, Node

pytestmark = pytest.mark.hosts

PACKAGES = IMAGE.parent / "packages"
SSHD = "etc/ssh/sshd_config.d"
HARDENED = {
    f"{SSHD}/10-hardening.conf": "HostKey /etc/ssh/ssh_host_rsa_key\nHostKey /etc/ssh/ssh_host_ed25519_key\n"
    "HostKeyAlgorithms ssh-ed25519,rsa-sha2-512\n"
}
SOCKET = "etc/systemd/system"


@pytest.fixture(scope="module")
def servers(hosts: Hosts) -> Servers:
    return Servers(hosts)


@pytest.fixture
def boot(servers: Servers) -> Iterator[Boot]:
    """Return what boots a server for this test."""
    with servers.lent() as boot:
        yield boot


@pytest.fixture(scope="module")
def plain(servers: Servers) -> Iterator[Server]:
    with servers.lent() as boot:
        yield boot()


def socket_activation(port: int) -> dict[str, dict[str, str]]:
    """An image whose sshd is started by its socket."""
    wants = {
        f"{SOCKET}/sockets.target.wants/ssh.socket": "/lib/systemd/system/ssh.socket",
    }
    files = {f"{SOCKET}/ssh.socket.d/port.conf": f"[Socket]\nListenStream=\nListenStream={port}\n"}
    return {"files": {} if port == 22 else files, "links": wants}


# ------------------------------------------------------------------ it works


def test_an_image_that_names_its_host_keys_and_their_algorithms(boot: Boot) -> None:
    boot(HARDENED).becomes_a_node()


def test_a_host_key_of_another_kind_than_the_first_one(boot: Boot) -> None:
    """A node's second host key is ECDSA, and its server may be made anew after that."""
    replace(boot(), permanent="another").becomes_a_node()


def test_a_host_key_that_is_replaced_before_the_first_files_is_served_beside_the_former_one(
    boot: Boot,
) -> None:
    server = boot()
    assert server.meet().word == "STORED"
    server.copy()
    rotated = replace(server, permanent="another")
    former = " ".join((server.hosts.folder / "permanent.pub").read_text().split()[:2])
    done = rotated.send_keys(former_host_key=former)
    assert done.word == "STORED", done.out
    assert server.ssh("true", pin="permanent").code == 0, "the first files come over this one"
    assert server.apply().word == "CONFIRMED"
    assert server.ssh("true", pin="another").code == 0


IN_THE_WAY = {
    "PermitRootLogin": ("PermitRootLogin no", "root must be able to log in"),
    "forced commands": ("PermitRootLogin forced-commands-only", "PermitRootLogin"),
    "AllowUsers": ("AllowUsers deploy", "AllowUsers"),
    "AllowUsers of elsewhere": ("AllowUsers root@192.0.2.*", "AllowUsers"),
    "DenyUsers": ("DenyUsers ro*", "DenyUsers"),
    "AllowGroups": ("AllowGroups ssh-users", "AllowGroups"),
    "DenyGroups": ("DenyGroups root", "DenyGroups"),
    "PubkeyAuthentication": ("PubkeyAuthentication no", "PubkeyAuthentication"),
    "two factors": ("AuthenticationMethods publickey,publickey", "AuthenticationMethods"),
    "keys elsewhere": ("AuthorizedKeysFile /etc/ssh/keys/%u", "AuthorizedKeysFile"),
    "algorithms": ("HostKeyAlgorithms rsa-sha2-512", "HostKeyAlgorithms"),
    "port": ("Port 2200", "Port or ListenAddress"),
    "address": ("ListenAddress 0.0.0.0:2200", "Port or ListenAddress"),
    "a match": ("Match User root\n PermitRootLogin no", "PermitRootLogin"),
    "a match by address": ("Match Address *\n AllowUsers deploy", "AllowUsers"),
    "no sftp": (None, "Subsystem"),
    "not valid": ("Nonsense yes", "refuses its own settings"),
}


STATE = "cat /etc/ssh/ssh_host_*; ls -R /run/wgmesh* /usr/local/lib 2>&1; ls /etc/ssh/sshd_config.d"
"""Prints what first contact would change."""
_COMMON = {"PermitRootLogin", "AllowUsers", "keys elsewhere", "port"}


@pytest.mark.parametrize(
    "case",
    [pytest.param(case, marks=[] if case in _COMMON else [pytest.mark.long]) for case in IN_THE_WAY],
)
def test_what_a_reload_would_lock_out_is_named_before_anything_changes(plain: Server, case: str) -> None:
    line, named = IN_THE_WAY[case]
    plain.copy()
    if line is None:
        plain.inside("cp /etc/ssh/sshd_config /root/kept; sed -i /Subsystem/d /etc/ssh/sshd_config")
    else:
        plain.inside(f"printf '{line}\\n' >/etc/ssh/sshd_config.d/00-00-00.conf")
    try:
        before = plain.inside(STATE, check=False)
        done = plain.send_keys()
        assert done.code == 1, done.out
        said = done.out.splitlines()[-1]
        assert said.startswith("bootstrap: "), done.out
        assert named in said
        assert "up again" in said
        assert plain.inside(STATE, check=False) == before
    finally:
        plain.inside(
            "rm -f /etc/ssh/sshd_config.d/00-00-00.conf; "
            "[ ! -e /root/kept ] || mv /root/kept /etc/ssh/sshd_config"
        )


PYTHONS = {
    "an old one": (
        "cd /usr/local/bin; echo 'exit 3' >python3; chmod +x python3",
        "needs Python 3.9 or newer, and /usr/local/bin/python3 is older",
        "rm /usr/local/bin/python3",
    ),
    "one without its library, and no apt": (
        "mv /usr/lib/python3.11/bz2.py /usr/bin/apt-get /root",
        (
            "missing: python3, and this host has no apt-get to install packages "
            "(/usr/bin/python3: ModuleNotFoundError: No module named 'bz2')"
        ),
        "mv /root/bz2.py /usr/lib/python3.11; mv /root/apt-get /usr/bin",
    ),
}


@pytest.mark.parametrize("case", PYTHONS)
def test_a_python_that_will_not_do_is_named_before_anything_changes(plain: Server, case: str) -> None:
    spoil, told, mend = PYTHONS[case]
    plain.copy()
    plain.inside(spoil)
    try:
        before = plain.inside(STATE, check=False)
        done = plain.send_keys()
        assert done.code == 1, done.out
        assert done.out.splitlines()[-1] == f"bootstrap: {told}"
        assert plain.inside(STATE, check=False) == before
    finally:
        plain.inside(mend)


NOT_IN_THE_WAY = (
    "PermitRootLogin yes",
    "AllowUsers deploy root",
    "AllowUsers *@198.*",
    "AllowUsers root@0.0.0.0/0",
    "DenyUsers !root deploy",
    "AllowGroups wheel root",
    "AuthorizedKeysFile /etc/ssh/keys/%u .ssh/authorized_keys",
    "AuthenticationMethods publickey",
    "Match User deploy\n PermitRootLogin no\n AllowUsers deploy",
    "Subsystem sftp-extra internal-sftp",
)


_LONG = pytest.mark.long


@pytest.mark.parametrize(
    "start",
    [
        "echo Welcome",
        pytest.param("printf 'no end'", marks=_LONG),
        pytest.param("date; uptime", marks=_LONG),
        pytest.param("echo", marks=_LONG),
    ],
)
def test_start_files_that_print_are_named(plain: Server, start: str) -> None:
    plain.inside(f"cp /root/.bashrc /root/bashrc; cat >>/root/.bashrc <<'E'\n{start}\nE")
    try:
        done = plain.meet()
        assert done.code == 1
        assert "/root/.bashrc" in done.out.splitlines()[-1], done.out
        guard = "case $- in *i*) ;; *) return ;; esac"  # what the message advises
        plain.inside(f"cp /root/bashrc /root/.bashrc; printf '{guard}\\necho Hi\\n' >>/root/.bashrc")
        assert plain.meet().word == "STORED"
    finally:
        plain.inside("mv /root/bashrc /root/.bashrc")


@pytest.mark.parametrize(
    "start",
    ["exec bash", pytest.param("exec dash", marks=_LONG), pytest.param("exec sh -s", marks=_LONG)],
)
def test_a_shell_that_a_start_file_starts_is_shown_no_key(plain: Server, start: str) -> None:
    plain.copy()
    plain.inside(f"cp /root/.bashrc /root/bashrc; echo '{start}' >>/root/.bashrc")
    try:
        done = plain.send_keys()
        assert done.code == 97, done.out  # that shell ran, and read the first line
        key = (plain.hosts.folder / "permanent").read_text()
        assert not any(line in done.out for line in key.splitlines()[1:-1]), done.out
        assert not any(secret in done.out for secret in plain.hosts.keys.secrets()), done.out
    finally:
        plain.inside("mv /root/bashrc /root/.bashrc")


@pytest.mark.parametrize(
    "shell", ["bash", pytest.param("dash", marks=_LONG), pytest.param("sh -s", marks=_LONG)]
)
def test_a_shell_that_a_start_file_starts_does_not_take_a_document_for_commands(
    web_1: Node, hosts: Hosts, shell: str
) -> None:
    document = hosts.document("web-1", ["web-1"])
    assert web_1.apply(document).word in {"CONFIRMED", "UNCHANGED"}
    kept = (
        "cat /etc/hosts /root/.ssh/authorized_keys /etc/wireguard/wg0.conf; readlink /var/lib/wgmesh/current"
    )
    before = web_1.inside(kept)
    web_1.inside(f"cp /root/.bashrc /root/bashrc; echo 'exec {shell}' >>/root/.bashrc")
    try:
        done = web_1.agent("apply", document)
    finally:
        web_1.inside("mv /root/bashrc /root/.bashrc")
    assert done.code != 0
    assert "STOPPED a start file" in done.out, done.out
    assert web_1.inside(kept) == before
    assert web_1.apply(document).word == "UNCHANGED"


def test_a_daemon_of_a_start_file_keeps_nobody_waiting(plain: Server) -> None:
    daemon = "setsid sleep 600 </dev/null >/dev/null 2>&1 & echo Agent pid $!"
    plain.inside(f"cp /root/.bashrc /root/bashrc; echo '{daemon}' >>/root/.bashrc")
    try:
        assert plain.meet().code != 0
        assert plain.inside("pgrep -x sleep")
        plain.inside("cp /root/bashrc /root/.bashrc")
        assert plain.meet().word == "STORED"
    finally:
        plain.inside("mv /root/bashrc /root/.bashrc; pkill -x sleep", check=False)


def test_whoever_comes_again_while_a_first_contact_goes_on_waits_for_it(boot: Boot) -> None:
    server = boot()
    slow = "/usr/local/sbin/ssh-keygen"
    lines = ("#!/bin/sh", "sleep 3", 'exec /usr/bin/ssh-keygen "$@"')
    server.inside("".join(f"echo '{line}' >>{slow};" for line in lines) + f"chmod +x {slow}")
    server.copy()
    with ThreadPoolExecutor() as both:
        answers = [*both.map(lambda _time: server.send_keys(), range(2))]
    assert all(re.search("^STORED ", done.out, re.MULTILINE) for done in answers), answers
    assert sum("waiting for another first contact" in done.out for done in answers) == 1
    assert server.inside(f"ls {INCOMING}", check=False) == ""
    server.becomes_a_node()


def test_what_a_host_adds_to_its_python_is_not_for_the_agent(boot: Boot) -> None:
    server = boot()
    server.inside(
        "mkdir /opt/mine; echo 'raise ImportError' | tee /opt/mine/json.py >/opt/mine/pathlib.py;"
        "echo PYTHONPATH=/opt/mine >>/etc/environment;"
        "echo 'raise SystemExit(3)' >/etc/python3.11/sitecustomize.py"
    )
    assert server.ssh("python3 -c pass").code != 0
    server.becomes_a_node()


@pytest.mark.long
def test_settings_that_are_not_in_the_way(boot: Boot) -> None:
    plain = boot()  # of its own: in the end this server is a node
    for line in NOT_IN_THE_WAY:
        plain.inside(f"printf '{line}\\n' >/etc/ssh/sshd_config.d/00-00-00.conf")
        done = plain.meet()
        assert done.word == "STORED", (line, done.out)
    plain.inside("rm -f /etc/ssh/sshd_config.d/00-00-00.conf; systemctl reload ssh")
    wait(lambda: plain.ssh("true", pin="permanent").code == 0, 30)
    plain.becomes_a_node()


def test_an_sshd_that_its_socket_starts_goes_on_answering(boot: Boot) -> None:
    server = boot(**socket_activation(2222), port=2222)
    assert server.inside("systemctl is-active ssh.socket") == "active"
    server.becomes_a_node()
    assert server.inside("systemctl is-active ssh.socket") == "active"
    assert "2222" in server.rescue_ports()


@pytest.mark.long
@pytest.mark.parametrize(("image", "port"), [("debian-12", 22), ("debian-13", 22), ("debian-13", 2222)])
def test_every_debian_with_its_socket(boot: Boot, image: str, port: int) -> None:
    build_image(IMAGE, image, print)
    server = boot(**socket_activation(port), image=image, port=port)
    server.becomes_a_node()
    assert server.inside("systemctl is-active ssh.socket") == "active"
    assert str(port) in server.rescue_ports().split(", ")


@pytest.mark.long
@pytest.mark.parametrize("image", ["debian-12", "debian-13"])
@pytest.mark.parametrize(
    "extra",
    [
        {},
        {f"{SSHD}/01-listen.conf": "ListenAddress 0.0.0.0:22\n"},
        {f"{SSHD}/01-listen.conf": "ListenAddress 0.0.0.0\n"},
    ],
)
def test_an_ssh_port_of_the_stack_on_any_image(boot: Boot, image: str, extra: dict[str, str]) -> None:
    build_image(IMAGE, image, print)
    server = boot(extra, image=image, port=2222, ssh_port=2222)
    server.becomes_a_node()
    assert "2222" in server.rescue_ports().split(", ")


@pytest.mark.long
@pytest.mark.parametrize("image", ["debian-12", "debian-13"])
def test_an_ssh_port_of_the_stack_where_systemd_holds_the_port(boot: Boot, image: str) -> None:
    build_image(IMAGE, image, print)
    server = boot(**socket_activation(22), image=image, port=2222, ssh_port=2222)
    server.becomes_a_node()


@pytest.mark.long
def test_settings_without_an_include(boot: Boot) -> None:
    text = "HostKey /etc/ssh/ssh_host_rsa_key\nHostKey /etc/ssh/ssh_host_ed25519_key\nUsePAM yes\n"
    boot({"etc/ssh/sshd_config": f"{text}Subsystem sftp /usr/lib/openssh/sftp-server\n"}).becomes_a_node()


@pytest.mark.long
def test_an_sshd_of_a_unit_that_nobody_knows(boot: Boot) -> None:
    unit = "[Service]\nKillMode=process\nRuntimeDirectory=sshd\nExecStart=/usr/sbin/sshd -D -p 2200\n"
    boot(
        {f"{SOCKET}/by-hand.service": unit, f"{SSHD}/01-listen.conf": "Port 22\n"},
        links={
            f"{SOCKET}/ssh.service": "/dev/null",
            f"{SOCKET}/multi-user.target.wants/by-hand.service": "../by-hand.service",
        },
        port=2200,
    ).becomes_a_node()


@pytest.mark.long
@pytest.mark.parametrize("shell", ["/bin/dash", "/bin/zsh", "/usr/bin/fish"])
def test_root_has_another_shell(hosts: Hosts, boot: Boot, shell: str) -> None:
    root = build_image(IMAGE, "debian-12", print)
    server = boot()
    if shell != "/bin/dash":
        name = Path(shell).name
        offer(hosts.lab, server.key, build_repository(PACKAGES, root, "debian-12", [name], print))
        server.inside(f"apt-get -qq update && apt-get -qq install -y {name} 2>&1")
    server.inside(f"usermod --shell {shell} root")
    server.becomes_a_node()


HOLD = """
import fcntl, sys, time
files = [open(name, "a") for name in sys.argv[1:]]
for file in files: fcntl.lockf(file, fcntl.LOCK_EX)
print("ready", flush=True)
time.sleep(12)
"""
LOCKS = {
    "lists": "/var/lib/apt/lists/lock",
    "archives": "/var/cache/apt/archives/lock",
    "dpkg": "/var/lib/dpkg/lock-frontend",
    "all": "/var/lib/apt/lists/lock /var/cache/apt/archives/lock /var/lib/dpkg/lock-frontend",
}


@pytest.mark.parametrize(
    "lock", [pytest.param(name, marks=[] if name == "lists" else [_LONG]) for name in LOCKS]
)
def test_upgrades_that_hold_a_lock_of_apt_are_waited_for(bare: Server, lock: str) -> None:
    bare.inside("dpkg --purge wireguard-tools wireguard-go nftables >/dev/null 2>&1; ! command -v wg")
    argv = bare.hosts.lab.enter(bare.key, ["python3", "-u", "-c", HOLD, *LOCKS[lock].split()])
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "ready\n"
        with ThreadPoolExecutor() as beside:
            meeting = beside.submit(bare.meet)
            wait(lambda: bare.inside("pgrep apt-get", check=False) != "", 60)
            assert bare.inside("ls /run | grep wgmesh-given", check=False) == "", (
                "keys of a run that is killed"
            )
            done = meeting.result()
        assert holder.poll() is not None, "it did not wait"
    assert done.word == "STORED", done.out
    bare.inside("ls /usr/bin/wg /usr/sbin/nft /usr/bin/wireguard-go")


@pytest.mark.long
def test_a_python_without_its_library_gets_it(hosts: Hosts, boot: Boot) -> None:
    """As on an image that has `python3-minimal` alone."""
    root = build_image(IMAGE, "debian-12", print)
    library = ["libpython3-stdlib", "libpython3.11-stdlib", "python3", "python3.11"]
    server = boot()
    offer(hosts.lab, server.key, build_repository(PACKAGES, root, "debian-12", library, print))
    server.inside(f"apt-get -qq purge {' '.join(library)} 2>&1; python3 -IS -c 'import sys'")
    server.becomes_a_node()
    server.inside("python3 -IS -c 'import bz2'")


@pytest.mark.long
def test_a_python_whose_library_is_not_to_be_had_is_told(boot: Boot) -> None:
    server = boot()
    server.inside("rm /usr/lib/python3.11/bz2.py /etc/apt/sources.list.d/* /etc/apt/sources.list -f")
    done = server.meet()
    assert done.code == 1
    assert "needs Python 3.9 or newer with its standard library (package python3)" in done.out
    assert "/usr/bin/python3: ModuleNotFoundError: No module named 'bz2'" in done.out


def test_a_package_that_is_not_to_be_had_is_told_in_apts_words(bare: Server) -> None:
    bare.inside("dpkg --purge wireguard-tools >/dev/null 2>&1; mv /srv/packages /srv/gone")
    try:
        done = bare.meet()
    finally:
        bare.inside("mv /srv/gone /srv/packages")
    assert done.code == 1
    assert "could not install wireguard-tools: " in done.out
    assert "E: " in done.out


@pytest.fixture(scope="module")
def bare(hosts: Hosts, servers: Servers) -> Iterator[Server]:
    """A server without any of the packages that a node needs, and where they can be had."""
    root = build_image(IMAGE, "debian-12", print)
    wanted = ["nftables", "wireguard-go", "wireguard-tools"]
    with servers.lent() as boot:
        server = boot()
        offer(hosts.lab, server.key, build_repository(PACKAGES, root, "debian-12", wanted, print))
        yield server
