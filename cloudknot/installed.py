"""The distributions that are installed here: which provides a module, where it came from, what it needs."""

from __future__ import annotations

import csv
import functools
import importlib.metadata
import json
import platform
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.machinery import ModuleSpec
from importlib.metadata import Distribution
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from packaging.requirements import InvalidRequirement, Requirement

from cloudknot.whereabouts import find_module, is_installed, is_namespace

# Markers are asked for where the function will run: a container is Linux, whatever this machine is.
_LINUX = {"sys_platform": "linux", "platform_system": "Linux", "os_name": "posix"}
_MACHINES = {"arm64": "aarch64", "AMD64": "x86_64"}

# An entry of the path, and when an installer last changed it.
_Path = tuple[tuple[str, int], ...]


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Where a distribution came from; all empty where an index has it.

    Parameters
    ----------
    address : str
        The direct address, with the commit or the hash.
    local : Path, optional
        The folder or file of this machine, which nobody else has.
    is_editable : bool
        Whether its modules are imported from that folder.
    """

    address: str = ""
    local: Path | None = None
    is_editable: bool = False


def normalise(name: str) -> str:
    """Return a distribution's name as an index knows it.

    Examples
    --------
    >>> normalise("Scikit_Learn")
    'scikit-learn'
    """
    return re.sub(r"[-_.]+", "-", name).lower()


def find_distribution(name: str) -> Distribution | None:
    """Return a distribution: as it is installed, rather than as it was left beside its source."""
    found = list(Distribution.discover(name=name))
    return next((one for one in found if not _is_beside_source(one)), found[0] if found else None)


def base_of(distribution: Distribution) -> Path:
    """Return the folder that a distribution is installed in."""
    return Path(str(distribution.locate_file("")))


def _is_beside_source(distribution: Distribution) -> bool:
    # setuptools leaves an .egg-info in a project's own folder, which does not say where it came from.
    return distribution.read_text("METADATA") is None and not is_installed(base_of(distribution))


def origin_of(distribution: Distribution) -> Origin:
    """Read where a distribution came from (PEP 610)."""
    if _is_beside_source(distribution):
        return Origin(local=base_of(distribution), is_editable=True)
    record = _direct_url_of(distribution)
    url = str(record.get("url", ""))
    if url.startswith("file:"):
        local = Path(unquote(urlsplit(url).path))
        if _is_condas(distribution, local):
            return Origin()
        return Origin(local=local, is_editable=bool(record.get("dir_info", {}).get("editable")))
    fragments = [f"subdirectory={record['subdirectory']}"] if "subdirectory" in record else []
    version_control = record.get("vcs_info")
    if version_control is not None:
        url = f"{version_control['vcs']}+{url}@{version_control['commit_id']}"
    else:
        digest = record.get("archive_info", {}).get("hashes", {}).get("sha256")
        fragments += [f"sha256={digest}"] if digest else []
    return Origin(address="#".join(filter(None, [url, "&".join(fragments)])))


def _direct_url_of(distribution: Distribution) -> Mapping[str, Any]:
    try:
        record: Mapping[str, Any] = json.loads(distribution.read_text("direct_url.json") or "{}")
    except ValueError:
        return {}
    return record


def _is_condas(distribution: Distribution, local: Path) -> bool:
    # Many conda packages name the folder in which they were built, on somebody else's machine.
    installer = (distribution.read_text("INSTALLER") or "").strip()
    return installer == "conda" or (Path(sys.prefix, "conda-meta").is_dir() and not local.exists())


def providers_of(module: str) -> set[str]:
    """Return the names of the distributions that provide a module; more than one where they share it."""
    spec = find_module(module)
    if spec is not None:
        return _by_name(module) or _by_file(spec)
    # A package may make modules as it is imported, which cannot be found; a namespace makes none.
    parent, around = module, None
    while around is None and (parent := parent.rpartition(".")[0]):
        around = find_module(parent)
    return set() if around is None or is_namespace(around) else _by_name(module)


def _by_name(module: str) -> set[str]:
    names = set(_by_module().get(module.partition(".")[0], ()))
    inner = module.replace(".", "/")
    while len(names) > 1 and inner:
        holders = {name for name in names if _holds(name, inner)}
        if holders:
            return holders
        inner = inner.rpartition("/")[0]
    return names


def _holds(name: str, inner: str) -> bool:
    distribution = find_distribution(name)
    files = () if distribution is None else (row[0] for row in _record_of(distribution))
    return any(file.startswith((f"{inner}.", f"{inner}/")) for file in files)


def _by_file(spec: ModuleSpec) -> set[str]:
    """Return the distributions whose record has a module's file: their metadata may not name the module."""
    found = set()
    for distribution in importlib.metadata.distributions():
        base = base_of(distribution)
        if spec.origin is not None and distribution.name and Path(spec.origin).is_relative_to(base):
            file = Path(spec.origin).relative_to(base).as_posix()
            if any(row[0] == file for row in _record_of(distribution)):
                found.add(normalise(distribution.name))
    return found


def _record_of(distribution: Distribution) -> Iterator[list[str]]:
    """Yield path, hash and size of a distribution's files; nothing without a record."""
    rows = csv.reader((distribution.read_text("RECORD") or "").splitlines())
    return ([*row, "", ""][:3] for row in rows if row)


