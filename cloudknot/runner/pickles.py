"""Pickles: how functions, arguments, values and exceptions travel. The only user of pickle."""

from __future__ import annotations

import functools
import io
import linecache
import pickle
import random
import sys
import types
from collections.abc import Callable, Iterator
from typing import Any

import cloudpickle

_EMPTY_CELL = types.CellType()
_CACHED = type(functools.cache(len))
# Nothing in these needs cloudpickle.
_ATOMS = frozenset({type(None), bool, int, float, complex, str, bytes})


class Pickler(cloudpickle.Pickler):  # type: ignore[misc]  # cloudpickle has no types
    """A cloudpickle pickler that is used for many objects, each on its own.

    Parameters
    ----------
    note : callable, optional
        Told each module and callable that goes by, to learn what the far side must import.
    """

    def __init__(self, note: Callable[[Any], None] | None = None) -> None:
        self._buffer = io.BytesIO()
        super().__init__(self._buffer, protocol=pickle.HIGHEST_PROTOCOL)
        self._note = note
        self._fresh: set[int] = set()

    def dumps(self, value: Any) -> bytes:
        """Return the value's pickle. Raises whatever the value's own pickling raises."""
        if type(value) in _ATOMS:
            return pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
        self._buffer.seek(0)
        self._buffer.truncate()
        self.clear_memo()
        self.globals_ref.clear()
        self._fresh.clear()
        method_of = getattr(value, "__self__", None)
        if is_generator(method_of):
            self._fresh.add(id(method_of))
        self.dump(value)
        return self._buffer.getvalue()

    def reducer_override(self, obj: Any) -> Any:
        """Reduce as cloudpickle does, with three exceptions.

        A library's shared random generator goes by its name: by value, as ``from random import random``
        would have it, every worker would draw the same numbers. A cached function that cannot be
        imported, such as a notebook's, goes by value like the function that it caches. A random generator
        that a function uses as a variable, such as ``rng = np.random.default_rng()``, arrives as a fresh
        one of its kind: a copy of its state would give every worker the same numbers.
        """
        if self._note is not None and (callable(obj) or isinstance(obj, types.ModuleType)):
            self._note(obj)
        shared = _shared_generator_name(obj)
        if shared is not None:
            return _import_attribute, shared
        if isinstance(obj, types.FunctionType):
            self._fresh.update(map(id, _generators_of(obj)))
        if id(obj) in self._fresh:
            return _make_generator, (type(obj), type(getattr(obj, "bit_generator", None)))
        if isinstance(obj, _CACHED) and not _is_importable(obj):
            return _make_cached, (obj.__wrapped__, obj.cache_parameters())
        return super().reducer_override(obj)


def loads(data: bytes | memoryview) -> Any:
    """Rebuild a value. Only for what this run's own client or worker wrote."""
    return pickle.loads(data)


def load_function(shipment: bytes) -> Callable[..., Any]:
    """Rebuild a function from what travels: the sources that it is written in, and its pickle."""
    sources, function = loads(shipment)
    for filename, lines in sources.items():
        # So that tracebacks show the lines of a function that was typed in a notebook.
        linecache.cache[filename] = (sum(map(len, lines)), None, lines, filename)
    loaded: Callable[..., Any] = loads(function)
    return loaded


def _shared_generator_name(obj: Any) -> tuple[str, str] | None:
    if obj is random._inst:  # the generator behind random.random
        return "random", "_inst"
    mtrand = sys.modules.get("numpy.random.mtrand")
    if mtrand is not None and obj is getattr(mtrand, "_rand", None):
        return "numpy.random.mtrand", "_rand"
    return None


def is_generator(value: Any) -> bool:
    """Return whether a value is a random generator of the standard library or of numpy."""
    numpy_random = sys.modules.get("numpy.random")
    kinds: tuple[type, ...] = (random.Random,)
    if numpy_random is not None:
        kinds = (*kinds, numpy_random.Generator, numpy_random.RandomState)
    return isinstance(value, kinds)


def _generators_of(function: types.FunctionType) -> Iterator[Any]:
    """Yield the random generators in a function's closure and among the globals that it names."""
    cells = (cell.cell_contents for cell in function.__closure__ or () if cell != _EMPTY_CELL)
    used = (function.__globals__.get(name) for name in _names_of(function.__code__))
    return (value for value in (*cells, *used) if is_generator(value))


def _names_of(code: types.CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _names_of(constant)


def _make_generator(kind: type, bit_generator: type) -> Any:
    return kind() if bit_generator is type(None) else kind(bit_generator())


def _is_importable(obj: Any) -> bool:
    found: Any = sys.modules.get(obj.__module__) if obj.__module__ != "__main__" else None
    for name in obj.__qualname__.split("."):
        found = getattr(found, name, None)
    return found is obj


def _make_cached(function: Callable[..., Any], parameters: dict[str, Any]) -> Callable[..., Any]:
    cached: Callable[..., Any] = functools.lru_cache(**parameters)(function)
    return cached


def _import_attribute(module: str, name: str) -> Any:
    __import__(module)
    return getattr(sys.modules[module], name)
