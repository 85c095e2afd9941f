# First contact with a new server: see that nothing is in the way, install what is missing, give it its
# permanent SSH host key. Reads one line of JSON with that: {"host_key": "..."}, perhaps with more. May be run again at
# any point. No single quote: the shell of root, whichever it is, gets all of this between two of them.
set -euf
umask 077
exec 2>&1
export LC_ALL=C
fail() { printf "bootstrap: %s\n" "$*"; exit 1; }
# One at a time: an up that was interrupted is run again while what it began may still go on here.
exec 6</root
flock -n 6 || { echo "waiting for another first contact with this server, which still goes on"; flock 6; }

key=$(mktemp /run/wgmesh-host-key.XXXXXX)
trap "rm -f $key $key.pub $key.known $key.old" EXIT
# The line before, if there is one, is for a shell that a start file has put in the place of this one. printf is a
# command of the shell: no process has the key as an argument.
printf %b "$(sed -n "s/.*\"host_key\": \"\([^\"]*\)\".*/\1/p")" >"$key"
ssh-keygen -y -f "$key" >"$key.pub" </dev/null || fail "the host key on stdin is not a private key"

[ "$(id -u)" = 0 ] || fail "needs root, is $(id -un): connect as root"
[ -d /run/systemd/system ] || fail "this host does not run systemd, which wireguard-mesh needs"

# cloud-init writes result.json at its end. To ask cloud-init starts Python again and again, which would take most of
# the time of a bootstrap.
tries=0
while [ -e /run/cloud-init/enabled ] && [ ! -e /run/cloud-init/result.json ] && [ $tries -lt 50 ]; do
    tries=$((tries + 1))
    sleep 0.2
done
if command -v cloud-init >/dev/null && ! grep -qsF "\"errors\": []" /run/cloud-init/result.json; then
    rc=0
    timeout 600 cloud-init status --wait >/dev/null || rc=$?
    # 2 means it is done with recoverable errors
    case $rc in
        0 | 2) ;;
        124) fail "cloud-init is not done after 600 s: see /var/log/cloud-init.log" ;;
        *) fail "cloud-init failed ($rc): $(cloud-init status 2>/dev/null || true), see /var/log/cloud-init.log" ;;
    esac
fi

# The sshd that listens, with its options, where one does; and the socket unit that holds its port, where one does.
listener="" options="" held="" pid=$PPID
while [ "$pid" -gt 1 ]; do
    title=$(tr "\0" " " <"/proc/$pid/cmdline")
    case $title in
        "sshd: "*"[listener]"*)
            listener=$pid
            options=$(printf "%s\n" "$title" | sed -n "s/^sshd: [^ ]* \(.*\) \[listener\].*/\1/p")
            ;;
    esac
    pid=$(sed "s/.*) . //; s/ .*//" "/proc/$pid/stat")
done
for unit in ssh.socket sshd.socket; do
    if systemctl -q is-active "$unit"; then held=$unit; fi
done

