"""Which modules a function's code imports, and which of these its author can do without.

Functions are read as bytecode: what a notebook or a script defines has no module to look into. From there
on a person's own modules are read as source, module by module: a module that nothing reaches counts for
nothing. Imports that code makes up as it runs, such as ``importlib.import_module(name)``, cannot be seen.
"""

from __future__ import annotations

import ast
import dis
import functools
import re
import sys
import types
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from importlib.machinery import ModuleSpec
from pathlib import Path

from cloudknot.whereabouts import find_module, is_namespace

_SCRIPTS = frozenset({"__main__", "__mp_main__"})
_FORGIVING = frozenset({"ImportError", "ModuleNotFoundError", "Exception", "BaseException"})
# What code asks that imports one thing on one Python or system and another thing on another.
_CIRCUMSTANCES = re.compile(r"\b(version_info|hexversion|sys\.platform|os\.name|platform\.\w+)\b")


@dataclass(frozen=True, kw_only=True)
class Imports:
    """The modules that code imports, by dotted name.

    Parameters
    ----------
    required : frozenset of str
        Those that it cannot do without.
    optional : frozenset of str
        Those that may be missing: the code says so itself. None of them is required.

    Examples
    --------
    >>> one = Imports(required=frozenset({"numpy"}), optional=frozenset({"numba"}))
    >>> sorted((one | Imports(required=frozenset({"numba"}))).required)
    ['numba', 'numpy']
    """

    required: frozenset[str] = field(default_factory=frozenset)
    optional: frozenset[str] = field(default_factory=frozenset)

    def __post_init__(self) -> None:
        object.__setattr__(self, "optional", self.optional - self.required)

    def __or__(self, other: Imports) -> Imports:
        return Imports(required=self.required | other.required, optional=self.optional | other.optional)


@dataclass(frozen=True, kw_only=True)
class Statement:
    """One import statement.

    Parameters
    ----------
    module : str
        What it imports, or imports from; empty for ``from . import name``.
    names : tuple of str
        What it imports from there.
    level : int
        The number of dots before the module.
    line : int
        Where it stands.
    is_optional : bool
        Whether the code goes on without it.
    """

    module: str
    names: tuple[str, ...] = ()
    level: int = 0
    line: int = 0
    is_optional: bool = False

    def modules(self, package: str) -> set[str]:
        """Return the modules that it imports, in a module of this package.

        ``from a import b`` imports ``a.b`` where that is a module, and otherwise ``a``.
        """
        base = self.module
        if self.level:
            parts = package.split(".")
            parts = parts[: max(0, len(parts) - self.level + 1)]
            base = ".".join(filter(None, [*parts, base]))
        if not base:
            return set()
        return {_module_from(base, name) for name in self.names} or {base}


def _module_from(base: str, name: str) -> str:
    inner = f"{base}.{name}"
    if name == "*":
        return base
    if inner in sys.modules or find_module(inner) is not None:
        return inner
    spec = find_module(base)
    return inner if spec is not None and is_namespace(spec) else base


@functools.lru_cache(maxsize=1024)
def read_code(code: types.CodeType) -> tuple[Statement, ...]:
    """Return the imports of a code object, those of inner functions too.

    One where the code may catch an exception is optional: bytecode does not say which exception.
    """
    found: list[Statement] = []
    bytecode = dis.Bytecode(code)
    instructions = [step for step in bytecode if step.opname != "EXTENDED_ARG"]
    for place, step in enumerate(instructions):
        if step.opname == "IMPORT_NAME":
            level, names = (before.argval for before in instructions[place - 2 : place])
            statement = Statement(
                module=str(step.argval),
                names=names or (),
                level=level,
                is_optional=_is_guarded(step.offset, bytecode, instructions),
            )
            found.append(statement)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            found.extend(read_code(constant))
    return tuple(found)


def _is_guarded(offset: int, bytecode: dis.Bytecode, instructions: list[dis.Instruction]) -> bool:
    # A generator's whole body is guarded, to make a RuntimeError of a StopIteration.
    generators = {step.offset for step in instructions if step.opname == "CALL_INTRINSIC_1"}
    return any(
        entry.start <= offset < entry.end and entry.target not in generators
        for entry in bytecode.exception_entries  # type: ignore[attr-defined]  # typeshed has forgotten it
    )


@functools.lru_cache(maxsize=1024)
def read_source(source: bytes) -> tuple[Statement, ...]:
    """Return the imports of a module; none where it is no Python.

    Those in functions are optional: that the module is imported does not say that they are called. What
    only type checkers and only scripts run is left out.
    """
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return ()
    return tuple(_read_nodes(tree.body, False))


