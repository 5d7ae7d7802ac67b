"""Pins come from what is installed: here, and in environments made for the purpose."""

from __future__ import annotations

import functools
import http.server
import json
import os
import platform
import subprocess
import sys
import threading
from collections.abc import Iterator
from importlib.machinery import EXTENSION_SUFFIXES
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

import cloudknot
from cloudknot import InputError
from cloudknot.reach import Imports
from cloudknot.requirements import Needs, Pin, capture, runner_pins
from cloudknot.shipping import local_files

SUFFIX = EXTENSION_SUFFIXES[0]


class Environment:
    """A folder of installed distributions, as importlib.metadata sees them, and one of own code."""

    def __init__(self, folder: Path) -> None:
        self.installed, self.own = folder / "installed", folder / "own"
        self.installed.mkdir()
        self.own.mkdir()

    def install(  # the fields of what an installer leaves behind
        self,
        name: str,
        *,
        modules: tuple[str, ...] = (),
        requires: tuple[str, ...] = (),
        origin: Any = None,
        size: int = 0,
        installer: str = "pip",
    ) -> None:
        """Write what an installer leaves behind."""
        record = self.installed / f"{name.replace('-', '_')}-1.5.dist-info"
        record.mkdir()
        lines = ["Metadata-Version: 2.1", f"Name: {name}", "Version: 1.5"]
        lines += [f"Requires-Dist: {requirement}" for requirement in requires]
        (record / "METADATA").write_text("\n".join(lines))
        (record / "INSTALLER").write_text(f"{installer}\n")
        for module in modules:
            write(self.installed / module, "")
        (record / "RECORD").write_text("".join(f"{module},sha256=0,{size}\n" for module in modules))
        if origin is not None:
            (record / "direct_url.json").write_text(json.dumps(origin))

    def write_own(self, files: dict[str, str]) -> None:
        """Write modules that nobody installed."""
        for name, text in files.items():
            write(self.own / name, text)


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Environment:
    made = Environment(tmp_path)
    monkeypatch.syspath_prepend(made.installed)
    monkeypatch.syspath_prepend(made.own)
    return made


def needs(*names: str, optional: tuple[str, ...] = (), **options: Any) -> Needs:
    return capture(Imports(required=frozenset(names), optional=frozenset(optional)), **options)


def lines(*names: str, optional: tuple[str, ...] = ()) -> list[str]:
    return [pin.line() for pin in needs(*names, optional=optional).pins]


@pytest.mark.parametrize(
    ("module", "name"),
    [("PIL.Image", "pillow"), ("dateutil", "python-dateutil"), ("yaml", "PyYAML"), ("attr", "attrs")],
)
def test_a_module_gives_the_distribution_that_provides_it(module: str, name: str) -> None:
    assert f"{name.lower()}=={version(name)}" in lines(module)


def test_a_distribution_by_another_name(environment: Environment) -> None:
    environment.install(
        "Scikit_Learn", modules=("sklearn/__init__.py", "sklearn/svm.py"), requires=("numpy",)
    )
    assert lines("sklearn.svm") == [f"numpy=={version('numpy')}", "scikit-learn==1.5"]


def test_all_distributions_that_provide_one_module(environment: Environment) -> None:
    for name in ("opencv-python", "opencv-contrib-python"):
        environment.install(name, modules=("cv2/__init__.py", f"cv2/cv2{SUFFIX}"))
    assert lines("cv2") == ["opencv-contrib-python==1.5", "opencv-python==1.5"]


def test_a_module_that_only_the_record_names(environment: Environment) -> None:
    # importlib.metadata of Python 3.11 does not see compiled modules at the top.
    environment.install("ck-fast", modules=(f"ck_fast_core{SUFFIX}",))
    assert lines("ck_fast_core") == ["ck-fast==1.5"]


def test_what_a_distribution_depends_on_is_pinned_too() -> None:
    pins = lines("pandas")
    assert {f"numpy=={version('numpy')}", f"six=={version('six')}"} < set(pins)
    assert pins == sorted(pins)


def test_the_standard_library_and_scripts_need_nothing() -> None:
    assert needs("os.path", "json", "xml.etree", "builtins", "__main__", "__future__") == Needs()