def size_of(distribution: Distribution) -> int:
    """Return the bytes that a distribution takes; 0 without a record."""
    return _size_of(distribution.name, distribution.version, str(base_of(distribution)))


@functools.lru_cache(maxsize=1024)
def _size_of(name: str, version: str, base: str) -> int:
    [distribution, *_] = Distribution.discover(name=name, path=[base])
    return sum(int(size) for _, _, size in _record_of(distribution) if size.isdigit())


def local_install(module: str, spec: ModuleSpec) -> dict[str, bytes]:
    """Return the files of the local installs that a module belongs to, where an installer unpacked them.

    Their metadata are among them: packages look themselves up in ``importlib.metadata``.

    Returns
    -------
    dict
        Path relative to where modules are looked for, to content.
    """
    files: dict[str, bytes] = {}
    for name in sorted(local_owners_of(module, spec)):
        distribution = find_distribution(name)
        assert distribution is not None  # it is the owner
        base = base_of(distribution)
        files |= {file: (base / file).read_bytes() for file in unpacked_files(distribution)}
        record = f"{name.replace('-', '_')}-{distribution.version}.dist-info"
        metadata = distribution.read_text("METADATA") or distribution.read_text("PKG-INFO") or ""
        files[f"{record}/METADATA"] = metadata.encode()
        files[f"{record}/entry_points.txt"] = (distribution.read_text("entry_points.txt") or "").encode()
    return files


def unpacked_files(distribution: Distribution) -> list[str]:
    """Return the files that an installer unpacked, without its own records: paths relative to its folder."""
    apart = re.compile(r"\.\.|/|__editable__|.*\.pth$|.*\.pyc$|[^/]*\.(dist|egg)-info/")
    files = (row[0] for row in _record_of(distribution))
    return [file for file in files if not apart.match(file) and (base_of(distribution) / file).is_file()]


def modules_of(distribution: Distribution) -> set[str]:
    """Return the top-level modules that a distribution provides."""
    name = normalise(distribution.name)
    names = {module for module, owners in _by_module().items() if name in owners}
    return {name for name in names if not name.startswith("__editable__")}


def local_owners_of(module: str, spec: ModuleSpec) -> set[str]:
    """Return the names of the local installs, editable or not, that a person's own module belongs to."""
    named = {name for name in _by_module().get(module.partition(".")[0], ()) if is_local(name)}
    if named or spec.origin is None:
        return named
    path = Path(spec.origin).resolve()
    return {name for name, folder in _projects_on(_path()) if path.is_relative_to(folder)}


def is_local(name: str) -> bool:
    """Return whether a distribution was installed from a folder or file of this machine."""
    distribution = find_distribution(name)
    return distribution is not None and origin_of(distribution).local is not None


@functools.lru_cache(maxsize=2)
def _projects_on(_: _Path) -> tuple[tuple[str, Path], ...]:
    """Return the editable installs and their folders: some builders leave a folder and no modules' names."""
    return tuple(
        (normalise(one.name), origin.local.resolve())
        for one in importlib.metadata.distributions()
        if one.read_text("direct_url.json") is not None
        and (origin := origin_of(one)).is_editable
        and origin.local is not None
    )


def close(roots: Iterable[str]) -> list[Distribution]:
    """Return the distributions and all that they depend on, as it is installed here, sorted by name."""
    seen: set[tuple[str, str]] = set()
    found: dict[str, Distribution] = {}
    waiting = [(normalise(name), "") for name in roots]
    while waiting:
        name, extra = waiting.pop()
        if (name, extra) in seen:
            continue
        seen.add((name, extra))
        distribution = found.get(name) or find_distribution(name)
        if distribution is None:
            continue  # an optional dependency, or one that another distribution stands in for
        found[name] = distribution
        for requirement in requirements_of(distribution, extra):
            waiting.extend((normalise(requirement.name), wanted) for wanted in ("", *requirement.extras))
    return [found[name] for name in sorted(found)]


def requirements_of(distribution: Distribution, extra: str = "") -> list[Requirement]:
    """Return what a distribution needs on Linux, with one of its extras or with none."""
    machine = platform.machine()
    surroundings = {**_LINUX, "platform_machine": _MACHINES.get(machine, machine), "extra": extra}
    found = []
    for line in distribution.requires or ():
        try:
            requirement = Requirement(line)
        except InvalidRequirement:
            continue  # of a kind that pip has dropped; it is installed all the same
        if requirement.marker is None or requirement.marker.evaluate(surroundings):
            found.append(requirement)
    return found


def _path() -> _Path:
    return tuple((entry, _changed(entry)) for entry in sys.path if isinstance(entry, str))


def _changed(entry: str) -> int:
    # Other folders change all the time, such as the one that a person works in.
    try:
        return Path(entry).stat().st_mtime_ns if is_installed(entry) else 0
    except OSError:
        return 0


def _by_module() -> Mapping[str, frozenset[str]]:
    return _by_module_on(_path())


@functools.lru_cache(maxsize=2)
def _by_module_on(_: _Path) -> Mapping[str, frozenset[str]]:
    """Read it once for each state of the path: it takes a tenth of a second."""
    owners = importlib.metadata.packages_distributions()
    # An interrupted installation leaves metadata without a name.
    return {module: frozenset(normalise(name) for name in names if name) for module, names in owners.items()}