def _read_nodes(nodes: Iterable[ast.AST], is_optional: bool) -> Iterator[Statement]:
    for node in nodes:
        match node:
            case ast.Import(names=names):
                for alias in names:
                    yield Statement(module=alias.name, line=node.lineno, is_optional=is_optional)
            case ast.ImportFrom():
                yield Statement(
                    module=node.module or "",
                    names=tuple(alias.name for alias in node.names),
                    level=node.level,
                    line=node.lineno,
                    is_optional=is_optional,
                )
            case ast.If(test=test):
                ran = [] if _never_runs(test) else node.body
                depends = _CIRCUMSTANCES.search(ast.unparse(test)) is not None
                yield from _read_nodes([*ran, *node.orelse], is_optional or depends)
            case ast.Try() | ast.TryStar():
                tried = [*node.body, *node.handlers, *node.orelse]
                yield from _read_nodes(tried, is_optional or any(map(_forgives, node.handlers)))
                yield from _read_nodes(node.finalbody, is_optional)
            case ast.With(items=items):
                suppresses = any(_words_of(item.context_expr) & _FORGIVING for item in items)
                yield from _read_nodes(node.body, is_optional or suppresses)
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                yield from _read_nodes(node.body, True)
            case ast.stmt() | ast.ExceptHandler() | ast.match_case():
                yield from _read_nodes(ast.iter_child_nodes(node), is_optional)


def _never_runs(test: ast.expr) -> bool:
    match test:
        case ast.Name(id="TYPE_CHECKING") | ast.Attribute(attr="TYPE_CHECKING"):
            return True
        case ast.Compare(left=ast.Name(id="__name__"), ops=[ast.Eq()]):
            return True
    return False


def _words_of(expression: ast.expr) -> set[str]:
    words = {node.id for node in ast.walk(expression) if isinstance(node, ast.Name)}
    return words | {node.attr for node in ast.walk(expression) if isinstance(node, ast.Attribute)}


def _forgives(handler: ast.ExceptHandler) -> bool:
    return handler.type is None or bool(_words_of(handler.type) & _FORGIVING)


@dataclass(frozen=True, kw_only=True)
class Import:
    """A module that code of the person's own imports.

    Parameters
    ----------
    name : str
        Its dotted name.
    importer : str
        The file and line; empty for the function itself.
    is_optional : bool
        Whether the code goes on without it.
    """

    name: str
    importer: str = ""
    is_optional: bool = False


@dataclass(frozen=True, kw_only=True)
class Reach:
    """How far a function's code goes.

    Parameters
    ----------
    own : dict
        The person's own modules that it comes by: dotted name to where the module is.
    others : tuple of Import
        Where it leaves them, each module once.
    """

    own: dict[str, ModuleSpec]
    others: tuple[Import, ...]


def follow(imports: Imports, is_own: Callable[[str, ModuleSpec], bool]) -> Reach:
    """Follow imports through a person's own modules.

    Parameters
    ----------
    imports : Imports
        Where to start.
    is_own : callable
        Tells by its dotted name and where it is whether a module is the person's own.
    """
    own: dict[str, ModuleSpec] = {}
    others: dict[str, Import] = {}
    # What is imported at all costs comes first, so that the rest cannot make it optional.
    waiting = deque(Import(name=name) for name in sorted(imports.required))
    waiting.extend(Import(name=name, is_optional=True) for name in sorted(imports.optional))
    while waiting:
        step = waiting.popleft()
        if step.name in own or step.name in others or step.name in _SCRIPTS:
            continue
        spec = None if step.name.partition(".")[0] in sys.stdlib_module_names else find_module(step.name)
        if spec is None or not is_own(step.name, spec):
            others[step.name] = step
            continue
        own[step.name] = spec
        for onward in _steps_from(step, spec):
            (waiting.append if onward.is_optional else waiting.appendleft)(onward)
    return Reach(own=own, others=tuple(others.values()))


def _steps_from(step: Import, spec: ModuleSpec) -> Iterator[Import]:
    parent = step.name.rpartition(".")[0]
    if parent:
        yield Import(name=parent, importer=step.importer, is_optional=step.is_optional)
    path = Path(spec.origin or "")
    if path.suffix != ".py" or not path.is_file():
        return
    package = parent if spec.submodule_search_locations is None else step.name
    for statement in read_source(path.read_bytes()):
        for name in sorted(statement.modules(package)):
            yield Import(
                name=name,
                importer=f"{path}, line {statement.line}",
                is_optional=step.is_optional or statement.is_optional,
            )