def test_a_module_that_is_missing_is_named() -> None:
    with pytest.raises(
        InputError, match=r"the function imports 'ck_gone\.inner', which is not installed here"
    ):
        needs("ck_gone.inner")
    assert lines(optional=("ck_gone",)) == []


def test_an_optional_module_that_is_installed_is_pinned(environment: Environment) -> None:
    environment.install("ck-leaf", modules=("ck_leaf.py",))
    assert lines(optional=("ck_leaf", "ck_gone")) == ["ck-leaf==1.5"]


def test_a_module_that_nobody_installed_among_the_installed(environment: Environment) -> None:
    environment.install("ck-leaf", modules=("ck_leaf/__init__.py",))
    stray = Path(json.__file__).parents[1] / "ck_stray"
    environment.write_own({"ck_top.py": "import ck_made\n"})
    module = type(sys)("ck_made")
    sys.modules["ck_made"] = module
    try:
        module.__spec__ = type(json.__spec__)("ck_made", None, origin=str(stray))
        with pytest.raises(
            InputError, match="'ck_made', which belongs to no installed distribution"
        ) as caught:
            needs("ck_top")
    finally:
        del sys.modules["ck_made"]
    assert str(stray) in str(caught.value)


def test_markers_and_extras_are_those_of_this_environment(environment: Environment) -> None:
    environment.install("ck-leaf", modules=("ck_leaf.py",))
    environment.install("ck-never", modules=("ck_never.py",))
    environment.install(
        "ck-middle",
        modules=("ck_middle.py",),
        requires=(
            "ck-leaf>=1; extra == 'all'",
            "ck-never; python_version < '3'",
            "ck-never; sys_platform != 'linux'",
            "ck-absent; extra == 'docs'",
            "no requirement at all",
        ),
    )
    environment.install("ck-top", modules=("ck_top.py",), requires=("CK_Middle[all]>=1",))
    assert lines("ck_middle") == ["ck-middle==1.5"]
    assert lines("ck_top") == ["ck-leaf==1.5", "ck-middle==1.5", "ck-top==1.5"]


def test_a_namespace_that_is_shared_gives_the_one_that_holds_the_module(environment: Environment) -> None:
    environment.install("ck-ns-a", modules=("ck_ns/cloud/a/__init__.py", "ck_ns/cloud/a/inner.py"))
    environment.install("ck-ns-b", modules=("ck_ns/cloud/b.py",))
    assert lines("ck_ns.cloud.b") == ["ck-ns-b==1.5"]
    assert lines("ck_ns.cloud.a.inner") == ["ck-ns-a==1.5"]
    assert lines("ck_ns.cloud") == lines("ck_ns") == ["ck-ns-a==1.5", "ck-ns-b==1.5"]
    with pytest.raises(InputError, match=r"imports 'ck_ns\.cloud\.storage', which is not installed here"):
        needs("ck_ns.cloud.storage")


def test_a_module_that_a_package_makes_as_it_is_imported() -> None:
    assert lines("six.moves.urllib") == lines("six")


def test_own_modules_are_followed_and_not_pinned(environment: Environment) -> None:
    environment.install("ck-leaf", modules=("ck_leaf.py",))
    environment.install("ck-plots", modules=("ck_plots.py",))
    environment.write_own(
        {
            "ck_lab/__init__.py": "",
            "ck_lab/stats.py": "from .io import read\n",
            "ck_lab/io.py": "import ck_leaf\n",
            "ck_lab/figures.py": "import ck_plots, ck_gone\n",
        }
    )
    assert needs("ck_lab.stats") == Needs(pins=(Pin(name="ck-leaf", version="1.5"),))


def test_the_own_module_that_imports_what_is_missing_is_named(environment: Environment) -> None:
    environment.write_own({"ck_lab/__init__.py": "", "ck_lab/io.py": "import json\nimport ck_gone\n"})
    with pytest.raises(
        InputError, match=r"own/ck_lab/io\.py, line 2 imports 'ck_gone', which is not installed"
    ):
        needs("ck_lab.io")


def test_a_module_of_ones_own_comes_before_an_installed_one_of_that_name(environment: Environment) -> None:
    # Many distributions leave a top-level module such as "tests" behind.
    environment.install("ck-careless", modules=("ck_tests/__init__.py",))
    environment.write_own({"ck_tests/__init__.py": ""})
    assert needs("ck_tests") == Needs()


