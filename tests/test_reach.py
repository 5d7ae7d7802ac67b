"""What code imports is read from bytecode and source, as far as the code goes and no farther."""

from __future__ import annotations

import functools
import json
import math
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy import mean
from numpy.random import rand

from cloudknot.reach import Imports, follow, read_code, read_source
from cloudknot.shipping import ModuleNotes, local_files, pack
from cloudknot.whereabouts import find_module, is_installed, is_outside
from tests.conftest import Script

WriteOwn = Callable[[dict[str, str]], Path]


def of_code(code: str) -> Imports:
    """Compile a function's body and read it as bytecode."""
    space: dict[str, Any] = {"__name__": "__main__"}
    exec(f"def function():\n{textwrap.indent(textwrap.dedent(code), '    ')}", space)
    return pack(space["function"]).imports


def of_source(source: str) -> dict[str, bool]:
    """Return whether each name that a source imports is optional."""
    statements = read_source(textwrap.dedent(source).encode())
    return {name: statement.is_optional for statement in statements for name in statement.modules("")}


@pytest.fixture
def write_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> WriteOwn:
    """Write modules of one's own where they are found."""

    def write(files: dict[str, str]) -> Path:
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return tmp_path

    monkeypatch.syspath_prepend(tmp_path)
    return write


def reached(*names: str, optional: tuple[str, ...] = ()) -> tuple[set[str], dict[str, bool]]:
    """Follow names: the own modules reached, and whether the others are optional."""
    imports = Imports(required=frozenset(names), optional=frozenset(optional))
    reach = follow(imports, lambda _, spec: is_outside(spec))
    return set(reach.own), {step.name: step.is_optional for step in reach.others}


def test_what_is_required_anywhere_is_required() -> None:
    one = Imports(required=frozenset({"a"}), optional=frozenset({"b", "c"}))
    other = Imports(required=frozenset({"b"}), optional=frozenset({"a"}))
    assert one | other == other | one == Imports(required=frozenset("ab"), optional=frozenset("c"))


@pytest.mark.parametrize(
    ("code", "required", "optional"),
    [
        ("import os.path", {"os.path"}, set()),
        ("import xml.etree.ElementTree as tree", {"xml.etree.ElementTree"}, set()),
        ("from xml import etree", {"xml.etree"}, set()),
        ("from xml import etree, sax", {"xml.etree", "xml.sax"}, set()),
        ("from json import dumps", {"json"}, set()),
        ("def inner():\n    import json", {"json"}, set()),
        ("return [__import__ for _ in (lambda: exec(''),)]", set(), set()),
        ("try:\n    import json\nexcept ImportError:\n    import csv", set(), {"json", "csv"}),
        ("try:\n    import json\nexcept ImportError:\n    pass\nimport json", {"json"}, set()),
        ("import json\nyield 1", {"json"}, set()),
        ("from no_such_place import thing", {"no_such_place"}, set()),
    ],
)
def test_the_imports_of_bytecode(code: str, required: set[str], optional: set[str]) -> None:
    assert of_code(code) == Imports(required=frozenset(required), optional=frozenset(optional))


def test_a_function_with_more_names_than_one_byte_can_count() -> None:
    many = "\n".join(f"x{number} = y.z{number} + {number}.5" for number in range(300))
    assert of_code(f"{many}\nfrom xml import etree") == Imports(required=frozenset({"xml.etree"}))


def test_imports_are_read_once_for_each_code_object() -> None:
    def function() -> None:
        import json  # noqa: F401

    assert read_code(function.__code__) is read_code(function.__code__)


