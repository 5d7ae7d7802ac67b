"""What `docker run IMAGE 3` does, without the image."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from cloudknot.runner.baked import UsageError, as_text, read_words
from cloudknot.runner.pickles import Pickler

# As `python -m cloudknot.runner.baked`, but for the place of the function.
MAIN = """
import sys
from pathlib import Path
from cloudknot.runner import baked
baked.run.__defaults__ = (Path({folder!r}),)
sys.exit(baked.main())
"""


@dataclass(frozen=True)
class Baked:
    """A function as an image has it."""

    folder: Path

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        with self.start(*words) as process:
            out, err = process.communicate(timeout=30)
        return subprocess.CompletedProcess(words, process.returncode, out, err)

    def start(self, *words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", MAIN.format(folder=str(self.folder)), *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )


@pytest.fixture
def bake(tmp_path: Path) -> Callable[..., Baked]:
    def make(function: Callable[..., Any], modules: dict[str, str] | None = None) -> Baked:
        for name, source in (modules or {}).items():
            path = tmp_path / "modules" / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(source)
        lines = Path(__file__).read_text().splitlines(keepends=True)
        shipped = Pickler().dumps(({__file__: lines}, Pickler().dumps(function)))
        (tmp_path / "function.pickle").write_bytes(shipped)
        return Baked(tmp_path)

    return make


@pytest.mark.parametrize(
    ("word", "argument"),
    [
        ("3", 3),
        ("-3", -3),
        ("0.5", 0.5),
        ("1e3", 1000.0),
        ("true", True),
        ("null", None),
        ("[1, 2]", [1, 2]),
        ('{"a": 1}', {"a": 1}),
        ('"3"', "3"),
        ("sub-01", "sub-01"),
        ("01", "01"),
        ("True", "True"),
        ("-x", "-x"),
        ("", ""),
        ("/data/fa map.nii.gz", "/data/fa map.nii.gz"),
        ("{not json", "{not json"),
        pytest.param("[" * 100_000, "[" * 100_000, id="too deep"),
    ],
)
def test_an_argument_is_json_or_else_a_string(word: str, argument: object) -> None:
    [read] = read_words([word]).positional

    assert read == argument
    assert type(read) is type(argument)


def test_words_with_two_dashes_name_parameters_until_a_lone_pair() -> None:
    words = ["a", "--n-samples", "3", "--label=x=y", "--empty=", "--value", "--other", "--", "--b", "-h"]

    positional, named = read_words(words)

    assert positional == ("a", "--b", "-h")
    assert named == {"n_samples": 3, "label": "x=y", "empty": "", "value": "--other"}


@pytest.mark.parametrize(
    ("words", "message"),
    [(["--n"], "--n has no value"), (["--n", "1", "--n=2"], "--n is given twice")],
)
def test_a_name_without_a_value_or_given_twice_is_refused(words: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        read_words(words)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (True, "true"),
        ("é", '"é"'),
        ((1, [2.5]), "[1, [2.5]]"),
        ({"a": None}, '{"a": null}'),
        (float("nan"), "NaN"),
        (np.float32(0.5), "0.5"),
        (np.int64(3), "3"),
        (np.bool_(True), "true"),
        (np.arange(6).reshape(2, 3), "[[0, 1, 2], [3, 4, 5]]"),
        ({"fa": np.array([0.5, 1.0])}, '{"fa": [0.5, 1.0]}'),
        (pd.Series([1, 2]), "[1, 2]"),
        (Path("/data/out.csv"), '"/data/out.csv"'),
        (1j, "1j"),
        ({1, 2}, "{1, 2}"),
        (b"x", "b'x'"),
        (np.array([1j]), "array([0.+1.j])"),
    ],
)
def test_a_value_is_json_where_it_can_be_and_else_its_repr(value: object, text: str) -> None:
    assert as_text(value) == text


def test_a_value_that_holds_itself_is_shown_as_python_does() -> None:
    value: list[object] = []
    value.append(value)

    assert as_text(value) == "[[...]]"


def test_standard_output_is_the_value_alone(bake: Callable[..., Baked]) -> None:
    def function(n: int) -> list[int]:
        print("printed")
        os.write(1, b"written\n")
        subprocess.run(["echo", "of a child"], check=True)
        return [n, n * n]

    done = bake(function).run("3")

    assert (done.returncode, done.stdout) == (0, "[3, 9]\n")
    assert done.stderr == "printed\nwritten\nof a child\n"


def test_the_functions_own_modules_are_there(bake: Callable[..., Baked]) -> None:
    def function(n: int) -> int:
        import own_of_baked

        return own_of_baked.double(n)

    baked = bake(function, {"own_of_baked.py": "def double(n): return 2 * n"})

    assert baked.run("4").stdout == "8\n"


def test_an_exception_is_told_with_its_lines_and_without_ours(bake: Callable[..., Baked]) -> None:
    def function(n: int) -> float:
        return 1 / n  # the line that failed

    done = bake(function).run("0")

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f'Traceback (most recent call last):\n  File "{__file__}", line ')
    assert "return 1 / n  # the line that failed" in done.stderr
    assert done.stderr.endswith("ZeroDivisionError: division by zero\n")
    assert "runner/baked.py" not in done.stderr


def test_a_module_that_fails_to_load_is_told(bake: Callable[..., Baked]) -> None:
    def function() -> None:
        import broken_of_baked  # noqa: F401

    done = bake(function, {"broken_of_baked.py": "raise RuntimeError('no licence')"}).run()

    assert done.returncode == 1
    assert "RuntimeError: no licence" in done.stderr


@pytest.mark.parametrize("code", [0, 3])
def test_an_exit_code_of_the_functions_own_is_passed_on(bake: Callable[..., Baked], code: int) -> None:
    def function(code: int) -> None:
        raise SystemExit(code)

    assert bake(function).run(str(code)).returncode == code


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "missing a required argument: 'subject'"),
        (["a", "1", "2"], "too many positional arguments"),
        (["a", "--treshold", "1"], "got an unexpected keyword argument 'treshold'"),
        (["a", "--threshold"], "--threshold has no value"),
    ],
)
def test_words_that_do_not_fit_are_answered_with_the_usage(
    bake: Callable[..., Baked], words: list[str], message: str
) -> None:
    def mean_fa(subject: str, *, threshold: float = 0.2) -> None:
        """Mean FA of one person."""
        raise AssertionError

    done = bake(mean_fa).run(*words)

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"{message}\n\nusage: docker run IMAGE [ARGUMENT ...] [--NAME VALUE ...]\n")
    assert "  mean_fa(subject: 'str', *, threshold: 'float' = 0.2)" in done.stderr
    assert "      Mean FA of one person." in done.stderr


@pytest.mark.parametrize("words", [["-h"], ["--help"], ["a", "--help"]])
def test_help_is_the_usage(bake: Callable[..., Baked], words: list[str]) -> None:
    def function(x: object) -> None:
        raise AssertionError

    done = bake(function).run(*words)

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("usage: docker run IMAGE")


def test_behind_two_dashes_nothing_is_an_option(bake: Callable[..., Baked]) -> None:
    assert bake(lambda *words: words).run("--", "-h", "--help").stdout == '["-h", "--help"]\n'


def test_a_function_that_needs_nothing_is_called_without_arguments(bake: Callable[..., Baked]) -> None:
    def function(n: int = 2) -> int:
        return n

    assert bake(function).run().stdout == "2\n"


@pytest.mark.parametrize("function", [max, str.upper, lambda *words: words])
def test_any_callable_will_do(bake: Callable[..., Baked], function: Callable[..., Any]) -> None:
    done = bake(function).run("b")

    assert done.returncode == 0, done.stderr
    assert done.stdout in ('"b"\n', '"B"\n', '["b"]\n')


def test_what_docker_stop_sends_ends_it(bake: Callable[..., Baked]) -> None:
    def function() -> None:
        import time

        print("running", flush=True)
        time.sleep(60)

    with bake(function).start() as process:
        assert process.stderr is not None
        assert process.stderr.readline() == "running\n"
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=20)
    assert process.returncode == 128 + signal.SIGTERM
