"""The plan of the house holds: who may import what, and how large a module may be."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import cloudknot

ROOT = Path(cloudknot.__file__).parent

# A module imports its own layer and lower ones. The table stands in docs/architecture.md too.
LAYERS = [
    {"errors", "_version", "runner"},
    {"specs", "runs", "config", "shipping", "reach", "requirements", "installed", "whereabouts"}
    | {"indexes", "environments", "checks", "sizes", "arches", "original", "places", "money"}
    | {"settings_file"},
    {"context", "recipes", "assembly", "bases", "own_files", "docker_engine", "images", "baking"}
    | {"templates"},
    {"ledger", "items", "opening", "events", "display", "catalog", "backends", "aws"},
    {"calls", "failures", "futures", "progress"},
    {"submission", "watcher", "cost", "pars", "owning"},
    {"client", "removal"},
    {"knot", "docker_image"},
    {"cli", "__init__"},
    {"testing"},
]
# `testing` stands on the public face alone. Within it a part imports itself and what is named here.
TESTING: dict[str, set[str]] = {
    "clock": set(),
    "errors": set(),
    "calls": set(),
    "sessions": set(),
    "wire": set(),
    "executors": set(),
    "registry": set(),
    "iam": {"wire"},
    "faults": {"wire"},
    "batch": {"clock", "executors"},
    "ecr": {"iam", "registry"},
    "stacks": {"batch", "iam"},
    "server": {"calls", "clock", "wire", "executors", "registry", "iam", "faults", "batch", "ecr", "stacks"},
    "box": {"calls", "errors", "faults", "sessions"},
    "launch": {"box", "errors"},
    "pytest_plugin": {"box", "launch", "sessions"},
    "__main__": {"box", "errors", "launch"},
    "__init__": {"box", "calls", "errors", "launch"},
}
ONLY_IN = {
    "pickle": {"runner/pickles.py"},
    "cloudpickle": {"runner/pickles.py"},
    "boto3": {
        "aws/session.py",
        "runner/s3.py",
        "testing/box.py",
        "testing/pytest_plugin.py",
        "testing/sessions.py",
        "testing/stacks/calls.py",
    },
    "botocore": {
        "aws/session.py",
        "runner/s3.py",
        "testing/batch/model.py",
        "testing/iam/signatures.py",
        "testing/box.py",
        "testing/sessions.py",
    }
    | {f"testing/wire/{name}.py" for name in ("requests", "errors", "models")}
    | {f"testing/stacks/{name}.py" for name in ("buckets", "calls", "reasons")},
    "docker": {
        f"docker_engine/{name}.py"
        for name in ("connection", "containers", "images", "layers", "pulling", "pushing", "explaining")
    }
    | {f"testing/executors/{path.name}" for path in (ROOT / "testing" / "executors").glob("docker*.py")},
}
RUNNER_MAY_IMPORT = {*sys.stdlib_module_names, "cloudpickle", "cloudknot", "boto3", "botocore"}
MAX_LINES = 400

MODULES = sorted(ROOT.rglob("*.py"))
IDS = [path.relative_to(ROOT).as_posix() for path in MODULES]


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def layer_of(module: str) -> int:
    for number, names in enumerate(LAYERS):
        if module in names:
            return number
    raise AssertionError(f"{module} has no layer: give it one here and in docs/architecture.md")


@pytest.mark.parametrize("path", MODULES, ids=IDS)
def test_a_module_imports_its_own_layer_and_lower_ones(path: Path) -> None:
    own = path.relative_to(ROOT).parts[0].removesuffix(".py")
    for name in imports(path):
        package, _, rest = name.partition(".")
        if package == "cloudknot" and rest not in ("", "__version__"):
            assert layer_of(rest.split(".")[0]) <= layer_of(own), f"{own} must not import {name}"


@pytest.mark.parametrize("path", sorted((ROOT / "testing").rglob("*.py")), ids=str)
def test_the_box_stands_on_the_public_face(path: Path) -> None:
    own = path.relative_to(ROOT / "testing").parts[0].removesuffix(".py")
    for name in imports(path):
        if name == "cloudknot" or not name.startswith("cloudknot."):
            continue
        assert name.startswith("cloudknot.testing."), f"{own} must not import {name}"
        part = name.split(".")[2]
        assert part == own or part in TESTING[own], f"testing.{own} must not import {name}"


@pytest.mark.parametrize("path", MODULES, ids=IDS)
def test_a_library_is_used_in_its_own_place(path: Path) -> None:
    place = path.relative_to(ROOT).as_posix()
    for name in imports(path):
        allowed = ONLY_IN.get(name.partition(".")[0])
        assert allowed is None or place in allowed, f"{place} must not import {name}"


@pytest.mark.parametrize("path", sorted((ROOT / "runner").glob("*.py")), ids=lambda path: path.name)
def test_the_runner_needs_little(path: Path) -> None:
    for name in imports(path):
        assert name.partition(".")[0] in RUNNER_MAY_IMPORT
        assert not name.startswith("cloudknot.") or name.startswith("cloudknot.runner.")


@pytest.mark.parametrize("path", MODULES, ids=IDS)
def test_a_module_holds_one_idea(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= MAX_LINES


def test_the_public_face_is_what_is_there() -> None:
    for name in cloudknot.__all__:
        assert getattr(cloudknot, name) is not None
    assert set(cloudknot.__all__) <= set(dir(cloudknot))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        cloudknot.nothing  # noqa: B018  # the look-up is the test


def test_type_checkers_see_the_same_public_face() -> None:
    tree = ast.parse((ROOT / "__init__.py").read_text())
    [block] = [node for node in tree.body if isinstance(node, ast.If)]
    seen = {alias.asname for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert seen == {*cloudknot.__all__} - {"__version__"}


@pytest.mark.parametrize("statement", ["import cloudknot", "from cloudknot import Knot; Knot(abs)"])
def test_importing_has_no_side_effect_and_loads_no_heavy_library(statement: str, tmp_path: Path) -> None:
    code = (
        f"{statement}\nimport sys, threading\n"
        "heavy = {'boto3', 'docker', 'numpy', 'rich', 'click', 'tqdm'} & set(sys.modules)\n"
        "print(sorted(heavy), threading.active_count())"
    )
    out = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={"CLOUDKNOT_HOME": str(tmp_path / "home"), "PATH": ""},
    )
    assert out.stdout.split() == ["[]", "1"]
    assert list(tmp_path.iterdir()) == []
