#!/bin/sh
# Install on a Debian or Ubuntu machine what is missing: Debian packages and the virtual environment.
#   tools/setup.sh lab    for `make up`
#   tools/setup.sh dev    for `make test` and `make check`
# If nothing is missing, this script ends quickly and changes nothing.
set -eu
cd "$(dirname "$0")/.."
want=${1:?usage: tools/setup.sh lab|dev}

# python3-venv: the environment; openssh-client: make ssh; the rest: hosts of the lab.
packages="python3 python3-venv ca-certificates iproute2 procps openssh-client
          mmdebstrap debian-archive-keyring systemd-container dbus nftables"
# openssh-server: a real sshd for tests; wireguard-tools: tests of what `wg` itself accepts.
if [ "$want" = dev ]; then packages="$packages git openssh-server wireguard-tools"; fi

# List the links that start units of this machine at boot, or give units another name.
enabled() {
    find /etc/systemd/system -type l 2>/dev/null | sort
}

# leave_disabled BEFORE PACKAGE...: remove the links that are new since BEFORE and belong to units of these packages.
leave_disabled() {
    was=$1
    shift
    enabled | while read -r link; do
        unit=$(basename "$(readlink "$link")")
        if ! echo "$was" | grep -qxF "$link" && dpkg -L "$@" 2>/dev/null | grep -q "/systemd/system/$unit\$"; then
            $sudo rm -f "$link"
            [ ! -d /run/systemd/system ] || $sudo systemctl stop "$unit" || true
        fi
    done
    [ ! -d /run/systemd/system ] || $sudo systemctl daemon-reload || true
}

sudo=
[ "$(id -u)" = 0 ] || sudo=sudo
missing=
for package in $packages; do
    status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
    [ "$status" = installed ] || missing="$missing $package"
done
if [ -n "$missing" ]; then
    command -v apt-get >/dev/null || { echo "setup: missing$missing; this machine has no apt-get, so install them yourself" >&2; exit 1; }
    [ -z "$sudo" ] || command -v sudo >/dev/null || { echo "setup: run as root, or install sudo" >&2; exit 1; }
    echo "setup: installing$missing"
    # A third-party source of packages that does not answer must not stop the installation.
    $sudo apt-get -qq update || echo "setup: apt-get update was not complete; trying with the package lists of this machine"
    # policy-rc.d: the installed packages must not start a daemon on this machine, now or at boot
    policy=/usr/sbin/policy-rc.d
    said=$(mktemp)
    made=
    trap '[ -z "$made" ] || $sudo rm -f "$policy"; rm -f "$said"' EXIT
    trap 'exit 130' INT TERM
    if [ ! -e "$policy" ]; then
        made=yes
        printf '#!/bin/sh\nexit 101\n' | $sudo tee "$policy" >/dev/null
        $sudo chmod 0755 "$policy"
    fi
    before=$(enabled)
    rc=0
    # shellcheck disable=SC2086 # a list of words
    $sudo env DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=300 \
        install -y --no-install-recommends $missing >/dev/null 2>"$said" || rc=$?
    # shellcheck disable=SC2086 # a list of words
    leave_disabled "$before" $missing
    [ "$rc" = 0 ] || { cat "$said" >&2; echo "setup: apt-get could not install$missing (exit $rc)" >&2; exit 1; }
    [ -z "$made" ] || $sudo rm -f "$policy"
    made=
fi

python=
for candidate in python3.11 python3.12 python3.13 python3.14 python3; do
    if "$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
        python=$candidate
        break
    fi
done
[ -n "$python" ] || { echo "setup: this needs Python 3.11 or newer (Debian 12, Ubuntu 24.04 or later)" >&2; exit 1; }

stamp=.venv/.installed-$want
also=
[ "$want" = lab ] || also=requirements/python-3.13.txt
# shellcheck disable=SC2086 # no file or one
sum=$(cat requirements/mesh.txt "requirements/$want.txt" $also | sha256sum | cut -d' ' -f1)
if [ "$(cat "$stamp" 2>/dev/null || true)" != "$sum" ]; then
    echo "setup: making the virtual environment .venv ($("$python" --version)) with the packages of requirements/$want.txt"
    [ -x .venv/bin/python ] || "$python" -m venv .venv
    .venv/bin/python -m pip install -q --disable-pip-version-check --require-hashes -r "requirements/$want.txt" \
        ${also:+-r "$also"}
    rm -f .venv/.installed-*
    echo "$sum" >"$stamp"
    # the packages for tests include the packages for the lab
    [ "$want" = lab ] || cat requirements/mesh.txt requirements/lab.txt | sha256sum | cut -d' ' -f1 >.venv/.installed-lab
fi
