"""Files that say what is installed are read whole, and what only this machine has is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from cloudknot import InputError
from cloudknot.environments import read_environment


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "lab"
    made.mkdir()
    return made


def write(folder: Path, **files: str) -> None:
    for name, text in files.items():
        path = folder / name.replace("__", "/").replace("_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def test_requirements_with_the_files_that_they_name(folder: Path) -> None:
    write(
        folder,
        env__gpu_txt="-r base.txt\n--constraint=../limits.txt\nnumpy==2.0 # the last\n",
        env__base_txt="-rgpu.txt\n-r more/all.txt\n",
        env__more__all_txt="--requirement   ../base.txt\n",
        limits_txt="scipy<2\n",
        env__unused_txt="x\n",
    )
    found = read_environment(folder / "env" / "gpu.txt")
    assert found.kind == "requirements"
    assert list(found.files) == ["env/gpu.txt", "env/base.txt", "env/more/all.txt", "limits.txt"]
    assert found.files["limits.txt"] == b"scipy<2\n"


@pytest.mark.parametrize(
    "line",
    [
        "numpy",
        "numpy[all]>=1.2,<3 ; python_version < '3.13' and sys_platform != 'win32' # ./note",
        "numpy==2.0 \\\n    --hash=sha256:0123 \\\n    --hash=sha256:4567",
        "lab @ https://example.org/lab-1.0-py3-none-any.whl",
        "lab @ git+ssh://git@example.org/lab.git@abc123",
        "git+https://example.org/lab.git@abc123#egg=lab",
        "https://example.org/lab.zip",
        "--index-url https://example.org/simple",
        "--find-links=https://example.org/wheels",
        "-r https://example.org/more.txt",
        "--no-binary :all:",
        "--pre",
        "# -e .",
    ],
)
def test_lines_that_mean_the_same_elsewhere(folder: Path, line: str) -> None:
    write(folder, requirements_txt=f"{line}\n")
    assert read_environment(folder / "requirements.txt").files == {"requirements.txt": f"{line}\n".encode()}


LOCAL_LINES = [
    "-e .",
    "-e.",
    "--editable=../lab",
    "-e file:///home/me/lab",
    ".",
    ".[all]",
    "./lab",
    "lab/sub",
    "~/lab",
    "/home/me/lab-1.0-py3-none-any.whl",
    "lab-1.0.tar.gz",
    "lab-1.0-py3-none-any.whl ; python_version > '3'",
    "file:///home/me/lab",
    "lab @ file:///home/me/lab",
    "lab@./lab",
    "git+file:///home/me/lab.git",
    "--find-links ./wheels",
    "-f/home/me/wheels",
    "--extra-index-url file:///home/me/simple",
]


@pytest.mark.parametrize("line", LOCAL_LINES)
def test_what_only_this_machine_has_is_refused(folder: Path, line: str) -> None:
    write(folder, requirements_txt="-r more.txt\n", more_txt=f"# one\nnumpy\n{line}\n")
    with pytest.raises(InputError, match=r"more\.txt, line 3: .* is on this machine only") as caught:
        read_environment(folder / "requirements.txt")
    assert repr(line) in str(caught.value)


def test_the_line_of_a_broken_line_is_its_first(folder: Path) -> None:
    write(folder, requirements_txt="numpy \\\n  --hash=sha256:01\n-e \\\n  .\n")
    with pytest.raises(InputError, match="line 3"):
        read_environment(folder / "requirements.txt")


def test_an_editable_from_afar_is_taken_as_it_is(folder: Path) -> None:
    # pip freeze writes such lines, and uv refuses them.
    write(folder, requirements_txt="numpy\n-e git+https://example.org/lab.git@abc123#egg=lab\n")
    content = read_environment(folder / "requirements.txt").files["requirements.txt"]
    assert content == b"numpy\ngit+https://example.org/lab.git@abc123#egg=lab\n"


def test_a_lock_comes_with_its_projects(folder: Path) -> None:
    write(
        folder,
        uv_lock="version = 1\n",
        pyproject_toml='[tool.uv.workspace]\nmembers = ["packages/*"]\n',
        packages__one__pyproject_toml="[project]\n",
        packages__two__readme_md="",
    )
    found = read_environment(str(folder / "uv.lock"))
    assert found.kind == "uv"
    assert list(found.files) == ["uv.lock", "pyproject.toml", "packages/one/pyproject.toml"]


def test_a_lock_without_its_project(folder: Path) -> None:
    write(folder, uv_lock="version = 1\n")
    with pytest.raises(
        InputError, match=r"pyproject\.toml, which uv\.lock needs, cannot be read: No such file"
    ):
        read_environment(folder / "uv.lock")


def test_a_lock_that_is_no_toml(folder: Path) -> None:
    write(folder, uv_lock="version 1\n", pyproject_toml="[project]\n")
    with pytest.raises(InputError, match="is no TOML"):
        read_environment(folder / "uv.lock")


CONDA = """name: lab
channels: [conda-forge]
dependencies:
  - python=3.11
  - conda-forge::numpy
  - ./not-of-pip
  - pip:
      - "scipy==1.11"  # a comment
      - -r more.txt

      # another
      - {line}
  - pip
  - ./not-of-pip-either
