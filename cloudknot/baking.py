"""A stand-alone image of a function: what is put on its environment's image, and what it is called: pure."""

from __future__ import annotations

import hashlib
import json
import pickletools
import re
import types
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from cloudknot.context import HOME, Context
from cloudknot.runner.baked import FOLDER, FUNCTION, MODULES
from cloudknot.runner.pickles import Pickler
from cloudknot.shipping import name_of

_DIGEST_DIGITS = 20
_TRACKER = re.compile(r"[0-9a-f]{32}")
_ENTRYPOINT = [f"{HOME}/bin/python", "-P", "-m", "cloudknot.runner.baked"]
_TEXTS = ("UNICODE", "BYTES", "BYTES8")
# The opcodes that are a whole value by themselves.
_WHOLE = {code.name for code in pickletools.opcodes if not code.stack_before and len(code.stack_after) == 1}


def repository_of(name: str) -> str:
    """Return the name of a Knot's own images, as an engine takes it.

    Examples
    --------
    >>> repository_of("Mean_FA--2")
    'cloudknot-mean-fa-2'
    """
    return "cloudknot-" + re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def bake(
    function: Callable[..., Any],
    *,
    name: str,
    environment: str,
    sources: Mapping[str, list[str]],
    modules: Mapping[str, bytes],
) -> Context:
    """Return the build context of an image that runs a function.

    Parameters
    ----------
    function : callable
        What it runs.
    name : str
        What it is called.
    environment : str
        The name of the image that holds all that it needs.
    sources : dict
        The lines of the files that the function is written in.
    modules : dict of str to bytes
        The person's own modules: the path below where modules are looked for, and what they hold.
    """
    pickler = _SharingPickler()
    shared = pickler.dumps(function)
    lines = {file: _keep(given, pickler.lines.get(file, set())) for file, given in sources.items()}
    labels = {
        "cloudknot.function": name_of(function),
        "cloudknot.name": name,
        "cloudknot.environment": environment,
    }
    steps = [
        f"FROM {environment}",
        f"COPY baked {FOLDER}",
        f"LABEL {' '.join(f'{label}={_quote(value)}' for label, value in labels.items())}",
        f"ENTRYPOINT {json.dumps(_ENTRYPOINT)}",
        "CMD []",
    ]
    files = {f"baked/{MODULES}/{path}": content for path, content in modules.items()}
    files["Dockerfile"] = "".join(f"{step}\n" for step in steps).encode()
    digest = hashlib.sha256()
    for path, content in sorted(files.items()):
        digest.update(f"{path}\0{len(content)}\0".encode() + content)
    for said in (*sorted(lines.items()), *_canonical(shared)):
        digest.update(repr(said).encode(errors="backslashreplace"))
    files[f"baked/{FUNCTION}"] = Pickler().dumps((lines, shared))
    return Context(files=files, digest=digest.hexdigest()[:_DIGEST_DIGITS])


def _quote(value: str) -> str:
    return json.dumps(value).replace("$", "\\$")


def _keep(lines: list[str], wanted: set[int]) -> list[str]:
    """Return lines without what is not wanted, each in its place."""
    return [line if number in wanted else "\n" for number, line in enumerate(lines, start=1)]


class _SharingPickler(Pickler):
    """Pickles for others, who get the same for the same function, and no more of its file than its own lines.

    Attributes
    ----------
    lines : dict
        A file's name to the numbers of the lines that its functions take.
    """

    def __init__(self) -> None:
        super().__init__(self._note_lines)
        self.lines: dict[str, set[int]] = {}

    def reducer_override(self, obj: Any) -> Any:
        """Reduce as ever, but leave out what cloudpickle knows a class by in this process."""
        reduced = super().reducer_override(obj)
        if not isinstance(obj, type) or not isinstance(reduced, tuple):
            return reduced
        make, arguments, *rest = reduced
        return make, tuple(None if _is_tracker(one, obj) else one for one in arguments), *rest

    def _note_lines(self, obj: Any) -> None:
        if isinstance(obj, types.FunctionType):
            numbers = list(_lines_of(obj.__code__))
            own = self.lines.setdefault(obj.__code__.co_filename, set())
            own.update(range(min(numbers), max(numbers) + 1))


def _is_tracker(argument: object, kind: type) -> bool:
    return isinstance(argument, str) and argument != kind.__name__ and bool(_TRACKER.fullmatch(argument))


def _lines_of(code: types.CodeType) -> Iterator[int]:
    yield code.co_firstlineno
    yield from (line for _, _, line in code.co_lines() if line)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _lines_of(constant)


def _canonical(data: bytes) -> list[tuple[str, object]]:
    """Return what a pickle says, whatever order its sets have and whether or not equal texts are one object.

    Both differ from one process to the next.
    """
    said: list[tuple[str, object]] = []
    marks: list[int] = []
    memo: list[tuple[str, object]] = []
    objects = 0
    for code, argument, _ in pickletools.genops(data):
        if code.name == "MARK":
            marks.append(len(said))
        elif code.name == "MEMOIZE":
            is_text = said[-1][0].endswith(_TEXTS)
            memo.append(said[-1] if is_text else ("OBJECT", objects))
            objects += not is_text
        elif isinstance(argument, int) and code.name in ("BINGET", "LONG_BINGET"):
            said.append(memo[argument])
        elif code.name not in ("PROTO", "FRAME"):
            if pickletools.markobject in code.stack_before:
                start = marks.pop()
                if code.name in ("FROZENSET", "ADDITEMS"):
                    said[start:] = _sort(said[start:])
            said.append((code.name, argument))
    return said


def _sort(items: list[tuple[str, object]]) -> list[tuple[str, object]]:
    """Return the items of a set in an order of their own, where each of them is one word."""
    is_plain = all(name in _WHOLE or name == "OBJECT" for name, _ in items)
    return sorted(items, key=repr) if is_plain else items