def test_cloudknot_is_never_pinned_and_what_it_needs_is() -> None:
    found = needs("cloudknot.knot")
    names = {pin.name for pin in found.pins}
    assert found.uses_cloudknot
    assert {"boto3", "cloudpickle", "docker", "rich", "click", "urllib3"} <= names
    assert not {"cloudknot", "matplotlib", "pytest", "moto"} & names
    assert found.by_value == frozenset()


def test_what_lies_beside_cloudknots_source_is_no_part_of_it() -> None:
    assert needs("tests") == Needs()


def test_the_runner_is_in_the_image_anyway() -> None:
    assert needs("cloudknot.runner.pickles", "cloudknot.runner") == Needs()


def test_a_distribution_that_needs_cloudknot(environment: Environment) -> None:
    environment.install("ck-tool", modules=("ck_tool.py",), requires=("cloudknot",))
    found = needs("ck_tool")
    assert found.uses_cloudknot
    assert "cloudknot" not in {pin.name for pin in found.pins}


def test_a_version_control_install_keeps_address_and_commit(environment: Environment) -> None:
    origin = {
        "url": "https://example.org/lab.git",
        "subdirectory": "python",
        "vcs_info": {"vcs": "git", "commit_id": "abc123"},
    }
    environment.install("ck-lab", modules=("ck_lab.py",), origin=origin)
    assert lines("ck_lab") == ["ck-lab @ git+https://example.org/lab.git@abc123#subdirectory=python"]


@pytest.mark.parametrize(
    ("archive_info", "fragment"), [({}, ""), ({"hashes": {"sha256": "0123"}}, "#sha256=0123")]
)
def test_an_archive_keeps_address_and_hash(
    environment: Environment, archive_info: dict[str, Any], fragment: str
) -> None:
    origin = {"url": "https://example.org/ck_lab-1.5.tar.gz", "archive_info": archive_info}
    environment.install("ck-lab", modules=("ck_lab.py",), origin=origin)
    assert lines("ck_lab") == [f"ck-lab @ https://example.org/ck_lab-1.5.tar.gz{fragment}"]


LOCAL = [
    {"url": "file:///home/me/mine", "dir_info": {}},
    {"url": "file:///home/me/mine", "dir_info": {"editable": True}},
    {"url": "file:///home/me/mine-1.5-py3-none-any.whl", "archive_info": {}},
    {"url": "file:///home/me/mine.git", "vcs_info": {"vcs": "git", "commit_id": "abc123"}},
]


@pytest.mark.parametrize("origin", LOCAL)
def test_a_local_install_travels_and_what_it_needs_is_pinned(
    environment: Environment, origin: dict[str, Any]
) -> None:
    environment.install("ck-leaf", modules=("ck_leaf.py",))
    environment.install("ck-seen", modules=("ck_seen.py",))
    environment.install(
        "ck-mine", modules=("ck_mine/__init__.py", "ck_also.py"), requires=("ck-leaf",), origin=origin
    )
    write(environment.installed / "ck_mine" / "__init__.py", "import ck_seen")
    found = needs("ck_mine")
    assert found.by_value == {"ck_mine", "ck_also"}
    assert found.pins == (Pin(name="ck-leaf", version="1.5"), Pin(name="ck-seen", version="1.5"))
    assert set(local_files([], found.by_value)) == {
        "ck_mine/__init__.py",
        "ck_also.py",
        "ck_mine-1.5.dist-info/METADATA",
        "ck_mine-1.5.dist-info/entry_points.txt",
    }
    assert local_files(["ck_mine"]) == {}


def test_a_local_install_that_a_distribution_depends_on_travels(environment: Environment) -> None:
    environment.install("ck-mine", modules=("ck_mine.py",), origin=LOCAL[0])
    environment.install("ck-top", modules=("ck_top.py",), requires=("ck-mine",))
    assert needs("ck_top") == Needs(
        pins=(Pin(name="ck-top", version="1.5"),), by_value=frozenset({"ck_mine"})
    )