# What sshd does with a connection like this one once it reads its settings again.
sshd=$(command -v sshd || echo /usr/sbin/sshd)
[ -x "$sshd" ] || fail "this host has no OpenSSH server (sshd)"
# shellcheck disable=SC2086 # four words
set -- ${SSH_CONNECTION:-127.0.0.1 0 127.0.0.1 22}
client=$1 server=$3 port=$4
mkdir -p -m 0755 /run/sshd
read_settings() {
    # shellcheck disable=SC2086 # words
    settings=$("$sshd" $options -T -C "user=root,host=$client,addr=$client,laddr=$server,lport=$port") ||
        fail "sshd refuses its own settings: correct them, then run up again"
}
of() {
    while read -r name value; do [ "$name" != "$1" ] || printf "%s\n" "$value"; done <<END
$settings
END
}
refuse() { fail "$1 in the settings of sshd is in the way: $2. Change it in /etc/ssh, then run up again. Nothing was changed"; }
# Whether a pattern of sshd (the first argument has them) names a word; one with a network does if $2 is not no.
names() {
    patterns=$1 network=$2
    shift 2
    for pattern in $patterns; do
        for word; do
            # shellcheck disable=SC2254 # patterns, on purpose
            case $word in ${pattern%%@*}) ;; *) continue ;; esac
            # shellcheck disable=SC2254
            case $pattern in
                *@*/*) [ "$network" = no ] || return 0 ;;
                *@*) case $client in ${pattern#*@}) return 0 ;; esac ;;
                *) return 0 ;;
            esac
        done
    done
    return 1
}
read_settings
case $(of permitrootlogin) in
    no | forced-commands-only) refuse PermitRootLogin "root must be able to log in with a key (prohibit-password)" ;;
esac
[ "$(of pubkeyauthentication)" = yes ] || refuse PubkeyAuthentication "root logs in with a key"
case " $(of authenticationmethods) " in
    "  " | *" any "* | *" publickey "*) ;;
    *) refuse AuthenticationMethods "a key alone must be enough for root (publickey)" ;;
esac
groups=$(id -Gn root)
# shellcheck disable=SC2086 # words
if names "$(of denyusers)" no root; then refuse DenyUsers "this setting names root"
elif [ -n "$(of allowusers)" ] && ! names "$(of allowusers)" yes root; then refuse AllowUsers "this setting does not name root"
elif names "$(of denygroups)" no $groups; then refuse DenyGroups "this setting names a group of root"
elif [ -n "$(of allowgroups)" ] && ! names "$(of allowgroups)" yes $groups; then
    refuse AllowGroups "this setting names no group of root ($groups)"
fi
case " $(of authorizedkeysfile) " in
    *" .ssh/authorized_keys "* | *" %h/.ssh/authorized_keys "* | *" /root/.ssh/authorized_keys "*) ;;
    *) refuse AuthorizedKeysFile "sshd does not read /root/.ssh/authorized_keys, the file with the keys of this stack; add .ssh/authorized_keys" ;;
esac
kind=$(cut -d" " -f1 "$key.pub")
case ",$(of hostkeyalgorithms)," in
    ,, | *,"$kind",*) ;;
    *) refuse HostKeyAlgorithms "the permanent host key is of the kind $kind, which is missing there" ;;
esac
if [ -z "$held" ]; then
    ports=$(of listenaddress | sed "s/ .*//; s/.*://")
    echo "$ports" | grep -qx "$port" ||
        refuse "Port or ListenAddress" "sshd would no longer listen on port $port of this connection, only on $(echo $ports)"
fi
# The file of the agent comes over SFTP, which anything that a start file prints breaks.
case $(of subsystem) in
    *"sftp internal-sftp"*) ;;
    *sftp\ *)
        printed=$(env -i HOME=/root USER=root LOGNAME=root PATH="$PATH" SSH_CLIENT="$client 0 $port" \
            timeout 20 "${SHELL:-/bin/sh}" -c : 2>/dev/null </dev/null 6>&- | head -c 80 | tr "\n" "|")
        [ -z "$printed" ] ||
            fail "the start files of root (such as /root/.bashrc) print \"$printed\" in shells without a user, and this breaks copies over SSH: print only in interactive shells (\`case \$- in *i*) ;; *) return ;; esac\` before), then run up again; nothing was changed"
        ;;
    *) refuse "Subsystem" "sshd has no subsystem sftp, but the agent is copied over SFTP" ;;
esac

# Upgrades at first boot hold the locks of apt: of the lists, of the archives, of dpkg. apt waits for the last one only.
log=/run/wgmesh-apt.log
up() { cut -d. -f1 /proc/uptime; }
apt() {
    end=$(($(up) + 300))
    # shellcheck disable=SC2086 # words
    until timeout 600 apt-get -qq -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 $family "$@" >"$log" 2>&1 </dev/null 6>&-; do
        grep -qE "Could not get lock|Unable to (acquire|lock)" "$log" || return 1
        [ "$(up)" -lt "$end" ] || return 1
        sleep 3
    done
}
# Without an IPv4 route, apt need not try the IPv4 addresses of a mirror first.
family=
if command -v ip >/dev/null && [ -z "$(ip -4 route show default)" ]; then family="-o Acquire::ForceIPv6=true"; fi
wanted=
# Python may be there without its library: python3-minimal alone, or one that somebody has built.
python() {
    rc=0
    lacks=$(python3 -IS -c "import sys; sys.version_info >= (3, 9) or sys.exit(3); import bz2, json" 2>&1) || rc=$?
    case $rc in
        0 | 127) lacks= ;;
        3) fail "needs Python 3.9 or newer, and $(command -v python3) is older" ;;
        *) lacks="$(command -v python3): $(printf %s "$lacks" | tail -n 1)" ;;
    esac
    return $rc
}
python || wanted="$wanted python3"
command -v nft >/dev/null || wanted="$wanted nftables"
command -v wg >/dev/null && command -v wg-quick >/dev/null || wanted="$wanted wireguard-tools"
command -v ip >/dev/null || wanted="$wanted iproute2"
if ip link add wgmesh-probe type wireguard 2>/dev/null; then
    ip link del wgmesh-probe
