# Makes the person's conda environment, and checks that its Python is the one that is wanted.
set -e
program=$1 file=/mnt/build/$2 wanted=$3
export CONDA_ALWAYS_YES=true MAMBA_ALWAYS_YES=true MAMBA_ROOT_PREFIX=/mnt/conda CONDA_PKGS_DIRS=/mnt/conda/pkgs MAMBA_NO_BANNER=1
case ${program##*/} in
    micromamba) "$program" create --yes --prefix /opt/environment --file "$file" ;;
    *) "$program" env create --prefix /opt/environment --file "$file" ;;
esac
found=none
if [ -x /opt/environment/bin/python ]; then
    found=$(/opt/environment/bin/python -c 'import sys; print("%d.%d" % sys.version_info[:2])')
fi
if [ "$found" != "$wanted" ]; then
    echo "$2 gives Python $found, and this Python is $wanted: add 'python=$wanted' to its dependencies" >&2
    exit 1
fi
