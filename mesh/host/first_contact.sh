#!/bin/sh
# The agent as it is copied to a host: `sh FILE COMMAND...` runs COMMAND. On a host that was never met, and for as long
# as a host shows the throw-away SSH host key of its user data, first contact comes before that. Python runs the
# archive that follows the last line.
if [ -d /var/lib/wgmesh ] && [ ! -e /etc/ssh/sshd_config.d/00-00-wgmesh-first-contact.conf ]; then exec "$@"; fi
# A function: a shell has read all of it before it does anything, whatever becomes of the file.
first_contact() {
    # One at a time: whoever loses the connection, or is interrupted, comes again while this may take minutes.
    exec 5<"${0%/*}"
    flock -n 5 || { echo "waiting for another first contact with this server, which still goes on" >&2; flock 5; }
    given=$(mktemp /run/wgmesh-given.XXXXXX) || exit
    # The first line is for a shell that a start file has put in the place of this one.
    sed "1{/^exit 97\$/d}" >"$given"
    met=$(grep -c "\"former_host_key\"" "$given")
    # It has keys: nobody finds it by name any more, whatever becomes of this process.
    exec 3<"$given" 4<"$given"
    rm -f "$given"
    # A host that has a former host key was met: the command sees to the other one.
    if [ "$met" = 0 ]; then
        (
# bootstrap.sh
        ) <&3 3<&- 4<&- 5<&- # a daemon that a start file of root leaves behind must not keep the lock
        code=$?
        [ "$code" = 0 ] || exit "$code"
    fi
    # The first contact that this one waited for may have put the file in its place.
    for word; do
        shift
        if [ "$word" = "$0" ] && [ ! -e "$0" ]; then word=${0%/*}/wgmesh.pyz; fi
        set -- "$@" "$word"
    done
    exec "$@" <&4 3<&- 4<&-
}
first_contact "$@"
exit 1
