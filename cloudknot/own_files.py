"""Cloudknot's own files, as an image gets them."""

from __future__ import annotations

import functools
import importlib.util
import marshal
import sys
from collections.abc import Iterator, Mapping
from importlib import resources
from importlib.resources.abc import Traversable
from types import MappingProxyType


@functools.cache
def read_own_files(folder: str, place: str) -> Mapping[str, bytes]:
    """Return cloudknot's own files, with their bytecode, with which containers start faster.

    Parameters
    ----------
    folder : str
        The part of cloudknot, such as ``"runner"``; empty for all of it.
    place : str
        The folder that will hold them, as tracebacks name it.

    Returns
    -------
    dict of str to bytes
        The path below cloudknot's own folder, and what the file holds.
    """
    package = resources.files("cloudknot")
    files = _read(package / folder, f"{folder}/") if folder else _read(package, "")
    return MappingProxyType(dict(_with_bytecode(files, place)))


def _read(folder: Traversable, prefix: str) -> Iterator[tuple[str, bytes]]:
    for entry in folder.iterdir():
        if entry.is_dir() and entry.name != "__pycache__":
            yield from _read(entry, f"{prefix}{entry.name}/")
        elif entry.is_file():
            yield f"{prefix}{entry.name}", entry.read_bytes()


def _with_bytecode(files: Iterator[tuple[str, bytes]], place: str) -> Iterator[tuple[str, bytes]]:
    for path, content in files:
        yield path, content
        if path.endswith(".py"):
            folder, _, name = path.rpartition("/")
            compiled = f"__pycache__/{name[:-3]}.{sys.implementation.cache_tag}.pyc"
            yield f"{folder}/{compiled}" if folder else compiled, _compile(content, f"{place}/{path}")


def _compile(source: bytes, path: str) -> bytes:
    """Return bytecode that is never checked against its source (PEP 552)."""
    code = compile(source, path, "exec", dont_inherit=True)
    unchecked = (1).to_bytes(4, "little")
    return importlib.util.MAGIC_NUMBER + unchecked + importlib.util.source_hash(source) + marshal.dumps(code)
