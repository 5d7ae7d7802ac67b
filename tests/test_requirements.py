"""Pins come from what is installed: here, and in environments made for the purpose."""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from cloudknot import InputError
from cloudknot.requirements import Pin, find_needs


class Environment:
    """A folder of installed distributions, as importlib.metadata sees them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def install(
        self, name: str, *, modules: list[str], requires: tuple[str, ...] = (), origin: Any = None
    ) -> None:
        """Write what an installer leaves behind."""
        record = self._folder / f"{name.replace('-', '_')}-1.5.dist-info"
        record.mkdir()
        lines = ["Metadata-Version: 2.1", f"Name: {name}", "Version: 1.5"]
        lines += [f"Requires-Dist: {requirement}" for requirement in requires]
        (record / "METADATA").write_text("\n".join(lines))
        for module in modules:
            path = self._folder / module
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("")
        (record / "RECORD").write_text("".join(f"{module},,\n" for module in modules))
        if origin is not None:
            (record / "direct_url.json").write_text(json.dumps(origin))


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Environment:
    monkeypatch.syspath_prepend(tmp_path)
    return Environment(tmp_path)


def lines(*modules: str, **options: Any) -> list[str]:
    return [pin.line() for pin in find_needs(modules, **options).pins]


def test_a_module_gives_the_distribution_that_provides_it() -> None:
    assert f"pillow=={version('pillow')}" in lines("PIL.Image")
    assert f"python-dateutil=={version('python-dateutil')}" in lines("dateutil")


def test_what_a_distribution_depends_on_is_pinned_too() -> None:
    pins = lines("pandas")
    assert {f"numpy=={version('numpy')}", f"six=={version('six')}"} < set(pins)
    assert pins == sorted(pins)


def test_the_standard_library_needs_nothing() -> None:
    assert lines("os.path", "json", "xml.etree") == []


def test_a_module_that_is_missing_is_named() -> None:
    with pytest.raises(InputError, match="imports 'no_such_module', which is not installed here"):
        find_needs(["no_such_module.inner"])
    assert lines("no_such_module", optional=["no_such_module"]) == []


def test_markers_and_extras_are_those_of_this_environment(environment: Environment) -> None:
    environment.install("ck-leaf", modules=["ck_leaf.py"])
    environment.install("ck-never", modules=["ck_never.py"])
    environment.install(
        "ck-middle",
        modules=["ck_middle.py"],
        requires=(
            "ck-leaf>=1; extra == 'all'",
            "ck-never; python_version < '3'",
            "ck-absent; extra == 'docs'",
        ),
    )
    environment.install("ck-top", modules=["ck_top.py"], requires=("CK_Middle[all]>=1",))
    assert lines("ck_middle") == ["ck-middle==1.5"]
    assert lines("ck_top") == ["ck-leaf==1.5", "ck-middle==1.5", "ck-top==1.5"]


def test_a_namespace_that_is_shared_gives_the_one_that_holds_the_module(environment: Environment) -> None:
    environment.install("ck-ns-a", modules=["ck_ns/a/__init__.py"])
    environment.install("ck-ns-b", modules=["ck_ns/b.py"])
    assert lines("ck_ns.b") == ["ck-ns-b==1.5"]
    assert lines("ck_ns.a") == ["ck-ns-a==1.5"]
    assert lines("ck_ns") == ["ck-ns-a==1.5", "ck-ns-b==1.5"]


def test_a_version_control_install_keeps_address_and_commit(environment: Environment) -> None:
    origin = {
        "url": "https://example.org/lab.git",
        "subdirectory": "python",
        "vcs_info": {"vcs": "git", "commit_id": "abc123"},
    }
    environment.install("ck-lab", modules=["ck_lab.py"], origin=origin)
    assert lines("ck_lab") == ["ck-lab @ git+https://example.org/lab.git@abc123#subdirectory=python"]


@pytest.mark.parametrize("dir_info", [{}, {"editable": True}])
def test_a_local_install_travels_and_what_it_needs_is_pinned(
    environment: Environment, dir_info: dict[str, bool]
) -> None:
    environment.install("ck-leaf", modules=["ck_leaf.py"])
    environment.install(
        "ck-mine",
        modules=["ck_mine/__init__.py", "ck_also.py"],
        requires=("ck-leaf",),
        origin={"url": "file:///home/me/mine", "dir_info": dir_info},
    )
    needs = find_needs(["ck_mine"])
    assert needs.by_value == {"ck_mine", "ck_also"}
    assert needs.pins == (Pin(name="ck-leaf", version="1.5"),)