elif ! command -v wireguard-go >/dev/null; then
    wanted="$wanted wireguard-go"
fi
if [ -n "$wanted" ]; then
    command -v apt-get >/dev/null ||
        fail "missing:$wanted, and this host has no apt-get to install packages${lacks:+ ($lacks)}"
    export DEBIAN_FRONTEND=noninteractive
    said=
    # a source of somebody else that does not answer need not be in the way
    apt update || said="apt-get update: $(tail -n 3 "$log"); "
    # shellcheck disable=SC2086 # words
    apt install --no-install-recommends -y $wanted || fail "could not install$wanted: ${said}apt-get install: $(tail -n 3 "$log")${family:+; this host has no IPv4: its mirrors must have IPv6}"
    rm -f "$log"
    python || fail "needs Python 3.9 or newer with its standard library (package python3): $lacks"
fi

# Where systemd holds the port, a reload would have sshd take the one in its own settings; started again, it gets
# that one. An sshd that no unit started is told by a signal. Sessions go on, this one too.
refresh() {
    if [ -n "$held" ]; then
        systemctl try-restart "${held%.socket}.service"
        return
    fi
    for unit in ssh.service sshd.service; do
        if systemctl -q is-active "$unit"; then
            systemctl reload "$unit" || systemctl kill --kill-who=main --signal=HUP "$unit"
            return
        fi
    done
    if [ -n "$listener" ]; then kill -HUP "$listener"; fi
}
host_key=/etc/ssh/ssh_host_ed25519_key
# Ask sshd without a key of a user: a client that knows this host key only is turned down by sshd, and by no other
# server. ssh-keyscan would do the same with three times the work: it cannot choose the key exchange.
echo "wgmesh $(cut -d" " -f1,2 "$key.pub")" >"$key.known"
offered() {
    said=$(timeout 10 ssh -F none -p "$port" -o BatchMode=yes -o ConnectTimeout=5 -o HostKeyAlias=wgmesh \
        -o StrictHostKeyChecking=yes -o UserKnownHostsFile="$key.known" -o GlobalKnownHostsFile=/dev/null \
        -o HostKeyAlgorithms="$kind" -o KexAlgorithms=^curve25519-sha256 -o PreferredAuthentications=none \
        "root@$server" true 2>&1 </dev/null) && return 0
    case $said in *"Permission denied"*) ;; *) return 1 ;; esac
}
# For so many seconds, at least once.
answers() {
    end=$(($(up) + $1))
    until offered; do
        [ "$(up)" -lt "$end" ] || return 1
        sleep 0.05
    done
}
dropin=/etc/ssh/sshd_config.d/10-wgmesh.conf made=
if ! cmp -s "$key" "$host_key" || ! answers 0; then
    [ ! -e "$host_key" ] || cp "$host_key" "$key.old"
    install -m 0644 "$key.pub" "$host_key.pub"
    install -m 0600 "$key" "$host_key.new"
    mv "$host_key.new" "$host_key"
    if ! of hostkey | grep -qxF "$host_key"; then
        made=$dropin
        mkdir -p -m 0755 "${dropin%/*}"
        echo "HostKey $host_key" >"$dropin"
    fi
    sync
    if ! "$sshd" -t || ! refresh || ! answers 15; then
        [ -z "$made" ] || rm -f "$made"
        rm -f "$host_key" "$host_key.pub"
        if [ -e "$key.old" ]; then
            install -m 0600 "$key.old" "$host_key"
            ssh-keygen -y -f "$host_key" >"$host_key.pub" </dev/null
            chmod 0644 "$host_key.pub"
        fi
        refresh || true
        fail "sshd did not offer the permanent host key on port $port, and has its former keys back. Look at HostKey, Include and Port in /etc/ssh/sshd_config (\`sshd -T\`) and at \`journalctl -u ssh\`, then run up again"
    fi
fi

install -d -m 0755 /usr/local/lib/wgmesh
install -d -m 0700 /var/lib/wgmesh
