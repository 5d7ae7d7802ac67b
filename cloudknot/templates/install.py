"""Installs distributions into an environment of their own; runs inside an image, with the image's own Python.

What that Python has already, at a version that will do, is not installed again. Whatever else this needs
lies below /mnt, which is no part of the image.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import platform
import py_compile
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from importlib.metadata import Distribution, distributions
from pathlib import Path

BUILD = Path("/mnt/build")
TOOLS = Path("/mnt/tools")
HOME = Path("/opt/cloudknot")
PYTHON = HOME / "bin" / "python"
SITE_PACKAGES = HOME / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"

_ADDED = re.compile(r"^ \+ (?P<pin>\S+==\S+|\S+ @ (?P<url>\S+))$", re.MULTILINE)
_HIDDEN = re.compile(r"://[^/]*\*\*\*\*@")
_NESTED = re.compile(r"\s*(?:-r|--requirement)[\s=]*(\S+)")
_OPTION = re.compile(r"\s*(?:--(?!hash|requirement|constraint)[a-z]|-[if]\s)")
_OF_THE_BASE = ("UV_SYSTEM_PYTHON", "UV_PYTHON", "UV_PROJECT_ENVIRONMENT", "VIRTUAL_ENV", "CONDA_PREFIX")


def install_pins(uv: Uv, name: str) -> None:
    """Install the pins of a file, but for those that are here already."""
    uv.install("--no-deps", pins=_missing(_lines(name)))


def install_packages(uv: Uv, name: str, *constraints: str) -> None:
    """Install packages and what they depend on, as far as it is not here already; keep to the constraints."""
    known = [option for file in constraints for option in ("-c", str(BUILD / file))]
    # From within the environment uv does not see what the base has, so it is asked from the base's side.
    planned = uv.ask(
        "pip", "install", "--dry-run", "--break-system-packages", "--python", sys.executable,
        "-r", str(BUILD / name), *known,
    )  # fmt: skip
    # What a constraint names has a layer of its own.
    fixed = {line for file in constraints for line in _lines(file)}
    given = _lines(name)
    found = [_with_password(added["pin"], added["url"], given) for added in _ADDED.finditer(planned)]
    pins = _missing(pin for pin in found if pin not in fixed)
    uv.install("--no-deps", *_options_of(BUILD / name), pins=pins)


def install_file(uv: Uv, name: str) -> None:
    """Install what a person's own requirements file says, hashes and all."""
    uv.install("-r", str(BUILD / name))


def install_lock(uv: Uv, name: str) -> None:
    """Install what a ``uv.lock`` says, but for what lies on the person's own disk: that travels."""
    exported = str(uv.scratch / "exported.txt")
    uv.run(
        "export", "--quiet", "--frozen", "--no-dev", "--no-emit-local", "--no-header", "--no-annotate",
        "--python", str(PYTHON), "--project", str((BUILD / name).parent), "--output-file", exported,
    )  # fmt: skip
    uv.install("--no-deps", "-r", exported)


def install_runner(uv: Uv, name: str) -> None:
    """Install what cloudknot's own runner needs, beside what a person's file has brought, and keep that."""
    wanted = {_name_of(line): line for line in _lines(name)}
    # Pickles are read by the version that wrote them.
    uv.install("--no-deps", pins=_missing([wanted["cloudpickle"]]))
    here = [f"{found.name}=={found.version}" for found in _distributions().values()]
    constraints = uv.write("here.txt", here)
    for line in (wanted["boto3"], "boto3"):
        with contextlib.suppress(subprocess.CalledProcessError):
            install_packages(uv, uv.write("boto3.txt", [line]), constraints)
            return
    sys.exit("no version of boto3 goes with what is to be installed: name one there that does")


