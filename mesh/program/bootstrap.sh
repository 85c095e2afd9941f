# First contact with a new server: wait until it is ready, install what is missing, give it its
# permanent SSH host key (on stdin). May be run again at any point.
set -eu
umask 077
exec 2>&1
fail() { echo "bootstrap: $*"; exit 1; }

key=$(mktemp /run/wgmesh-host-key.XXXXXX)
trap 'rm -f "$key" "$key.pub"' EXIT
cat >"$key"
ssh-keygen -y -f "$key" >"$key.pub" || fail "the host key on stdin is not a private key"

[ "$(id -u)" = 0 ] || fail "needs root, is $(id -un): connect as root"
[ -d /run/systemd/system ] || fail "this host does not run systemd, which wireguard-mesh needs"

# It writes this when it is done without an error. Asking it starts Python, most of what a bootstrap would take.
if command -v cloud-init >/dev/null && ! grep -qsF '"errors": []' /run/cloud-init/result.json; then
    rc=0
    timeout 600 cloud-init status --wait >/dev/null || rc=$?
    # 2 means it is done with recoverable errors
    case $rc in
        0 | 2) ;;
        124) fail "cloud-init is not done after 600 s: see /var/log/cloud-init.log" ;;
        *) fail "cloud-init failed ($rc): $(cloud-init status 2>/dev/null || true), see /var/log/cloud-init.log" ;;
    esac
fi

wanted=
command -v python3 >/dev/null || wanted="$wanted python3"
command -v nft >/dev/null || wanted="$wanted nftables"
command -v wg >/dev/null && command -v wg-quick >/dev/null || wanted="$wanted wireguard-tools"
command -v ip >/dev/null || wanted="$wanted iproute2"
if ip link add wgmesh-probe type wireguard 2>/dev/null; then
    ip link del wgmesh-probe
elif ! command -v wireguard-go >/dev/null; then
    wanted="$wanted wireguard-go"
fi
if [ -n "$wanted" ]; then
    command -v apt-get >/dev/null || fail "missing:$wanted, and there is no apt-get to install it with"
    export DEBIAN_FRONTEND=noninteractive
    apt="timeout 600 apt-get -qq -o DPkg::Lock::Timeout=300"
    # shellcheck disable=SC2086 # both are lists of words
    { $apt update && $apt install --no-install-recommends -y $wanted; } >/run/wgmesh-apt.log ||
        fail "could not install$wanted: $(tail -n 3 /run/wgmesh-apt.log)"
    rm -f /run/wgmesh-apt.log
fi
python3 -c 'import sys; sys.exit(sys.version_info < (3, 9))' || fail "needs Python 3.9 or newer"

host_key=/etc/ssh/ssh_host_ed25519_key
if ! cmp -s "$key" "$host_key"; then
    install -m 0644 "$key.pub" "$host_key.pub"
    install -m 0600 "$key" "$host_key.new"
    mv "$host_key.new" "$host_key"
    sync
fi
sshd=$(command -v sshd || echo /usr/sbin/sshd)
mkdir -p -m 0755 /run/sshd
"$sshd" -t || fail "sshd refuses its configuration"
systemctl reload ssh 2>/dev/null || systemctl reload sshd || fail "sshd could not be reloaded"

install -d -m 0755 /usr/local/lib/wgmesh
install -d -m 0700 /var/lib/wgmesh
echo ready
