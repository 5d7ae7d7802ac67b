"""Where modules are: found without importing them, and told apart by whether an installer put them there."""

from __future__ import annotations

import functools
import importlib.metadata
import site
import sys
import sysconfig
from collections.abc import Iterator
from importlib.machinery import EXTENSION_SUFFIXES, ModuleSpec, NamespaceLoader
from pathlib import Path


def find_module(name: str) -> ModuleSpec | None:
    """Find a module the way that an import would, without importing it or the packages that hold it.

    Parameters
    ----------
    name : str
        Its dotted name.

    Returns
    -------
    ModuleSpec or None
        None where there is no such module, or where only the importing of its package makes it.

    Examples
    --------
    >>> find_module("json.decoder").name
    'json.decoder'
    >>> find_module("json.no_such_module")
    """
    spec: ModuleSpec | None = getattr(sys.modules.get(name), "__spec__", None)
    if spec is not None:
        return spec
    parent = name.rpartition(".")[0]
    folders = _folders_of(parent) if parent else None
    if parent and folders is None:
        return None
    for finder in sys.meta_path:
        try:
            spec = finder.find_spec(name, folders)
        except (AttributeError, ImportError, KeyError, ValueError):
            continue  # importlib's own looks for a nested namespace's parent among what is imported
        if spec is not None:
            return spec
    return _find_namespace(name, folders or [])


def is_namespace(spec: ModuleSpec) -> bool:
    """Return whether it is a package without an ``__init__.py``, which holds nothing but modules."""
    is_bare = spec.loader is None or isinstance(spec.loader, NamespaceLoader)
    return is_bare and spec.submodule_search_locations is not None


def is_outside(spec: ModuleSpec) -> bool:
    """Return whether a module, or a part of a namespace, is where no installer has put it."""
    places = [spec.origin] if spec.has_location else spec.submodule_search_locations or []
    return any(place is not None and not is_installed(place) for place in places)


def _folders_of(package: str) -> list[str] | None:
    folders = getattr(sys.modules.get(package), "__path__", None)
    if folders is None:
        spec = find_module(package)
        folders = spec.submodule_search_locations if spec is not None else None
    return None if folders is None else [str(folder) for folder in folders]


def _find_namespace(name: str, folders: list[str]) -> ModuleSpec | None:
    last = name.rpartition(".")[2]
    found = [str(path) for folder in folders if (path := Path(folder, last)).is_dir()]
    if not found:
        return None
    spec = ModuleSpec(name, None, is_package=True)
    spec.submodule_search_locations = found
    return spec


def is_extension(path: Path | str) -> bool:
    """Return whether a file is a compiled module."""
    return str(path).endswith(tuple(EXTENSION_SUFFIXES))


def is_installed(path: Path | str) -> bool:
    """Return whether a file belongs to Python itself or was put there by an installer."""
    return _is_installed(str(path), tuple(sys.path))


@functools.lru_cache(maxsize=4096)
def _is_installed(path: str, sys_path: tuple[str, ...]) -> bool:
    resolved = Path(path).resolve()
    places = (*_installed_folders(), *_installed_elsewhere(sys_path))
    return any(resolved.is_relative_to(place) for place in places)


@functools.cache
def _installed_folders() -> tuple[Path, ...]:
    names = ("stdlib", "platstdlib", "purelib", "platlib")
    folders = {sysconfig.get_path(name) for name in names}
    folders.update(site.getsitepackages(), (site.getusersitepackages(),))
    return tuple(Path(folder).resolve() for folder in folders)


@functools.lru_cache(maxsize=4)
def _installed_elsewhere(sys_path: tuple[str, ...]) -> tuple[Path, ...]:
    """Return what ``pip install --target`` put into folders on the path, one's own code perhaps beside it."""
    return tuple(place for entry in sys_path if isinstance(entry, str) for place in _installed_into(entry))


def _installed_into(entry: str) -> Iterator[Path]:
    folder = Path(entry).resolve()
    if any(folder.is_relative_to(known) for known in _installed_folders()):
        return
    if not any(folder.glob("*.dist-info/RECORD")):
        return
    for distribution in importlib.metadata.distributions(path=[str(folder)]):
        for name in {file.parts[0] for file in distribution.files or ()} - {".."}:
            yield folder / name
