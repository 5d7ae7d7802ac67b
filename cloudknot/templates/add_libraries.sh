# Lets the copied Python find the libraries that this image lacks. Those that it has are never shadowed.
set -e
PATH="$PATH:/usr/sbin:/sbin"
known=$(ldconfig -p)
for library in /opt/python/libraries/*; do
    case $known in *"	${library##*/} ("*) rm "$library" ;; esac
done
printf '%s\n' /opt/python/lib /opt/python/libraries >>/etc/ld.so.conf
ldconfig
/opt/python/bin/python3 -c 'import bz2, ctypes, hashlib, lzma, sqlite3, ssl, zlib'
