"""Pickles: how functions, arguments, values and exceptions travel. The only user of pickle."""

from __future__ import annotations

import functools
import io
import pickle
import random
import sys
import types
from collections.abc import Callable
from typing import Any

import cloudpickle

_CACHED = type(functools.cache(len))
# Nothing in these needs cloudpickle.
_ATOMS = frozenset({type(None), bool, int, float, complex, str, bytes})


class Pickler(cloudpickle.Pickler):  # type: ignore[misc]  # cloudpickle has no types
    """A cloudpickle pickler that is used for many objects, each on its own.

    Parameters
    ----------
    note : callable, optional
        Told each module, class and function that goes by, to learn what the far side must import.
    """

    def __init__(self, note: Callable[[Any], None] | None = None) -> None:
        self._buffer = io.BytesIO()
        super().__init__(self._buffer, protocol=pickle.HIGHEST_PROTOCOL)
        self._note = note

    def dumps(self, value: Any) -> bytes:
        """Return the value's pickle. Raises whatever the value's own pickling raises."""
        if type(value) in _ATOMS:
            return pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
        self._buffer.seek(0)
        self._buffer.truncate()
        self.clear_memo()
        self.globals_ref.clear()
        self.dump(value)
        return self._buffer.getvalue()

    def reducer_override(self, obj: Any) -> Any:
        """Reduce as cloudpickle does, with two exceptions.

        A library's shared random generator goes by its name: by value, as ``from random import random``
        would have it, every worker would draw the same numbers. A cached function that cannot be
        imported, such as a notebook's, goes by value like the function that it caches.
        """
        if self._note is not None and isinstance(obj, type | types.FunctionType | types.ModuleType):
            self._note(obj)
        shared = _shared_generator_name(obj)
        if shared is not None:
            return _import_attribute, shared
        if isinstance(obj, _CACHED) and not _is_importable(obj):
            return _make_cached, (obj.__wrapped__, obj.cache_parameters())
        return super().reducer_override(obj)


def loads(data: bytes | memoryview) -> Any:
    """Rebuild a value. Only for what this run's own client or worker wrote."""
    return pickle.loads(data)


def _shared_generator_name(obj: Any) -> tuple[str, str] | None:
    if obj is random._inst:  # the generator behind random.random
        return "random", "_inst"
    mtrand = sys.modules.get("numpy.random.mtrand")
    if mtrand is not None and obj is getattr(mtrand, "_rand", None):
        return "numpy.random.mtrand", "_rand"
    return None


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
