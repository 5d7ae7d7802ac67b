# Adds an unprivileged user, with the means that any image has; one of that name stays as it is.
set -e
name=$1
# The third field of the line of a name; and whether any line has a number there.
number_of() { while IFS=: read -r first _ third _; do [ "$first" = "$2" ] && echo "$third" && return; done <"$1"; }
is_taken() { while IFS=: read -r _ _ third _; do [ "$third" = "$2" ] && return 0; done <"$1"; return 1; }
uid=$(number_of /etc/passwd "$name" || true)
if [ "$uid" = 0 ]; then
    echo "the base image has a user $name with all rights: choose another name with user=" >&2
    exit 1
fi
if [ -z "$uid" ]; then
    uid=1000
    while is_taken /etc/passwd "$uid" || is_taken /etc/group "$uid"; do uid=$((uid + 1)); done
    gid=$(number_of /etc/group "$name" || true)
    if [ -z "$gid" ]; then
        gid=$uid
        echo "$name:x:$gid:" >>/etc/group
    fi
    echo "$name:x:$uid:$gid::/home/$name:/bin/sh" >>/etc/passwd
fi
mkdir -p "/home/$name"
chown "$uid" "/home/$name"