def test_compiled_modules_travel_to_their_own_platform_only(environment: Environment) -> None:
    compiled = (f"ck_mine/core{SUFFIX}", "ck_mine.libs/libx.so.6")
    environment.install("ck-mine", modules=("ck_mine/__init__.py", *compiled), origin=LOCAL[2])
    write(environment.own / f"ck_built{SUFFIX}", "")
    here = {"x86_64": "linux/amd64", "aarch64": "linux/arm64"}[platform.machine()]
    [there] = {"linux/amd64", "linux/arm64"} - {here}
    found = needs("ck_mine.core", "ck_built", platform=here)
    assert found == needs("ck_mine.core", "ck_built")
    assert {*compiled} <= set(local_files([], found.by_value))
    with pytest.raises(
        InputError, match=f"ck-mine .*mine-1.5.* compiled for {here} and cannot run on {there}"
    ):
        needs("ck_mine", platform=there)
    with pytest.raises(InputError, match=f"your module 'ck_built' .* cannot run on {there}"):
        needs("ck_built", platform=there)


def test_what_conda_has_built_is_pinned_by_its_version(environment: Environment) -> None:
    origin = {"url": "file:///croot/lab_1695830428954/work", "dir_info": {}}
    environment.install("ck-lab", modules=("ck_lab.py",), origin=origin, installer="conda")
    assert lines("ck_lab") == ["ck-lab==1.5"]


def test_what_lies_beside_a_source_does_not_make_it_installed(environment: Environment) -> None:
    environment.write_own({"ck_mine/__init__.py": "import ck_leaf\n"})
    environment.install("ck-leaf", modules=("ck_leaf.py",))
    write(environment.own / "ck_mine.egg-info" / "PKG-INFO", "Name: ck-mine\nVersion: 2\n")
    write(environment.own / "ck_mine.egg-info" / "top_level.txt", "ck_mine\n")
    write(environment.own / "ck_mine.egg-info" / "requires.txt", "six\n")
    found = needs("ck_mine")
    assert [pin.name for pin in found.pins] == ["ck-leaf", "six"]
    assert found.by_value == {"ck_mine"}
    # Installed from there as well, it is what was installed.
    origin = {"url": environment.own.as_uri(), "dir_info": {"editable": True}}
    environment.install("ck-mine", origin=origin, requires=("attrs",))
    assert [pin.name for pin in needs("ck_mine").pins] == ["attrs", "ck-leaf"]


@pytest.mark.parametrize(("size", "is_large"), [(8 << 20, True), ((8 << 20) - 1, False)])
def test_a_large_distribution_is_told_apart(environment: Environment, size: int, is_large: bool) -> None:
    environment.install("ck-big", modules=("ck_big.py",), size=size)
    [pin] = needs("ck_big").pins
    assert pin.is_large is is_large
    assert pin == Pin(name="ck-big", version="1.5")


def test_metadata_that_are_torn_hurt_nobody(environment: Environment) -> None:
    environment.install("ck-old", modules=("ck_old.py",), origin=LOCAL[0])
    record = environment.installed / "ck_old-1.5.dist-info"
    (record / "direct_url.json").write_text("no json")
    write(environment.installed / "~k_torn-1.dist-info" / "top_level.txt", "ck_torn\nck_old\n")
    environment.install("ck-leaf", modules=("ck_leaf.py",))
    assert lines("ck_leaf") == ["ck-leaf==1.5"]
    assert lines("ck_old") == ["ck-old==1.5"]


def test_the_runner_needs_cloudpickle_and_boto3() -> None:
    pins = {pin.name: pin for pin in runner_pins()}
    assert {"cloudpickle", "boto3", "botocore", "s3transfer", "jmespath"} <= set(pins)
    assert pins["boto3"].version == version("boto3")
    assert pins["botocore"].is_large