@pytest.mark.parametrize(
    "handler",
    [
        "ImportError",
        "ModuleNotFoundError",
        "Exception",
        "(ValueError, ImportError)",
        "",
        "builtins.ImportError",
    ],
)
def test_an_import_that_may_fail_is_optional(handler: str) -> None:
    source = (
        f"try:\n    import a\nexcept {handler}:\n    import b\nelse:\n    import c\nfinally:\n    import d\n"
    )
    assert of_source(source) == {"a": True, "b": True, "c": True, "d": False}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("try:\n    import a\nexcept ValueError:\n    pass", {"a": False}),
        ("import a, b.c as d", {"a": False, "b.c": False}),
        ("from a import *", {"a": False}),
        ("def f():\n    import a", {"a": True}),
        ("class C:\n    import a\n    def f(self):\n        import b", {"a": False, "b": True}),
        ("if TYPE_CHECKING:\n    import a\nelse:\n    import b", {"b": False}),
        ("import typing\nif typing.TYPE_CHECKING:\n    import a", {"typing": False}),
        ("if __name__ == '__main__':\n    import a", {}),
        ("if sys.version_info < (3, 8):\n    import a\nelse:\n    import b", {"a": True, "b": True}),
        ("if sys.platform == 'win32':\n    import a", {"a": True}),
        ("if os.name == 'nt':\n    import a", {"a": True}),
        ("if True:\n    import a", {"a": False}),
        ("with suppress(ImportError):\n    import a", {"a": True}),
        ("with open('x'):\n    import a", {"a": False}),
        ("for _ in ():\n    import a", {"a": False}),
        ("match 1:\n    case 1:\n        import a", {"a": False}),
        ("no python at all", {}),
        ("\0", {}),
    ],
)  # fmt: skip
def test_the_imports_of_source(source: str, expected: dict[str, bool]) -> None:
    assert of_source(source) == expected


def test_only_modules_that_are_reached_count(write_own: WriteOwn) -> None:
    write_own(
        {
            "ck_lab/__init__.py": "from .constants import ONE\n",
            "ck_lab/constants.py": "import ck_for_constants\n",
            "ck_lab/stats.py": "from . import inner\nfrom .inner import deep\nimport ck_for_stats\n",
            "ck_lab/inner/__init__.py": "from ..shared import x\n",
            "ck_lab/inner/deep.py": "import ck_for_deep\nfrom ck_helper import y\n",
            "ck_lab/shared.py": "import ck_for_shared\n",
            "ck_lab/plots.py": "import ck_for_plots\n",
            "ck_helper.py": "import json\n",
        }
    )
    own, others = reached("ck_lab.stats")
    modules = {"", ".constants", ".stats", ".inner", ".inner.deep", ".shared"}
    assert own == {*(f"ck_lab{name}" for name in modules), "ck_helper"}
    names = {"ck_for_constants", "ck_for_stats", "ck_for_deep", "ck_for_shared", "json"}
    assert others == dict.fromkeys(names, False)


def test_what_only_an_optional_module_imports_is_optional(write_own: WriteOwn) -> None:
    write_own(
        {
            "ck_top.py": "import ck_must\ntry:\n    import ck_extra\nexcept ImportError:\n    pass\n",
            "ck_extra.py": "import ck_a, ck_b\n",
            "ck_must.py": "import ck_b\n",
        }
    )
    assert reached("ck_top") == ({"ck_top", "ck_extra", "ck_must"}, {"ck_a": True, "ck_b": False})
    assert reached("ck_must", optional=("ck_extra",))[1] == {"ck_a": True, "ck_b": False}


def test_an_import_names_the_file_and_line_that_has_it(write_own: WriteOwn) -> None:
    folder = write_own({"ck_top.py": "\n\nimport ck_missing\n"})
    [step] = follow(Imports(required=frozenset({"ck_top"})), lambda _, spec: is_outside(spec)).others
    assert step.importer == f"{folder / 'ck_top.py'}, line 3"


def test_namespaces_of_ones_own(write_own: WriteOwn) -> None:
    write_own(
        {
            "ck_space/deep/tool.py": "import ck_x\n",
            "ck_top.py": "from ck_space.deep import tool, gone\nfrom ck_space import *\n",
        }
    )
    own, others = reached("ck_top")
    assert own == {"ck_top", "ck_space", "ck_space.deep", "ck_space.deep.tool"}
    # A namespace holds nothing but modules, so what is not there is missing.
    assert others == {"ck_x": False, "ck_space.deep.gone": False}


def test_circles_end(write_own: WriteOwn) -> None:
    write_own({"ck_a.py": "import ck_b\n", "ck_b.py": "import ck_a\nfrom ..... import x\n"})
    assert reached("ck_a") == ({"ck_a", "ck_b"}, {})


