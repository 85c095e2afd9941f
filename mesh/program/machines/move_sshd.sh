# Have sshd listen on port $1, which its settings have since cloud-init wrote them. Runs on a new server.
set -u
port=$1
systemctl daemon-reload
if systemctl -q is-active ssh.socket; then
    # systemd holds the port. On Ubuntu it comes from sshd's settings, which a generator has read just now.
    systemctl stop ssh.service
    systemctl restart ssh.socket
    if ! systemctl show --property=Listen ssh.socket | grep -q ":$port "; then
        mkdir -p /etc/systemd/system/ssh.socket.d
        printf '[Socket]\nListenStream=\nListenStream=%s\n' "$port" >/etc/systemd/system/ssh.socket.d/10-wgmesh-port.conf
        systemctl daemon-reload
        systemctl restart ssh.socket
    fi
    exit
fi
# An address with a port of its own takes no notice of Port.
if ! sshd -T | grep -q "^listenaddress .*:$port\( \|$\)"; then
    addresses=$(sshd -T | sed -n 's/^listenaddress \(.*\):[0-9]*\( .*\)\{0,1\}$/\1/p' | sort -u)
    for address in $addresses; do
        echo "ListenAddress $address:$port"
    done >/etc/ssh/sshd_config.d/10-wgmesh-listen.conf
fi
systemctl restart ssh || systemctl restart sshd