BACKEND = """
import pathlib, zipfile

[NAME] = (path.parent.name for path in pathlib.Path(__file__).parent.glob("ck_*/__init__.py"))

def build_wheel(folder, config_settings=None, metadata_directory=None, code=None):
    name = f"{NAME}-1.0-py3-none-any.whl"
    info = f"{NAME}-1.0.dist-info"
    files = {
        **(code or {f"{NAME}/__init__.py": (pathlib.Path(NAME) / "__init__.py").read_text()}),
        f"{info}/METADATA": f"Metadata-Version: 2.1\\nName: {NAME}\\nVersion: 1.0\\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\\nGenerator: x\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
    }
    files[f"{info}/RECORD"] = "".join(f"{file},,\\n" for file in [*files, f"{info}/RECORD"])
    with zipfile.ZipFile(pathlib.Path(folder, name), "w") as archive:
        for file, text in files.items():
            archive.writestr(file, text)
    return name

def build_editable(folder, config_settings=None, metadata_directory=None):
    return build_wheel(folder, code={f"{NAME}.pth": str(pathlib.Path(__file__).parent)})
"""
KINDS = ("folder", "editable", "wheel", "git", "archive")
REPORT = """
import json, sys
import ck_folder, ck_editable, ck_wheel, ck_git, ck_archive
from cloudknot.requirements import capture
from cloudknot.shipping import local_files, pack

def call(x):
    return [one.VERSION for one in (ck_folder, ck_editable, ck_wheel, ck_git, ck_archive)]

shipment = pack(call)
needs = capture(shipment.imports)
files = local_files(shipment.modules, needs.by_value)
for name, content in files.items():
    path = __import__("pathlib").Path(sys.argv[1], name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
print(json.dumps({"pins": [pin.line() for pin in needs.pins], "by_value": sorted(needs.by_value)}))
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A folder, and the address on this machine where it is served."""
    folder = tmp_path / "served"
    folder.mkdir()

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    serve = functools.partial(Handler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), serve) as running:
        thread = threading.Thread(target=running.serve_forever, daemon=True)
        thread.start()
        yield folder, f"http://127.0.0.1:{running.server_port}"
        running.shutdown()
        thread.join()


def run(*command: Any, **options: Any) -> str:
    done = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, check=False, **options
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def test_what_pip_has_really_installed(tmp_path: Path, server: tuple[Path, str]) -> None:
    folder, address = server
    for kind in KINDS:
        project = tmp_path / f"ck_{kind}"
        write(project / "backend.py", BACKEND)
        write(
            project / "pyproject.toml",
            '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n',
        )
        code = "from importlib.metadata import version\nVERSION = version(__name__)\n"
        write(project / f"ck_{kind}" / "__init__.py", code)
    python = tmp_path / "venv" / "bin" / "python"
    run(sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv")
    pip = (sys.executable, "-m", "pip", "--python", python, "--quiet")
    for kind, target in (("wheel", tmp_path), ("archive", folder)):
        run(*pip, "wheel", "--no-deps", "--wheel-dir", target, tmp_path / f"ck_{kind}")
    project, bare = tmp_path / "ck_git", folder / "lab.git"
    identity = ("-c", "user.name=me", "-c", "user.email=me@example.org")
    run("git", "init", "--quiet", project)
    run("git", "-C", project, "add", ".")
    run("git", "-C", project, *identity, "commit", "--quiet", "--message", "one")
    run("git", "clone", "--quiet", "--bare", project, bare)
    run("git", "-C", bare, "update-server-info")
    commit = run("git", "-C", project, "rev-parse", "HEAD").strip()
    archive = f"{address}/ck_archive-1.0-py3-none-any.whl"
    run(
        *pip, "install", "--no-deps", tmp_path / "ck_folder", "--editable", tmp_path / "ck_editable",
        tmp_path / "ck_wheel-1.0-py3-none-any.whl", f"git+{address}/lab.git", archive,
    )  # fmt: skip
    write(tmp_path / "report.py", REPORT)
    # The rest is what this test runs with: installed elsewhere, and on the path.
    path = os.pathsep.join([str(Path(cloudknot.__file__).parents[1]), *filter(None, sys.path)])
    variables = {**os.environ, "PYTHONPATH": path}
    far = tmp_path / "far"
    found = json.loads(run(python, tmp_path / "report.py", far, env=variables))
    assert found["by_value"] == ["ck_editable", "ck_folder", "ck_wheel"]
    [one, other] = found["pins"]
    assert one.startswith(f"ck-archive @ {archive}#sha256=")
    assert other == f"ck-git @ git+{address}/lab.git@{commit}"
    # What travels works where nothing is installed.
    modules = "ck_folder, ck_editable, ck_wheel"
    check = f"import sys\nsys.path.append({str(far)!r})\nimport {modules}\n"
    check += f"print(*(one.VERSION for one in ({modules})))"
    assert run(sys.executable, "-I", "-S", "-c", check) == "1.0 1.0 1.0\n"
