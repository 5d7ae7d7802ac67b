# Says what is in an image, a line each. Given: the minor version of Python that is wanted.
wanted=$1
PATH="$PATH:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/opt/conda/bin"
try() {
    [ -x "$1" ] || return 1
    found=$("$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) || return 1
    [ "$found" = "$wanted" ] || return 1
    echo "interpreter=$1"
    if "$1" -m pip --version >/dev/null 2>&1; then echo "has_pip=yes"; fi
}
for name in python "python$wanted" python3 /usr/local/bin/python3 "/usr/bin/python$wanted"; do
    path=$(command -v "$name" 2>/dev/null) && try "$path" && break
done
if version=$(getconf GNU_LIBC_VERSION 2>/dev/null); then
    echo "libc=$version"
elif version=$(ldd --version 2>&1 | head -n 1) && [ "${version#*GLIBC}${version#*GNU libc}" != "$version$version" ]; then
    echo "libc=glibc ${version##* }"
else
    for loader in /lib/ld-musl-*; do
        [ -e "$loader" ] && echo "libc=musl $("$loader" 2>&1 | while read -r word rest; do
            [ "$word" = Version ] && echo "$rest"
        done)"
    done
fi
for name in micromamba mamba conda; do
    if path=$(command -v "$name" 2>/dev/null); then echo "conda=$path"; break; fi
done
if command -v apt-get >/dev/null 2>&1; then echo "has_apt=yes"; fi
exit 0