class Uv:
    """The installer, and a folder for what it reads."""

    def __init__(self, scratch: Path, version: str) -> None:
        self.scratch = scratch
        self._version = version
        self._environment = {name: value for name, value in os.environ.items() if name not in _OF_THE_BASE}
        self._environment |= {
            "NO_COLOR": "1",
            "UV_HTTP_TIMEOUT": os.environ.get("UV_HTTP_TIMEOUT", "120"),
            "UV_NO_CACHE": "1",
            "UV_NO_PROGRESS": "1",
            "UV_PYTHON_DOWNLOADS": "never",
        }

    def write(self, name: str, lines: Iterable[str]) -> str:
        """Write a file of lines and return its path."""
        path = self.scratch / name
        path.write_text("".join(f"{line}\n" for line in lines))
        return str(path)

    def install(self, *options: str, pins: list[str] | None = None) -> None:
        """Install into the environment; with pins, these and nothing else."""
        if pins is not None:
            if not pins:
                sys.stdout.write("all of it is here already\n")
                return
            options = (*options, "-r", self.write("pins.txt", pins))
        self.run("pip", "install", "--python", str(PYTHON), *options)

    def run(self, *arguments: str) -> None:
        """Run it; what it says is heard outside."""
        subprocess.run([_fetch_uv(self._version), *arguments], env=self._environment, check=True)

    def ask(self, *arguments: str) -> str:
        """Run it and return what it says."""
        done = subprocess.run(
            [_fetch_uv(self._version), *arguments],
            env=self._environment,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
        if done.returncode:
            sys.stdout.write(done.stderr)
        done.check_returncode()
        return done.stderr


def _fetch_uv(version: str) -> str:
    """Return uv's path; it is installed where it stays for the next image, but in none."""
    # What runs with one C library does not run with another.
    folder = TOOLS / f"uv-{version}-{platform.libc_ver()[0] or 'musl'}"
    program = folder / "bin" / "uv"
    if not program.exists():
        part = tempfile.mkdtemp(dir=TOOLS)
        subprocess.run(
            [
                *_pip(), "install", "--quiet", "--no-cache-dir", "--no-compile",
                "--disable-pip-version-check", "--root-user-action=ignore",
                "--target", part, f"uv=={version}",
            ],
            check=True,
        )  # fmt: skip
        # Another image may be made at the same time.
        with contextlib.suppress(OSError):
            Path(part).rename(folder)
        shutil.rmtree(part, ignore_errors=True)
    return str(program)


def _pip() -> list[str]:
    if importlib.util.find_spec("pip"):
        return [sys.executable, "-m", "pip"]
    # A wheel of pip runs as it is; so does a copy from elsewhere.
    bundled = importlib.util.find_spec("ensurepip")
    places = [Path(place) for place in (bundled.submodule_search_locations or ())] if bundled else []
    wheels = [wheel / "pip" for place in places for wheel in place.glob("_bundled/pip-*.whl")]
    return [sys.executable, str((wheels or [TOOLS / "pip"])[0])]


def _make_environment(uv: Uv) -> None:
    """Make the environment on top of this Python and what it has installed, unless it is there."""
    if PYTHON.exists():
        return
    HOME.mkdir(parents=True, exist_ok=True)
    uv.run(
        "venv", "--quiet", "--allow-existing", "--system-site-packages", "--python", sys.executable, str(HOME)
    )
    if sys.prefix != sys.base_prefix:
        # What stands in an environment is not seen from another that is made with its Python.
        import site  # noqa: PLC0415  # seldom needed

        (SITE_PACKAGES / "base.pth").write_text("".join(f"{place}\n" for place in site.getsitepackages()))
    for script in ("activate", "deactivate", "pydoc"):
        for file in (HOME / "bin").glob(f"{script}*"):
            file.unlink()


def _compile_all() -> None:
    """Write bytecode, with which containers start faster, on all processors."""
    # Nobody imports the tests, which are more than half of it.
    sources = [path for path in HOME.rglob("*.py") if not {"tests", "test"} & {*path.parts}]
    waiting = [path for path in sources if not Path(importlib.util.cache_from_source(str(path))).exists()]
    waiting.sort(key=lambda path: -path.stat().st_size)
    count = len(os.sched_getaffinity(0))
    children = []
    for number in range(count):
        child = os.fork()
        if child == 0:
            _compile(waiting[number::count])
            os._exit(0)
        children.append(child)
    for child in children:
        os.waitpid(child, 0)


def _compile(paths: list[Path]) -> None:
    mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
    for path in paths:
        # Some files are templates, or for another Python.
        with contextlib.suppress(Exception):
            py_compile.compile(str(path), doraise=True, invalidation_mode=mode)


@contextlib.contextmanager
def _git() -> Iterator[None]:
    """Have git for as long as it is needed."""
    is_needed = any(b"git+" in file.read_bytes() for file in BUILD.rglob("*") if _is_list(file))
    if not is_needed or shutil.which("git") or not shutil.which("apt-get"):
        yield
        return
    before = _debian_packages()
    _apt_get("update")
    _apt_get("install", "--no-install-recommends", "git", "ca-certificates")
    try:
        yield
    finally:
        _apt_get("purge", *sorted(_debian_packages() - before))
        for left in Path("/var/lib/apt/lists").iterdir():
            shutil.rmtree(left) if left.is_dir() else left.unlink()


def _apt_get(*arguments: str) -> None:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.run(
        ["apt-get", "-qq", "-y", *arguments], capture_output=True, text=True, env=environment, check=False
    )
    if done.returncode:
        sys.stdout.write(done.stdout + done.stderr)
    done.check_returncode()


def _is_list(file: Path) -> bool:
    return file.is_file() and file.suffix not in (".py", ".sh")


def _debian_packages() -> set[str]:
    query = ["dpkg-query", "--show", "--showformat=${binary:Package} ${db:Status-Status}\n"]
    listed = subprocess.run(query, check=True, capture_output=True, text=True).stdout
    return {line.split()[0] for line in listed.splitlines() if line.endswith(" installed")}


def _distributions() -> dict[str, Distribution]:
    """Return what can be imported, by name; what comes first in the path counts."""
    found: dict[str, Distribution] = {}
    for distribution in distributions(path=[str(SITE_PACKAGES), *sys.path]):
        if distribution.name:
            found.setdefault(_name_of(distribution.name), distribution)
    return found


def _missing(pins: Iterable[str]) -> list[str]:
    here = {f"{name}=={found.version}" for name, found in _distributions().items()}
    return [pin for pin in pins if f"{_name_of(pin)}=={pin.partition('==')[2].strip()}" not in here]


def _with_password(pin: str, url: str | None, given: list[str]) -> str:
    """Return a pin with what uv does not show of its address."""
    if url is None or not _HIDDEN.search(url):
        return pin
    place = url.rpartition("****@")[2].partition("@")[0]
    return next((line for line in given if place in line), pin)


def _options_of(file: Path) -> Iterator[str]:
    """Yield the options that a requirements file sets, such as an index of its own."""
    for line in file.read_text().splitlines():
        if nested := _NESTED.match(line):
            yield from _options_of(file.parent / nested[1])
        elif _OPTION.match(line):
            option, _, value = line.strip().replace("=", " ", 1).partition(" ")
            yield option
            yield from filter(None, [value.strip()])


def _name_of(line: str) -> str:
    return re.sub(r"[-_.]+", "-", re.split(r"[\s=<>!~;@\[]", line.strip(), maxsplit=1)[0]).lower()


def _lines(name: str) -> list[str]:
    return [line for line in (BUILD / name).read_text().splitlines() if line.strip()]


_COMMANDS = {
    "pins": install_pins,
    "packages": install_packages,
    "file": install_file,
    "lock": install_lock,
    "runner": install_runner,
}


def main(version: str, command: str, *arguments: str) -> None:
    """Do one thing with a version of uv."""
    try:
        with tempfile.TemporaryDirectory() as scratch, _git():
            uv = Uv(Path(scratch), version)
            _make_environment(uv)
            _COMMANDS[command](uv, *arguments)
        _compile_all()
    except subprocess.CalledProcessError as error:
        sys.exit(error.returncode)
    finally:
        (HOME / ".lock").unlink(missing_ok=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
