# Gathers the libraries that a Python needs and its image has, but for the C library itself.
set -e
mkdir -p /opt/libraries
# Wheels may expect these of any Linux (PEP 600), and need not bring them.
expected="libgcc_s.so.1 libstdc++.so.6 libz.so.1"
{
    find /usr/local/bin /usr/local/lib -type f \( -name 'python3*' -o -name '*.so*' \) -exec ldd {} + 2>/dev/null
    for name in $expected; do
        ldconfig -p | while read -r known rest; do
            case $known in "$name") echo "$name => ${rest##*=> }" ;; esac
        done
    done
} | while read -r name arrow path _; do
    [ "$arrow" = "=>" ] && [ -f "$path" ] || continue
    case $path in /usr/local/*) continue ;; esac
    case $name in
        ld-linux* | libc.so.* | libm.so.* | libdl.so.* | libpthread.so.* | librt.so.* | libutil.so.* | libresolv.so.*) ;;
        *) [ -e "/opt/libraries/$name" ] || cp -L "$path" "/opt/libraries/$name" ;;
    esac
done