def test_finding_imports_nothing(write_own: WriteOwn) -> None:
    write_own({"ck_loud/__init__.py": "raise SystemExit\n", "ck_loud/inner.py": "raise SystemExit\n"})
    spec = find_module("ck_loud.inner")
    assert spec is not None
    assert str(spec.origin).endswith("inner.py")
    assert find_module("ck_loud.gone") is None
    assert find_module("ck_gone.inner") is None
    assert "ck_loud" not in sys.modules


def test_what_an_installer_put_elsewhere_is_installed(write_own: WriteOwn) -> None:
    folder = write_own(
        {
            "ck_put/__init__.py": "",
            "ck_mine.py": "",
            "ck_put-1.dist-info/METADATA": "Name: ck-put\nVersion: 1\n",
            "ck_put-1.dist-info/RECORD": "ck_put/__init__.py,,\n../bin/x,,\n",
        }
    )
    assert is_installed(folder / "ck_put" / "__init__.py")
    assert not is_installed(folder / "ck_mine.py")
    assert list(local_files(["ck_put", "ck_mine"])) == ["ck_mine.py"]


def own_function(x: float) -> float:
    from csv import reader  # noqa: F401

    return x


class Own:
    """Goes by its name."""

    def method(self) -> None:
        """Goes with its class."""


@pytest.mark.parametrize(
    ("function", "required"),
    [
        (own_function, {"tests.test_reach", "csv"}),
        (Own().method, {"tests.test_reach"}),
        (lambda x: own_function(x) + 1, {"tests.test_reach", "csv"}),
        (lambda x: x + 1, set()),
        (lambda x: np.linalg.norm(x) + 1, {"numpy", "numpy.linalg"}),
        (lambda x: mean(x) + 1, {"numpy"}),
        (lambda x: rand(x) + 1, {"numpy.random"}),
        (functools.lru_cache(lambda x: x), set()),
        (np.sqrt, {"numpy"}),
        (functools.partial(np.vectorize(lambda x: x), [np.median]), {"numpy", "functools"}),
        (math.sqrt, {"math"}),
        (lambda x: np.random.default_rng().random(x), {"numpy", "numpy.random"}),
    ],
)
def test_what_a_pickle_refers_to_is_required(function: Callable[..., Any], required: set[str]) -> None:
    assert pack(function).imports.required - {"builtins", "types", "operator"} == required


def test_what_does_not_say_where_it_is_from_is_found_as_pickle_finds_it(script: Script) -> None:
    out = script.run(
        "from scipy.special import expit\nfrom cloudknot.shipping import pack\n"
        "print(*sorted(pack(lambda x: expit(x)).imports.required))\n"
    )
    assert out.startswith("scipy.special")


def test_what_goes_by_value_does_not_need_its_module() -> None:
    def inner(x: float) -> float:
        return x

    inner.__module__, inner.__qualname__ = "no_such_module", "inner"
    assert pack(inner).imports.required <= {"builtins"}
    assert "no_such_module" in pack(inner).modules


def test_notes_of_arguments_have_imports_too() -> None:
    notes = ModuleNotes()
    for obj in (np.ndarray, np, own_function, Own, own_function):
        notes(obj)
    assert notes.imports == Imports(required=frozenset({"numpy", "csv", "tests.test_reach"}))
    assert notes.modules == {"numpy", "csv", "tests"}


def test_a_library_that_imports_inside_its_functions_may_do_without() -> None:
    found = pack(pytest.importorskip).imports
    assert "_pytest.outcomes" in found.required
    assert "warnings" in found.optional


def test_relative_imports_of_a_module_that_is_run(write_own: WriteOwn) -> None:
    folder = write_own(
        {
            "ck_lab/__init__.py": "",
            "ck_lab/constants.py": "ONE = 1\n",
            "ck_lab/main.py": (
                "import json\nfrom cloudknot.shipping import pack\n"
                "def call(x):\n    from .constants import ONE\n    from . import constants\n    return ONE\n"
                "print(json.dumps(sorted(pack(call).imports.required)))\n"
            ),
        }
    )
    out = subprocess.run(
        [sys.executable, "-m", "ck_lab.main"], capture_output=True, text=True, check=True, cwd=folder
    )
    assert json.loads(out.stdout) == ["ck_lab.constants"]
