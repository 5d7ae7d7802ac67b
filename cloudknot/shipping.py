"""What travels: the function by value, and the person's own modules that the far side must import.

A function from a notebook, a script or a closure is pickled by value. What is pickled by name must
be importable on the far side: installed distributions are taken to be there, and every other module
travels as source, with the modules that it imports.
"""

from __future__ import annotations

import ast
import dis
import functools
import importlib.util
import inspect
import linecache
import re
import site
import sys
import sysconfig
import types
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from importlib.machinery import EXTENSION_SUFFIXES, ModuleSpec
from pathlib import Path
from typing import Any

from cloudknot.errors import InputError
from cloudknot.runner.pickles import Pickler

# Other files of a package, such as small tables beside the code, travel up to this size each.
_DATA_FILE_BYTES = 1 << 20
# ... and this much of them in all.
_DATA_BYTES = 32 << 20
_SOURCE_BYTES = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Shipment:
    """A function, ready to travel.

    Parameters
    ----------
    function : bytes
        The pickle that a worker loads: the sources for tracebacks, and the function.
    name : str
        The function's qualified name.
    modules : frozenset of str
        The top-level names of the modules that the pickle refers to.
    """

    function: bytes
    name: str
    modules: frozenset[str] = field(default_factory=frozenset)


class ModuleNotes:
    """Gathers what the pickles of one run refer to: give it to a ``Pickler``."""

    def __init__(self) -> None:
        self.modules: set[str] = set()
        self.sources: dict[str, list[str]] = {}
        self._seen: set[types.CodeType] = set()

    def __call__(self, obj: Any) -> None:
        """Note a module, class or function that a pickle holds."""
        name = obj.__name__ if isinstance(obj, types.ModuleType) else getattr(obj, "__module__", None)
        if isinstance(name, str) and name != "__main__":
            self.modules.add(name.partition(".")[0])
        if isinstance(obj, types.FunctionType) and obj.__code__ not in self._seen:
            self._seen.add(obj.__code__)
            self.modules |= imported_names(obj.__code__)
            self._note_source(obj)

    def _note_source(self, function: types.FunctionType) -> None:
        filename = function.__code__.co_filename
        if filename not in self.sources and not _is_installed(filename):
            lines = linecache.getlines(filename)
            if lines and sum(map(len, lines)) <= _SOURCE_BYTES:
                self.sources[filename] = lines


def pack(function: Callable[..., Any]) -> Shipment:
    """Pickle a function for the far side.

    Parameters
    ----------
    function : callable
        Any callable: a function, lambda, closure, partial, bound method or callable object.

    Raises
    ------
    InputError
        It is not callable, or it holds something that cannot be pickled; the message names it.
    """
    if not callable(function):
        raise InputError(f"func must be callable, not {type(function).__name__} {function!r:.80}")
    notes = ModuleNotes()
    pickler = Pickler(notes)
    try:
        data = pickler.dumps(function)
    except Exception as error:
        culprit = _find_culprit(function)
        raise InputError(
            f"func {name_of(function)!r} cannot be pickled: {type(error).__name__}: {error}{culprit}"
        ) from error
    shipped = Pickler().dumps((notes.sources, data))
    return Shipment(function=shipped, name=name_of(function), modules=frozenset(notes.modules))


def name_of(function: Callable[..., Any]) -> str:
    """Return a function's qualified name; a partial's, method's or object's as well as can be.

    Examples
    --------
    >>> name_of(functools.partial(len))
    'len'
    """
    while isinstance(function, functools.partial):
        function = function.func
    return str(getattr(function, "__qualname__", None) or type(function).__qualname__)


def knot_name_of(function: Callable[..., Any]) -> str:
    """Return a run's name made from the function's.

    Examples
    --------
    >>> knot_name_of(lambda x: x)
    'lambda'
    """
    last = name_of(function).rpartition(".")[2]
    return re.sub(r"[^A-Za-z0-9_-]+", "-", last).strip("-_")[:63] or "knot"


@functools.lru_cache(maxsize=1024)
def imported_names(code: types.CodeType) -> frozenset[str]:
    """Return the top-level names that a code object imports, those of inner functions too."""
    names = {
        str(instruction.argval).partition(".")[0]
        for instruction in dis.get_instructions(code)
        if instruction.opname == "IMPORT_NAME"
    }
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            names |= imported_names(constant)
    return frozenset(names - {""})


def local_files(modules: Iterable[str]) -> dict[str, bytes]:
    """Return the files of those modules that are not installed, and of the ones they import.

    Parameters
    ----------
    modules : iterable of str
        Top-level names, installed or not.

    Returns
    -------
    dict
        Path relative to where modules are looked for, to content.
    """
    files: dict[str, bytes] = {}
    waiting, seen, data_bytes = set(modules), set(), 0
    while waiting:
        name = waiting.pop()
        seen.add(name)
        for relative, path in _files_of(name):
            if not is_code(path):
                data_bytes += path.stat().st_size
                if data_bytes > _DATA_BYTES:
                    continue
            files[relative] = path.read_bytes()
            if path.suffix == ".py":
                waiting.update(_imports_of_source(files[relative]) - seen)
    return files


def _files_of(name: str) -> Iterator[tuple[str, Path]]:
    spec = _find_spec(name)
    if spec is None or name in sys.stdlib_module_names or name == "cloudknot":
        return
    if spec.submodule_search_locations is None:
        if spec.origin and Path(spec.origin).is_file() and not _is_installed(spec.origin):
            yield Path(spec.origin).name, Path(spec.origin)
        return
    is_regular = spec.origin is not None
    for folder in map(Path, spec.submodule_search_locations):
        if not _is_installed(folder):
            for path in sorted(folder.rglob("*" if is_regular else "*.py")):
                if _travels(path, folder):
                    yield path.relative_to(folder.parent).as_posix(), path


def _find_spec(name: str) -> ModuleSpec | None:
    module = sys.modules.get(name)
    if module is not None:
        return module.__spec__
    try:
        return importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return None


def _travels(path: Path, package: Path) -> bool:
    inner = path.relative_to(package).parts
    if any(part.startswith(".") or part == "__pycache__" for part in inner) or not path.is_file():
        return False
    return is_code(path) or path.stat().st_size <= _DATA_FILE_BYTES


def is_code(path: Path) -> bool:
    """Return whether a file is a module."""
    return path.suffix == ".py" or path.name.endswith(tuple(EXTENSION_SUFFIXES))


@functools.cache
def _installed_folders() -> tuple[Path, ...]:
    names = ("stdlib", "platstdlib", "purelib", "platlib")
    folders = {sysconfig.get_path(name) for name in names}
    folders.update(site.getsitepackages(), (site.getusersitepackages(),))
    return tuple(Path(folder).resolve() for folder in folders)


@functools.lru_cache(maxsize=4096)
def _is_installed(path: Path | str) -> bool:
    resolved = Path(path).resolve()
    return any(resolved.is_relative_to(folder) for folder in _installed_folders())


def _imports_of_source(source: bytes) -> set[str]:
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return set()
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.add(node.module.partition(".")[0])
    return names


def _find_culprit(function: Callable[..., Any]) -> str:
    """Name the variable that keeps a function from being pickled, if one can be told."""
    if not isinstance(function, types.FunctionType):
        return ""
    variables = inspect.getclosurevars(function)
    for kind, values in (("the variable", variables.nonlocals), ("the global", variables.globals)):
        for name, value in values.items():
            try:
                Pickler().dumps(value)
            except Exception:  # a value's own __reduce__ may raise anything
                return f" (it uses {kind} {name!r}, a {type(value).__name__}; make it inside the function)"
    return ""
