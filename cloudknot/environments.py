"""Files that say what is installed: ``requirements.txt``, ``uv.lock`` and ``environment.yml``."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from cloudknot.errors import InputError

Kind = Literal["requirements", "uv", "conda"]

_NESTED = ("-r", "--requirement", "-c", "--constraint")
_PLACES = ("-f", "--find-links", "-i", "--index-url", "--extra-index-url")
_EDITABLE = ("-e", "--editable")
_OPTION = re.compile(r"(--?[A-Za-z][A-Za-z-]*?)(?:\s*=\s*|\s+|(?<=^-[a-zA-Z]))(\S.*)")
_ARCHIVES = (".whl", ".zip", ".tar.gz", ".tar.bz2", ".tgz")
_PIP_LIST = re.compile(r"(\s*)-\s*pip\s*:\s*(#.*)?")
# uv takes what comes from afar only as it is, and what comes from there is the same either way.
_EDITABLE_FROM_AFAR = re.compile(r"^\s*(-e|--editable)[ =]\s*(?=\w+\+(?!file:))", re.MULTILINE)
_LIST_ITEM = re.compile(r"(\s*)-\s+(.*)")


@dataclass(frozen=True, kw_only=True)
class EnvironmentFile:
    """A file that says what is installed, with the files that it names.

    Parameters
    ----------
    kind : str
        ``"requirements"``, ``"uv"`` or ``"conda"``.
    files : dict
        Path to content; the file itself comes first. The paths lie to each other as they do here.
    """

    kind: Kind
    files: Mapping[str, bytes] = field(repr=False)


def read_environment(path: Path | str) -> EnvironmentFile:
    """Read a file that says what is installed.

    Parameters
    ----------
    path : path
        A ``requirements.txt`` or other ``.txt``, a ``uv.lock`` with its ``pyproject.toml``, or an
        ``environment.yml`` or other YAML file that conda reads.

    Raises
    ------
    InputError
        It is none of these, cannot be read, or names something that only this machine has.
    """
    path = Path(path).absolute()
    if path.name == "uv.lock":
        kind: Kind = "uv"
        found = _read_lock(path)
    elif path.suffix == ".txt":
        kind, found = "requirements", _read_requirements(path)
    elif path.suffix in (".yml", ".yaml"):
        kind, found = "conda", _read_conda(path)
    else:
        raise InputError(
            f"environment {path.name!r} is of no kind that can be read: give a requirements.txt, a uv.lock "
            "or an environment.yml"
        )
    root = Path(os.path.commonpath([file.parent for file in found]))
    files = {file.relative_to(root).as_posix(): text.encode() for file, text in found.items()}
    return EnvironmentFile(kind=kind, files=files)


def _read_text(path: Path, named_by: str = "") -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        by = f", which {named_by} needs," if named_by else ""
        raise InputError(f"environment file {path}{by} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"environment file {path} is not UTF-8 text: {error.reason}") from error


def _read_main(path: Path) -> str:
    text = _read_text(path)
    if not text.strip():
        raise InputError(f"environment file {path} is empty: it must say what is installed")
    return text


def _read_lock(path: Path) -> dict[Path, str]:
    project = path.with_name("pyproject.toml")
    found = {path: _read_main(path), project: _read_text(project, path.name)}
    try:
        settings = tomllib.loads(found[project])
        tomllib.loads(found[path])
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"environment file {path} or its pyproject.toml is no TOML: {error}") from error
    # uv asks each member of a workspace what it needs.
    workspace = settings.get("tool", {}).get("uv", {}).get("workspace", {})
    for pattern in workspace.get("members", ()):
        for member in sorted(path.parent.glob(f"{pattern}/pyproject.toml")):
            found[member] = _read_text(member)
    return found


def _read_requirements(path: Path) -> dict[Path, str]:
    found = {path: _read_main(path)}
    _add_nested(path, _lines_of(found[path]), found)
    return {file: _EDITABLE_FROM_AFAR.sub("", text) for file, text in found.items()}


def _read_conda(path: Path) -> dict[Path, str]:
    found = {path: _read_main(path)}
    if not re.search(r"^dependencies\s*:", found[path], re.MULTILINE):
        raise InputError(f"environment file {path} has no list of dependencies, so that conda cannot read it")
    _add_nested(path, _pip_lines_of(found[path]), found)
    return found


def _add_nested(path: Path, lines: Iterator[tuple[int, str]], found: dict[Path, str]) -> None:
    """Check each line of a file for pip, and read the files that it names, and those that these name."""
    for number, line in lines:
        option, value = _split(line)
        where = f"{path}, line {number}"
        if option in _NESTED and not _is_remote(value):
            nested = Path(os.path.normpath(path.parent / value.removeprefix("file://")))
            if nested not in found:
                found[nested] = _read_text(nested, where)
                _add_nested(nested, _lines_of(found[nested]), found)
        elif _is_local(option, value):
            raise InputError(
                f"{where}: {line!r} is on this machine only: leave it out if it is code of your own, which "
                "travels with the function, and otherwise name a version or an address"
            )


def _lines_of(text: str) -> Iterator[tuple[int, str]]:
    """Yield the lines that say something, the broken ones joined."""
    joined, first = "", 0
    for number, line in enumerate([*text.splitlines(), ""], 1):
        first = first or number
        if line.endswith("\\") and not line.lstrip().startswith("#"):
            joined += line[:-1] + " "
            continue
        whole = re.sub(r"(^|\s+)#.*", "", joined + line).strip()
        if whole:
            yield first, whole
        joined, first = "", 0


def _pip_lines_of(text: str) -> Iterator[tuple[int, str]]:
    """Yield what stands below ``- pip:`` in a list of conda's."""
    indent: int | None = None
    for number, line in enumerate(text.splitlines(), 1):
        opening, item = _PIP_LIST.fullmatch(line), _LIST_ITEM.match(line)
        if opening:
            indent = len(opening[1])
        elif item and indent is not None and len(item[1]) > indent:
            yield number, re.sub(r"(^|\s+)#.*", "", item[2]).strip().strip("'\"")
        elif line.strip() and not line.lstrip().startswith("#"):
            indent = None


def _split(line: str) -> tuple[str, str]:
    """Split an option from its value; a requirement has none."""
    found = _OPTION.fullmatch(line)
    return (found[1], found[2].strip("'\"")) if found else ("", line)


def _is_remote(value: str) -> bool:
    return re.match(r"(?!(\w+\+)?file:)[a-z0-9+.-]+://", value, re.IGNORECASE) is not None


def _is_local(option: str, value: str) -> bool:
    if option in (*_EDITABLE, *_PLACES):
        return not _is_remote(value)
    if option:
        return False
    name, _, address = value.partition("@")
    target = (address if address and "/" not in name else value).split(";")[0].split("[")[0].strip()
    if _is_remote(target):
        return False
    is_path = target.startswith((".", "/", "~", "file:")) or "/" in target
    return is_path or target.split()[0].endswith(_ARCHIVES)
