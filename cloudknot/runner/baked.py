"""A baked image's first process: calls the function that the image holds, with the words of a command line.

``docker run IMAGE sub-01 3 --threshold 0.2`` is ``function("sub-01", 3, threshold=0.2)``. Standard output
gets the value and nothing else, so that it can be piped; what the function prints goes to standard error.
"""

from __future__ import annotations

import inspect
import json
import os
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple, NoReturn

from cloudknot.runner.pickles import load_function

# Where an image has it: the pickle, and the person's own modules beside it.
FOLDER = Path("/opt/cloudknot/baked")
FUNCTION = "function.pickle"
MODULES = "modules"
_RULES = """\
An argument is read as JSON where it is JSON (3, 0.5, true, null, [1, 2], '{"a": 1}', '"3"') and is a string
otherwise (sub-01). Write --name value or --name=value to name a parameter; behind -- none is named.
The value goes to standard output, as JSON where it can be; what the function prints, to standard error."""


class UsageError(Exception):
    """The words of the command line do not fit the function."""


class Words(NamedTuple):
    """The arguments that a command line holds."""

    positional: tuple[Any, ...]
    named: dict[str, Any]


def read_words(words: Sequence[str]) -> Words:
    """Return the arguments that the words of a command line stand for.

    Raises
    ------
    UsageError
        A name has no value, or is given twice.

    Examples
    --------
    >>> read_words(["sub-01", "3", '{"a": [1, null]}', "--n-samples=10", "--label", "x"])
    Words(positional=('sub-01', 3, {'a': [1, None]}), named={'n_samples': 10, 'label': 'x'})
    """
    positional: list[Any] = []
    named: dict[str, Any] = {}
    waiting = iter(words)
    for word in waiting:
        if word == "--":
            positional.extend(map(_read_word, waiting))
        elif word.startswith("--"):
            flag, has_value, value = word.partition("=")
            name = flag[2:].replace("-", "_")
            if name in named:
                raise UsageError(f"{flag} is given twice")
            following = value if has_value else next(waiting, None)
            if following is None:
                raise UsageError(f"{flag} has no value")
            named[name] = _read_word(following)
        else:
            positional.append(_read_word(word))
    return Words(tuple(positional), named)


def _read_word(word: str) -> Any:
    try:
        return json.loads(word)
    except (ValueError, RecursionError):
        return word


def as_text(value: object) -> str:
    """Return a value as JSON, where it can be, and otherwise as its ``repr``.

    Examples
    --------
    >>> as_text((1, None, Path("/data/fa.nii.gz")))
    '[1, null, "/data/fa.nii.gz"]'
    >>> as_text(1j)
    '1j'
    """
    try:
        return json.dumps(value, default=_as_plain, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError):
        return repr(value)


def _as_plain(value: Any) -> Any:
    if hasattr(value, "tolist"):  # numpy's scalars and arrays, and what is like them
        return value.tolist()
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    raise TypeError(type(value).__name__)


def describe_usage(function: Callable[..., Any]) -> str:
    """Return what ``--help`` shows."""
    name = getattr(function, "__qualname__", type(function).__name__).rpartition(".")[2]
    signature = _signature_of(function)
    lines = [f"{name}{signature if signature is not None else '(...)'}"]
    lines += [f"    {line}".rstrip() for line in (inspect.getdoc(function) or "").splitlines()]
    shown = "\n".join(f"  {line}".rstrip() for line in lines)
    return f"usage: docker run IMAGE [ARGUMENT ...] [--NAME VALUE ...]\n\n{shown}\n\n{_RULES}\n"


def _signature_of(function: Callable[..., Any]) -> inspect.Signature | None:
    try:
        return inspect.signature(function)
    except (TypeError, ValueError):  # some of those written in C have none
        return None


def _check_fit(function: Callable[..., Any], words: Words) -> None:
    signature = _signature_of(function)
    if signature is not None:
        try:
            signature.bind(*words.positional, **words.named)
        except TypeError as error:
            raise UsageError(str(error)) from None


def _load(folder: Path) -> Callable[..., Any]:
    sys.path.insert(0, str(folder / MODULES))
    return load_function((folder / FUNCTION).read_bytes())


def _end(_number: int, _frame: FrameType | None) -> NoReturn:
    # `docker stop` says so; a container's first process dies of no signal that it does not handle.
    raise SystemExit(128 + signal.SIGTERM)


def _print_traceback(error: BaseException) -> None:
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename == __file__:
        trace = trace.tb_next
    traceback.print_exception(error.with_traceback(trace))


def run(words: Sequence[str], answer: int, folder: Path = FOLDER) -> int:
    """Call the function with these words; return the exit code.

    Parameters
    ----------
    words : sequence of str
        The command line.
    answer : int
        The descriptor that the value is written to.
    folder : Path
        Where the function is.
    """
    try:
        function = _load(folder)
    except Exception as error:  # the person's own modules are imported here
        _print_traceback(error)
        return 1
    options = words[: words.index("--")] if "--" in words else words
    if "-h" in options or "--help" in options:
        _write(answer, describe_usage(function))
        return 0
    try:
        arguments = read_words(words)
        _check_fit(function, arguments)
    except UsageError as error:
        sys.stderr.write(f"{error}\n\n{describe_usage(function)}")
        return 2
    try:
        value = function(*arguments.positional, **arguments.named)
    except Exception as error:  # whatever the function raises is told
        _print_traceback(error)
        return 1
    _write(answer, f"{as_text(value)}\n")
    return 0


def _write(handle: int, text: str) -> None:
    with open(handle, "wb", closefd=False) as stream:
        # In JSON a lone surrogate is written with a backslash anyway.
        stream.write(text.encode("utf-8", "backslashreplace"))


def main() -> int:
    """Serve the command line of a baked image."""
    answer = os.dup(1)
    os.dup2(2, 1)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    signal.signal(signal.SIGTERM, _end)
    return run(sys.argv[1:], answer)


if __name__ == "__main__":
    sys.exit(main())
