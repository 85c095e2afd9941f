# A server leaves the mesh: the agent takes away what it has put there, then what first contact changed comes back.
# No single quote. May be run again until it says LEFT.
set -u
umask 077
exec 2>&1
export LC_ALL=C PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"
fail() { printf "leave: %s\n" "$*"; exit 1; }
agent=/usr/local/lib/wgmesh/wgmesh.pyz state=/var/lib/wgmesh saved=/var/lib/wgmesh-before ssh=/etc/ssh
if [ -d $state/before ] && [ ! -e $saved ]; then
    rm -rf $saved.new
    cp -a $state/before $saved.new && sync && mv $saved.new $saved || fail "cannot copy $state/before"
fi
said=
if [ -e $agent ]; then
    said=$(timeout -s KILL 120 python3 -IS $agent leave </dev/null) || fail "the agent says: $said"
fi
rm -rf $state /run/wgmesh /usr/local/lib/wgmesh
if [ ! -d $saved ]; then
    printf "%s\n" "${said:-LEFT nothing of the mesh was on this server}"
    exit 0
fi
for name in ssh_host_ed25519_key ssh_host_ed25519_key.pub; do
    if [ -e $saved/$name ]; then
        cp -a $saved/$name $ssh/$name.new && mv $ssh/$name.new $ssh/$name || fail "cannot write $ssh/$name"
    else
        rm -f $ssh/$name
    fi
done
rm -f $ssh/ssh_host_wgmesh_key $ssh/ssh_host_wgmesh_key.pub $ssh/sshd_config.d/10-wgmesh*.conf
[ ! -e $saved/no-sshd_config.d ] || rmdir $ssh/sshd_config.d 2>/dev/null || true
sshd=$(command -v sshd || echo /usr/sbin/sshd)
"$sshd" -t || fail "sshd refuses its settings: look at \`sshd -t\`"
held=
for unit in ssh.socket sshd.socket; do
    if systemctl -q is-active $unit; then held=$unit; fi
done
if [ -n "$held" ]; then
    systemctl daemon-reload
    systemctl try-restart "${held%.socket}.service"
else
    for unit in ssh.service sshd.service; do
        if systemctl -q is-active $unit; then
            systemctl reload $unit || systemctl kill --kill-who=main --signal=HUP $unit
            break
        fi
    done
fi
keys=/root/.ssh/authorized_keys
if grep -q "^# BEGIN wgmesh" $keys 2>/dev/null; then
    begin=$(grep "^# BEGIN wgmesh" $keys)
    sed -i "/^# BEGIN wgmesh/,/^# END wgmesh/d" $keys
    case $begin in
        *"no end"*) truncate -s -1 $keys ;;
        *"no such file"*) [ -s $keys ] || rm -f $keys ;;
    esac
fi
[ ! -e $saved/no-ssh ] || rmdir /root/.ssh 2>/dev/null || true
added=$(sort -u $saved/packages 2>/dev/null | tr "\n" " ")
rm -rf $saved
sync
printf "LEFT the server is as it was before the mesh%s\n" "${added:+, but for packages that other programs may use by now: apt-get purge $added}"
