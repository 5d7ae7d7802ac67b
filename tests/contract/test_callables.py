"""Every callable that a scientist writes works, in every place."""

from __future__ import annotations

import functools
import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cloudknot import InputError, Knot
from tests.conftest import Script

MakeKnot = Callable[..., Knot[Any]]


def module_level(x: float) -> float:
    return math.sqrt(x) + float(np.float64(1))


def doubled(function: Callable[[float], float]) -> Callable[[float], float]:
    @functools.wraps(function)
    def inner(x: float) -> float:
        return 2 * function(x)

    return inner


@doubled
def decorated(x: float) -> float:
    return x + 1


class Model:
    """A callable object with a state."""

    def __init__(self, slope: float) -> None:
        self.slope = slope

    def __call__(self, x: float) -> float:
        return self.slope * x

    def predict(self, x: float) -> float:
        return self(x) + 1

    @classmethod
    def unit(cls, x: float) -> float:
        return cls(1.0)(x)

    @staticmethod
    def nothing(_: float) -> float:
        return 0.0


def make_closure(offset: float) -> Callable[[float], float]:
    return lambda x: x + offset


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (module_level, 3.0),
        (lambda x: x + 1, 5.0),
        (make_closure(10), 14.0),
        (decorated, 10.0),
        (functools.partial(pow, exp=2), 16.0),
        (functools.partial(functools.partial(module_level)), 3.0),
        (Model(3), 12.0),
        (Model(3).predict, 13.0),
        (Model.unit, 4.0),
        (Model.nothing, 0.0),
        (math.sqrt, 2.0),
        (np.sqrt, 2.0),
        (np.vectorize(lambda x: x - 1), 3.0),
        (str, "4.0"),
        ((4.0).__add__, 8.0),
        (functools.lru_cache(module_level), 3.0),
    ],
)
def test_a_callable_of_any_kind(make_knot: MakeKnot, function: Callable[[float], Any], expected: Any) -> None:
    assert make_knot(function).map([4.0]).result() == [expected]


def test_an_import_of_what_is_not_installed(make_knot: MakeKnot, place: str) -> None:
    def inner(x: float) -> float:
        from scipy_is_not_needed_here import nothing  # type: ignore[import-not-found]

        return float(nothing(x))

    # Where an image is made, it is told before anything is built.
    error = ModuleNotFoundError if place == "local" else InputError
    with pytest.raises(error, match="scipy_is_not_needed_here"):
        make_knot(inner).submit(1.0).result()


HELPERS = {
    "helpers.py": "from lab.stats import mean\nFACTOR = 10\ndef scale(x): return FACTOR * mean([x, x])\n",
    "lab/__init__.py": "",
    "lab/stats.py": "from .constants import ONE\ndef mean(xs): return sum(xs) / len(xs) * ONE\n",
    "lab/constants.py": "from pathlib import Path\n"
    "ONE = int((Path(__file__).parent / 'one.txt').read_text())\n",
    "lab/one.txt": "1",
    "lab/errors.py": "class BadSubject(Exception):\n    pass\n",
}


@pytest.fixture
def lab(script: Script) -> Script:
    """A script with uninstalled modules beside it."""
    for name, text in HELPERS.items():
        path = script.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    return script


def test_helpers_in_an_uninstalled_module_and_package(lab: Script) -> None:
    out = lab.run(
        """
import cloudknot as ck
import helpers

def call(x):
    from lab import stats
    return helpers.scale(x) + stats.mean([1, 1])

print(ck.Knot(call).map([1, 2]).result(), ck.Knot(helpers.scale).map([3]).result())
"""
    )
    assert out.strip() == "[11.0, 21.0] [30.0]"


def test_an_exception_of_an_uninstalled_module_keeps_its_type(lab: Script) -> None:
    out = lab.run(
        """
import cloudknot as ck
from lab.errors import BadSubject

def call(x):
    raise BadSubject(x)

try:
    ck.Knot(call).submit("sub-01").result()
except BadSubject as error:
    print("caught", error)
"""
    )
    assert out.strip() == "caught sub-01"


def test_an_edited_helper_is_seen_by_warm_workers(lab: Script) -> None:
    out = lab.run(
        """
import importlib, pathlib
import cloudknot as ck
import helpers

print(ck.Knot(helpers.scale).map([1, 1]).result())
path = pathlib.Path("helpers.py")
path.write_text(path.read_text().replace("FACTOR = 10", "FACTOR = 1000"))
importlib.reload(helpers)
print(ck.Knot(helpers.scale).map([1, 1]).result())
"""
    )
    assert out.split("\n")[:2] == ["[10.0, 10.0]", "[1000.0, 1000.0]"]


