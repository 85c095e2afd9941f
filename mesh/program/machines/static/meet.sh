# Before first contact with a server that is there already: see that nothing on it is in the way, and save what
# first contact changes. No single quote. Reads: networks, management_key, host_key (two words each).
set -euf
umask 077
exec 2>&1
export LC_ALL=C PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"
fail() { printf "bootstrap: %s\n" "$*"; exit 1; }
[ "$(id -u)" = 0 ] || fail "needs root, is $(id -un)"
# One at a time: an up that was interrupted is run again while what it began may still go on here.
exec 6</root
flock -n 6 || { echo "waiting for another first contact with this server, which still goes on"; flock 6; }
state=/var/lib/wgmesh before=/var/lib/wgmesh/before ssh=/etc/ssh
shown=$(cut -d" " -f1,2 $ssh/ssh_host_ed25519_key.pub 2>/dev/null || true)
if [ "$shown" != "$host_key" ]; then
    again="then run up again. Nothing was changed"
    [ ! -e $state/current ] ||
        fail "this server is a node of another mesh of wireguard-mesh ($state). Take it out of that mesh first (or, if that stack is gone, run \`python3 -IS /usr/local/lib/wgmesh/wgmesh.pyz leave\` on the server), $again"
    if [ -e /sys/class/net/wg0 ]; then
        fail "the server has an interface wg0 already, which is not of this mesh: $(ip -o -4 addr show dev wg0 | sed "s/.*inet \([^ ]*\).*/\1/" | tr "\n" " "). Moving an existing tunnel into the mesh is not supported yet: take wg0 down, or give it another name, $again"
    fi
    if systemctl -q is-enabled wg-quick@wg0 2>/dev/null; then
        fail "wg-quick@wg0 is enabled on the server, with an interface wg0 that is not of this mesh. Moving an existing tunnel into the mesh is not supported yet: \`systemctl disable wg-quick@wg0\`, or give it another name, $again"
    fi
    tunnels=$(ip -o link show type wireguard 2>/dev/null | sed "s/^[0-9]*: \([^:@]*\).*/\1/" || true)
    # the userspace implementation has links of another kind
    if command -v wg >/dev/null; then tunnels="$tunnels $(wg show interfaces 2>/dev/null || true)"; fi
    for link in $(printf "%s\n" $tunnels | sort -u); do
        for cidr in $networks; do
            case $cidr in *:*) family=-6 ;; *) family=-4 ;; esac
            inside=$(ip -o $family addr show dev "$link" to "$cidr" | sed "s/.*inet6\{0,1\} \([^ ]*\).*/\1/"; ip $family route show table all type unicast dev "$link" root "$cidr" | sed "s/ .*//")
            [ -z "$inside" ] ||
                fail "the WireGuard interface $link of the server, which is not of this mesh, has $(printf "%s\n" $inside | sort -u | tr "\n" " ")in $cidr, the network of the mesh. Choose another network for the mesh, or take $link down, $again"
        done
    done
    rm -rf $before
    install -d -m 0700 $state $before
    for name in ssh_host_ed25519_key ssh_host_ed25519_key.pub; do
        [ ! -e $ssh/$name ] || cp -a $ssh/$name $before/
    done
    [ -e $ssh/sshd_config.d ] || : >$before/no-sshd_config.d
    [ -e /root/.ssh ] || : >$before/no-ssh
    if command -v dpkg-query >/dev/null; then dpkg-query -W -f "\${Package}\n" | sort -u >$before/had; fi
fi
