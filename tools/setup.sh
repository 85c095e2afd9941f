#!/bin/sh
# Set up what is missing on a Debian or Ubuntu machine: Debian packages and the virtual environment.
#   tools/setup.sh lab    what `make up` needs
#   tools/setup.sh dev    what `make test` and `make check` need
# Does nothing, quickly, when all is there.
set -eu
cd "$(dirname "$0")/.."
want=${1:?usage: tools/setup.sh lab|dev}

# python3-venv: the environment; openssh-client: make ssh; the rest: hosts of the lab.
packages="python3 python3-venv ca-certificates iproute2 procps openssh-client
          mmdebstrap systemd-container dbus nftables"
# openssh-server: a real sshd for tests; wireguard-tools: tests of what `wg` itself accepts.
if [ "$want" = dev ]; then packages="$packages git openssh-server wireguard-tools"; fi

sudo=
[ "$(id -u)" = 0 ] || sudo=sudo
missing=
for package in $packages; do
    status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
    [ "$status" = installed ] || missing="$missing $package"
done
if [ -n "$missing" ]; then
    command -v apt-get >/dev/null || { echo "setup: missing$missing, and there is no apt-get here" >&2; exit 1; }
    [ -z "$sudo" ] || command -v sudo >/dev/null || { echo "setup: run as root, or install sudo" >&2; exit 1; }
    echo "setup: installing$missing"
    # A third-party source of this machine that does not answer must not stop us.
    $sudo apt-get -qq update || echo "setup: apt-get update was not complete; trying with what it has"
    # policy-rc.d: installing openssh-server must not start a daemon on this machine
    policy=/usr/sbin/policy-rc.d
    made=
    if [ ! -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' | $sudo tee "$policy" >/dev/null
        $sudo chmod 0755 "$policy"
        made=yes
    fi
    rc=0
    # shellcheck disable=SC2086 # a list of words
    $sudo env DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=300 \
        install -y --no-install-recommends $missing >/dev/null || rc=$?
    [ -z "$made" ] || $sudo rm -f "$policy"
    [ "$rc" = 0 ] || { echo "setup: apt-get could not install$missing (exit $rc)" >&2; exit 1; }
fi

python=
for candidate in python3.11 python3.12 python3.13 python3.14 python3; do
    if "$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
        python=$candidate
        break
    fi
done
[ -n "$python" ] || { echo "setup: needs Python 3.11 or newer (Debian 12, Ubuntu 24.04 or later)" >&2; exit 1; }

stamp=.venv/.installed-$want
sum=$(cat requirements/mesh.txt "requirements/$want.txt" | sha256sum | cut -d' ' -f1)
if [ "$(cat "$stamp" 2>/dev/null || true)" != "$sum" ]; then
    echo "setup: virtual environment .venv ($("$python" --version)), pinned packages of requirements/$want.txt"
    [ -x .venv/bin/python ] || "$python" -m venv .venv
    .venv/bin/python -m pip install -q --disable-pip-version-check --require-hashes -r "requirements/$want.txt"
    rm -f .venv/.installed-*
    echo "$sum" >"$stamp"
    # what the tests need includes what the lab needs
    [ "$want" = lab ] || cat requirements/mesh.txt requirements/lab.txt | sha256sum | cut -d' ' -f1 >.venv/.installed-lab
fi
