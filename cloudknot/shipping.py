"""What travels: the function by value, and the person's own modules that the far side must import.

A function from a notebook, a script or a closure is pickled by value. What is pickled by name must
be importable on the far side: installed distributions are taken to be there, and every other module
travels as source, with the modules that it imports.
"""

from __future__ import annotations

import ast
import functools
import inspect
import linecache
import re
import sys
import types
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

from cloudknot.errors import InputError
from cloudknot.installed import local_install
from cloudknot.reach import Imports, read_code
from cloudknot.runner.pickles import Pickler
from cloudknot.whereabouts import find_module, is_extension, is_installed

# The far side has these already.
_OUR_OWN = ("cloudknot.runner.", "cloudpickle.")
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
    imports : Imports
        The modules that the far side must be able to import.
    """

    function: bytes
    name: str
    modules: frozenset[str] = field(default_factory=frozenset)
    imports: Imports = field(default_factory=Imports)


class ModuleNotes:
    """Gathers what the pickles of one run refer to: give it to a ``Pickler``."""

    def __init__(self) -> None:
        self.modules: set[str] = set()
        self.sources: dict[str, list[str]] = {}
        self._required: set[str] = set()
        self._optional: set[str] = set()
        self._functions: set[tuple[types.CodeType, str, str]] = set()
        # Held, so that their ids stay theirs.
        self._others: dict[int, Any] = {}

    @property
    def imports(self) -> Imports:
        """What the far side must be able to import."""
        return Imports(required=frozenset(self._required), optional=frozenset(self._optional))

    def __call__(self, obj: Any) -> None:
        """Note a module, class, function or other callable that a pickle holds."""
        if isinstance(obj, types.FunctionType):
            key = (obj.__code__, obj.__module__, obj.__qualname__)
            if key not in self._functions:
                self._functions.add(key)
                self._note_name(obj, obj.__module__)
                self._note_code(obj)
        elif id(obj) not in self._others:
            if isinstance(obj, type | types.ModuleType):
                self._others[id(obj)] = obj
            self._note_name(obj, _module_name_of(obj))

    def _note_name(self, obj: Any, name: str | None) -> None:
        if name is None or name == "__main__":
            return
        self.modules.add(name.partition(".")[0])
        if not name.startswith(_OUR_OWN) and _goes_by_name(obj, name):
            self._required.add(name)

    def _note_code(self, function: types.FunctionType) -> None:
        code = function.__code__
        package = function.__globals__.get("__package__") or ""
        # What a library imports inside its functions is its own affair: it may never call them.
        is_optional = is_installed(code.co_filename)
        for statement in read_code(code):
            names = statement.modules(package)
            self.modules.update(name.partition(".")[0] for name in names)
            (self._optional if is_optional or statement.is_optional else self._required).update(names)
        if not is_optional and code.co_filename not in self.sources:
            lines = linecache.getlines(code.co_filename)
            if lines and sum(map(len, lines)) <= _SOURCE_BYTES:
                self.sources[code.co_filename] = lines


def _module_name_of(obj: Any) -> str | None:
    if isinstance(obj, types.ModuleType):
        return obj.__name__
    name = getattr(obj, "__module__", None)
    if isinstance(name, str):
        return name
    own_name = getattr(obj, "__name__", None)
    if not isinstance(own_name, str) or isinstance(obj, types.BuiltinFunctionType | types.MethodType):
        return None
    # The way that pickle names what does not say where it is from, such as scipy.special.expit.
    modules = (held for held in list(sys.modules.items()) if held[0] != "__main__")
    return next((name for name, module in modules if _held_by(module, own_name) is obj), None)


def _held_by(module: Any, name: str) -> Any:
    return getattr(module, "__dict__", {}).get(name)


def _goes_by_name(obj: Any, module: str) -> bool:
    """Return whether a pickle holds no more of it than its name."""
    found: Any = sys.modules.get(module)
    if isinstance(obj, types.ModuleType):
        return found is obj
    for name in str(getattr(obj, "__qualname__", None) or getattr(obj, "__name__", "")).split("."):
        found = getattr(found, name, None)
    return found is obj


def check_function(function: object) -> None:
    """Refuse what cannot be run as a function.

    Raises
    ------
    InputError
        It is not callable, or it is a coroutine function.
    """
    if not callable(function):
        raise InputError(f"func must be callable, not {type(function).__name__} {function!r:.80}")
    if inspect.iscoroutinefunction(function):
        name = name_of(function)
        raise InputError(f"func {name!r} is async: give one that calls asyncio.run({name}(x))")


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
    check_function(function)
    notes = ModuleNotes()
    try:
        data = Pickler(notes).dumps(function)
    except Exception as error:
        culprit = _find_culprit(function)
        raise InputError(
            f"func {name_of(function)!r} cannot be pickled: {type(error).__name__}: {error}{culprit}"
        ) from error
    shipped = Pickler().dumps((notes.sources, data))
    return Shipment(
        function=shipped,
        name=name_of(function),
        modules=frozenset(notes.modules),
        imports=notes.imports,
    )


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


def local_files(modules: Iterable[str], by_value: frozenset[str] = frozenset()) -> dict[str, bytes]:
    """Return the files of those modules that are not installed, and of the ones they import.

    Parameters
    ----------
    modules : iterable of str
        Top-level names, installed or not.
    by_value : frozenset of str
        Top-level names of local installs: they travel though they are installed, with the record of their
        version.

    Returns
    -------
    dict
        Path relative to where modules are looked for, to content.
    """
    files: dict[str, bytes] = {}
    waiting, seen, data_bytes = {*modules, *by_value}, set(), 0
    while waiting:
        name = waiting.pop()
        seen.add(name)
        spec = find_module(name)
        if spec is None or name in sys.stdlib_module_names or name == "cloudknot":
            continue
        found = local_install(name, spec) if name in by_value else {}
        for relative, path in _files_of(spec):
            if not is_code(path):
                data_bytes += path.stat().st_size
                if data_bytes > _DATA_BYTES:
                    continue
            found[relative] = path.read_bytes()
        for relative, content in found.items():
            if relative.endswith(".py"):
                waiting.update(_imports_of_source(content) - seen)
        files.update(found)
    return files


def _files_of(spec: ModuleSpec) -> Iterator[tuple[str, Path]]:
    if spec.submodule_search_locations is None:
        if spec.origin and Path(spec.origin).is_file() and not is_installed(spec.origin):
            yield Path(spec.origin).name, Path(spec.origin)
        return
    is_regular = spec.origin is not None
    for folder in map(Path, spec.submodule_search_locations):
        if not is_installed(folder):
            for path in sorted(folder.rglob("*" if is_regular else "*.py")):
                if _travels(path, folder):
                    yield path.relative_to(folder.parent).as_posix(), path


def _travels(path: Path, package: Path) -> bool:
    inner = path.relative_to(package).parts
    if any(part.startswith(".") or part == "__pycache__" for part in inner) or not path.is_file():
        return False
    return is_code(path) or path.stat().st_size <= _DATA_FILE_BYTES


def is_code(path: Path) -> bool:
    """Return whether a file is a module."""
    return path.suffix == ".py" or is_extension(path)


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
