# After first contact with a server that is there already: let in the key of the mesh, in the lines that the
# agent takes over. No single quote. Reads what meet.sh reads.
keys=/root/.ssh/authorized_keys
[ -d /root/.ssh ] || install -d -m 0700 /root/.ssh
if [ ! -e $keys ]; then
    printf "%s\n" "# BEGIN wgmesh (there was no such file)" "$management_key" "# END wgmesh" >$keys.wgmesh
    chmod 0600 $keys.wgmesh
    mv $keys.wgmesh $keys
elif ! grep -qF "$management_key" $keys; then
    if grep -q "^# BEGIN wgmesh" $keys; then
        sed -i "/^# BEGIN wgmesh/a $management_key" $keys
    else
        begin="# BEGIN wgmesh"
        if [ -s $keys ] && [ -n "$(tail -c 1 $keys)" ]; then
            echo >>$keys
            begin="# BEGIN wgmesh (the line before had no end)"
        fi
        printf "%s\n" "$begin" "$management_key" "# END wgmesh" >>$keys
    fi
fi
if [ -e $before/had ]; then
    dpkg-query -W -f "\${Package}\n" | sort -u | comm -13 $before/had - >$before/packages
    rm $before/had
fi
sync
