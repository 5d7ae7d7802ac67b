"""A root folder for images, made of what this machine has installed: Debian's files, then its Python."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from tests.rig import debian

VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"
SEARCH_PATH = "/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin"
# So that apt and pip reach what they reach here. Private keys under /etc/ssl stay out.
CONFIGURATION = (
    "/etc/pip.conf",
    "/etc/apt",
    "/etc/ssl/openssl.cnf",
    "/etc/ssl/certs",
    "/etc/ca-certificates.conf",
    "/usr/local/share/ca-certificates",
)
# What no package brings, and images have.
_FOLDERS = ("mnt", "opt", "srv", "run/lock", "usr/local/bin", "usr/local/lib", "var/lib/dpkg/triggers")
_PYTHON_LEFT_OUT = ("site-packages", "test", "tests", "idle_test", "EXTERNALLY-MANAGED", "*.a", "*.opt-?.pyc")


class Rootfs:
    """The folder that becomes an image's file system."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._installed = debian.installed_packages()
        self._packages: set[str] = set()

    def add_debian(self) -> None:
        """Make a small Debian: what is required, and apt."""
        for folder in ("bin", "sbin", "lib", "lib64"):
            (self.root / "usr" / folder).mkdir(parents=True)
            (self.root / folder).symlink_to(f"usr/{folder}")
        for folder in _FOLDERS:
            (self.root / folder).mkdir(parents=True, exist_ok=True)
        self._add_packages({"apt", *(one.name for one in self._installed.values() if one.is_required)})
        self._add_records()
        for path in map(Path, CONFIGURATION):
            self._copy(path)
        self._add_alternatives()
        self.run("ldconfig")
        self.run("pwconv")
        self.run("grpconv")
        self.run("pam-auth-update", "--package", "--force")

    def add_python(self) -> None:
        """Add the running Python, with pip, in /usr/local as the public images have it."""
        self._add_packages({"ca-certificates", "netbase", "tzdata"})
        if sys.base_prefix == "/usr":
            self._add_system_python()
        else:
            self._add_own_python(Path(sys.base_prefix))

    def _add_system_python(self) -> None:
        """Add Debian's Python, which lets nobody install into it, and an environment of it in /usr/local."""
        self._add_packages({f"python{VERSION}-venv"})
        self.run("ldconfig")
        self.run(f"/usr/bin/python{VERSION}", "-m", "venv", "/usr/local")
        self._compile("/usr/lib")

    def _add_own_python(self, prefix: Path) -> None:
        """Move a Python from its own folder to /usr/local."""
        local = self.root / "usr/local"
        binary = prefix / "bin" / f"python{VERSION}"
        shutil.copy2(binary, local / "bin")
        for name in ("python", "python3"):
            (local / "bin" / name).symlink_to(binary.name)
        left_out = shutil.ignore_patterns(*_PYTHON_LEFT_OUT)
        for folder in (f"lib/python{VERSION}", f"include/python{VERSION}"):
            shutil.copytree(prefix / folder, local / folder, symlinks=True, ignore=left_out)
        for library in prefix.glob("lib/libpython*.so*"):
            shutil.copy2(library, local / "lib", follow_symlinks=False)
        modules = prefix.glob(f"lib/python{VERSION}/lib-dynload/*.so")
        linking = [
            binary,
            *prefix.glob("lib/libpython*.so"),
            *(one for one in modules if "tkinter" not in one.name),
        ]
        self._add_packages(debian.owners(debian.linked_libraries(linking)))
        self.run("ldconfig")
        self.run("python3", "-m", "ensurepip", "--default-pip")
        self._compile("/usr/local/lib")

    def _compile(self, libraries: str) -> None:
        """Compile the standard library, as otherwise each container would do it again."""
        self.run(f"python{VERSION}", "-m", "compileall", "-q", f"{libraries}/python{VERSION}")

    def run(self, *command: str) -> None:
        """Run a command inside."""
        null = self.root / "dev/null"
        null.touch()
        subprocess.run(
            ["chroot", str(self.root), *command],
            env={
                "PATH": SEARCH_PATH,
                "LANG": "C.UTF-8",
                "HOME": "/root",
                "DEBIAN_FRONTEND": "noninteractive",
            },
            capture_output=True,
            check=True,
        )
        null.unlink()

    def _add_packages(self, names: Iterable[str]) -> None:
        """Add packages and all that they depend on: their files, and dpkg's records of them."""
        new = debian.close_over_needs(names, self._installed) - self._packages
        self._packages |= new
        paths = [
            path.removeprefix("/") for path in debian.files_of(new) if path != "/." and os.path.lexists(path)
        ]
        _copy_listed(paths, self.root)
        for record in (record for name in new for record in debian.record_files(name)):
            shutil.copy2(record, self.root / "var/lib/dpkg/info")
        (self.root / "var/lib/dpkg/status").write_text(debian.status_of(self._packages))
        for name, text in debian.triggers_of(self._packages):
            (self.root / "var/lib/dpkg/triggers" / name).write_text(text)

    def _add_records(self) -> None:
        """Add what the installation of the packages would have made."""
        (self.root / "var/lib/dpkg/info/format").write_text("1\n")
        for empty in ("available", "diversions", "statoverride"):
            (self.root / "var/lib/dpkg" / empty).touch()
        for name in ("passwd", "group"):
            shutil.copy2(f"/usr/share/base-passwd/{name}.master", self.root / "etc" / name)
        for source, target in (("libc-bin/nsswitch.conf", "etc"), ("base-files/profile", "etc")):
            shutil.copy2(Path("/usr/share") / source, self.root / target)

    def _add_alternatives(self) -> None:
        """Let the names that stand for a choice, such as awk, stand for the best that is inside."""
        for name, link, choices in debian.alternatives():
            inside = [path for path in choices if (self.root / path.removeprefix("/")).exists()]
            if inside:
                (self.root / "etc/alternatives" / name).symlink_to(inside[0])
                place = self.root / link.removeprefix("/")
                place.parent.mkdir(parents=True, exist_ok=True)
                place.unlink(missing_ok=True)
                place.symlink_to(f"/etc/alternatives/{name}")

    def _copy(self, path: Path) -> None:
        target = self.root / path.relative_to("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            shutil.copytree(path, target, symlinks=True, dirs_exist_ok=True)
        elif path.exists():
            shutil.copy2(path, target)


def _copy_listed(paths: list[str], root: Path) -> None:
    """Copy these paths of this machine, folders without what is in them, with owners and modes."""
    read = ["tar", "--create", "--directory=/", "--no-recursion", "--null", "--files-from=-"]
    write = ["tar", "--extract", f"--directory={root}", "--preserve-permissions", "--keep-directory-symlink"]
    with subprocess.Popen(write, stdin=subprocess.PIPE) as writer:
        subprocess.run(read, input="\0".join(paths).encode(), stdout=writer.stdin, check=True)
    if writer.returncode:
        raise subprocess.CalledProcessError(writer.returncode, write)