def test_a_script_runs_its_own_classes_and_is_not_run_again(script: Script) -> None:
    out = script.run(
        """
import dataclasses
import cloudknot as ck

print("once")

@dataclasses.dataclass
class Subject:
    name: str
    age: float

class TooYoung(Exception):
    pass

def grow(subject):
    if subject.age < 1:
        raise TooYoung(subject.name)
    return Subject(subject.name, subject.age + 1)

future = ck.Knot(grow).map([Subject("a", 6.5), Subject("b", 0)])
print(future[0].result() == Subject("a", 7.5))
try:
    future[1].result()
except TooYoung as error:
    print("too young:", error)
"""
    )
    assert out.split("\n")[:3] == ["once", "True", "too young: b"]


def test_a_cached_function_of_a_script(script: Script) -> None:
    out = script.run(
        """
import functools
import cloudknot as ck

@functools.cache
def slow(x):
    return x + 1

print(ck.Knot(slow).map([1, 2]).result(), ck.Knot(lambda x: slow(x)).map([3]).result())
"""
    )
    assert out.strip() == "[2, 3] [4]"


def test_functions_typed_in_python_itself(script: Script) -> None:
    lines = "import cloudknot as ck\ndef f(x):\n    return x + 1\n\nprint(ck.Knot(f).map([1, 2]).result())\n"
    out = subprocess.run(
        [sys.executable, "-i", "-q"],
        input=lines,
        capture_output=True,
        text=True,
        timeout=60,
        env=script.environment,
        cwd=script.folder,
        check=True,
    )
    assert out.stdout.strip() == "[2, 3]"


def test_functions_typed_in_a_notebook_show_their_lines(script: Script) -> None:
    out = script.run(
        """
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
shell.run_cell("import cloudknot as ck")
shell.run_cell("def broken(x):\\n    y = x - 1\\n    return 1 // y\\n")
shell.run_cell("future = ck.Knot(broken).map([1, 2])")
shell.run_cell("print(future[1].result())")
shell.run_cell("import traceback; print(''.join(traceback.format_exception(future[0].exception())))")
"""
    )
    assert out.startswith("1\n")
    assert "return 1 // y" in out
    assert "ZeroDivisionError" in out


def test_a_module_run_with_m(lab: Script) -> None:
    (lab.folder / "lab" / "main.py").write_text(
        "import cloudknot as ck\n"
        "from .stats import mean\n"
        "def call(x):\n"
        "    from .constants import ONE\n"
        "    return mean([x]) + ONE\n"
        "if __name__ == '__main__':\n"
        "    print(ck.Knot(call).map([1]).result())\n"
    )
    out = subprocess.run(
        [sys.executable, "-m", "lab.main"],
        capture_output=True,
        text=True,
        timeout=60,
        env=lab.environment,
        cwd=lab.folder,
        check=False,
    )
    assert out.stdout.strip() == "[2.0]", out.stderr


def test_an_argument_of_a_class_that_the_function_never_names(lab: Script) -> None:
    (lab.folder / "subjects.py").write_text("class Subject:\n    def __init__(self, n): self.n = n\n")
    out = lab.run(
        """
import cloudknot as ck
from subjects import Subject
print(ck.Knot(lambda s: s.n).map([Subject(1), Subject(2)]).result())
"""
    )
    assert out.strip() == "[1, 2]"


@pytest.mark.on_this_machine("jobs on Batch do not see this machine's files")
def test_paths_that_a_script_opens_are_relative_to_where_it_was_started(script: Script) -> None:
    (script.folder / "ages.txt").write_text("6.5")
    out = script.run(
        "import cloudknot as ck, pathlib\n"
        "print(ck.Knot(lambda name: pathlib.Path(name).read_text()).map(['ages.txt']).result())\n"
    )
    assert out.strip() == "['6.5']"


@pytest.mark.on_this_machine("jobs on Batch do not see this machine's files")
def test_the_home_of_the_test_is_used(script: Script, home: Path) -> None:
    script.run("import cloudknot as ck\nck.Knot(abs).map([1]).result()\n")
    assert list((home / "runs").iterdir())