"""


@pytest.mark.parametrize("name", ["environment_yml", "environment_yaml", "env-gpu_yml"])
def test_an_environment_of_condas(folder: Path, name: str) -> None:
    write(folder, **{name: CONDA.format(line="six"), "more_txt": "attrs\n"})
    found = read_environment(folder / name.replace("_", "."))
    assert found.kind == "conda"
    assert list(found.files) == [name.replace("_", "."), "more.txt"]


def test_a_local_line_for_pip_in_an_environment_of_condas(folder: Path) -> None:
    write(folder, environment_yml=CONDA.format(line="'-e .'"), more_txt="attrs\n")
    with pytest.raises(InputError, match=r"environment\.yml, line 12: '-e \.' is on this machine only"):
        read_environment(folder / "environment.yml")


def test_a_file_that_is_none_of_condas(folder: Path) -> None:
    write(folder, compose_yml="services:\n")
    with pytest.raises(InputError, match="no list of dependencies"):
        read_environment(folder / "compose.yml")


@pytest.mark.parametrize("name", ["Pipfile", "poetry.lock", "environment.json", "requirements.in"])
def test_files_of_other_kinds(folder: Path, name: str) -> None:
    (folder / name).write_text("x")
    with pytest.raises(InputError, match=f"{name!r}.*requirements.txt, a uv.lock or an environment.yml"):
        read_environment(folder / name)


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "is empty"), (b" \n\n", "is empty"), (b"numpy\xff", "is not UTF-8 text: invalid start byte")],
)
def test_files_that_say_nothing(folder: Path, content: bytes, message: str) -> None:
    (folder / "requirements.txt").write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_environment(folder / "requirements.txt")


def test_files_that_cannot_be_read(folder: Path) -> None:
    (folder / "requirements.txt").mkdir()
    with pytest.raises(InputError, match="cannot be read: Is a directory"):
        read_environment(folder / "requirements.txt")
    write(folder, other_txt="numpy\n-c gone.txt\n")
    with pytest.raises(
        InputError, match=r"gone\.txt, which .*other\.txt, line 2 needs, cannot be read: No such"
    ):
        read_environment(folder / "other.txt")


def test_a_mark_of_the_byte_order_and_foreign_line_ends_make_no_difference(folder: Path) -> None:
    (folder / "requirements.txt").write_bytes(b"\xef\xbb\xbfnumpy\r\nscipy\r\n")
    found = read_environment(folder / "requirements.txt")
    assert found.files == {"requirements.txt": b"numpy\nscipy\n"}
    assert "numpy" not in repr(found)
