"""What decides an image's digest, and what it is built from: nothing is run here."""

from __future__ import annotations

import itertools
import subprocess
from dataclasses import replace
from typing import Any

import pytest

from cloudknot.bases import Base, Contents, python_images, read_contents, why_not_copied
from cloudknot.context import Context, render, settings_files
from cloudknot.environments import EnvironmentFile
from cloudknot.indexes import IndexSettings
from cloudknot.recipes import Recipe
from cloudknot.requirements import Pin
from cloudknot.specs import Image
from cloudknot.templates import image_templates

BASE = Base(name="python:3.11-slim", id="sha256:1", digest="sha256:d", platform="linux/amd64")
OFFICIAL = Base(name="python:3.11-slim", id="sha256:2", digest="sha256:e", platform="linux/amd64")
PYTHON = Contents(interpreter="/usr/bin/python3", has_pip=True, libc="glibc 2.36", has_apt=True)
PINS = (Pin(name="numpy", version="2.4.6", is_large=True), Pin(name="six", version="1.17.0"))
RUNNER = (Pin(name="boto3", version="1.44.5"), Pin(name="cloudpickle", version="3.1.2"))


def recipe(**changes: Any) -> Recipe:
    image = Image(**changes.pop("image", {}))
    given: dict[str, Any] = {"pins": PINS, "runner": {"runner/worker.py": b"pass"}, **changes}
    return Recipe(**{"image": image, "base": BASE, "python": "3.11", "runner_pins": RUNNER, **given})


def lines_of(context: Context, name: str) -> list[str]:
    [content] = {step.files[name] for step in context.steps if name in step.files}
    return content.decode().split()


@pytest.mark.parametrize(
    "same",
    [
        recipe(pins=tuple(reversed(PINS))),
        recipe(pins=tuple(replace(pin, is_large=not pin.is_large) for pin in PINS)),
        recipe(base=replace(BASE, name="registry.lab/python:3.11-slim", id="sha256:9")),
        recipe(runner={"runner/worker.py": b"pass", "runner/__pycache__/worker.cpython-311.pyc": b"1"}),
    ],
    ids=["order", "size", "name-of-base", "bytecode"],
)
def test_the_same_content_has_the_same_digest(same: Recipe) -> None:
    assert same.digest == recipe().digest


@pytest.mark.parametrize("name", ["packages", "apt", "requirements"])
def test_the_order_of_what_was_asked_for_does_not_count(name: str) -> None:
    one, other = (recipe(image={name: names}) for names in (["first", "second"], ["second", "first"]))
    assert one.digest == other.digest != recipe().digest


def test_all_that_decides_the_content_decides_the_digest() -> None:
    nested = EnvironmentFile(kind="requirements", files={"requirements.txt": b"-r a.txt", "a.txt": b"six"})
    different = [
        recipe(),
        recipe(pins=PINS[:1]),
        recipe(pins=(replace(PINS[0], version="2.4.5"), PINS[1])),
        recipe(runner_pins=RUNNER[:1]),
        recipe(python="3.12"),
        recipe(base=replace(BASE, digest="sha256:other")),
        recipe(base=replace(BASE, platform="linux/arm64")),
        recipe(runner={"runner/worker.py": b"raise"}),
        recipe(is_closed=False),
        recipe(environment=nested),
        recipe(environment=replace(nested, files={**nested.files, "a.txt": b"tqdm"})),
        recipe(environment=EnvironmentFile(kind="conda", files=nested.files)),
        *(recipe(image={name: ["six"]}) for name in ("packages", "apt", "requirements")),
        recipe(image={"requirements": []}),
        recipe(image={"user": "jo"}),
    ]
    for one, other in itertools.combinations(different, 2):
        assert one.digest != other.digest


def test_what_is_made_on_aws_decides_no_image() -> None:
    assert {name.rpartition(".")[2] for name in image_templates()} == {"jinja", "py", "sh"}
    assert not any("yaml" in name for name in image_templates())


def test_large_pins_have_a_layer_that_small_ones_do_not_change() -> None:
    *_, large, small = render(recipe(), PYTHON).steps
    assert large.files["large.txt"] == b"numpy==2.4.6\n"
    assert small.files["small.txt"] == b"boto3==1.44.5\ncloudpickle==3.1.2\nsix==1.17.0\n"
    *_, same, other = render(recipe(pins=(PINS[0], replace(PINS[1], version="1.16.0"))), PYTHON).steps
    assert same.key("below") == large.key("below")
    assert other.key("below") != small.key("below")
    assert large.key("below") != large.key("another below")


@pytest.mark.parametrize(
    "other",
    [{"image": {"packages": ["fire"], "user": "jo"}}, {"pins": (*PINS, RUNNER[0])}, {"pins": ()}],
)
def test_the_runners_own_pins_are_the_lowest_layer_which_all_functions_share(other: dict[str, Any]) -> None:
    lowest, same = (render(one, PYTHON).steps[0] for one in (recipe(), recipe(**other)))
    assert lowest.files["runner.txt"] == b"boto3==1.44.5\ncloudpickle==3.1.2\n"
    assert same.key("below") == lowest.key("below")


@pytest.mark.parametrize(
    "own",
    [
        {"pins": (*PINS, replace(RUNNER[0], version="1.40.0"))},
        {"image": {"packages": ["boto3==1.40.0"]}},
    ],
)
def test_what_a_person_has_at_another_version_is_installed_once(own: dict[str, Any]) -> None:
    context = render(recipe(**own), PYTHON)
    assert lines_of(context, "runner.txt") == ["cloudpickle==3.1.2"]
    installed = [
        line for step in context.steps for content in step.files.values() for line in content.split()
    ]
    assert b"boto3==1.40.0" in installed
    assert b"boto3==1.44.5" not in installed


def test_without_apt_or_a_copied_python_the_layers_stand_on_the_base_itself() -> None:
    assert render(recipe(), PYTHON).system == {}
    with_apt = render(recipe(image={"apt": ["libgl1", "graphviz"]}), PYTHON)
    dockerfile = with_apt.system["Dockerfile"].decode()
    assert dockerfile.startswith("FROM sha256:1\n")
    assert "apt-get install -y --no-install-recommends graphviz libgl1 " in dockerfile


def test_a_base_without_python_gets_one() -> None:
    context = render(recipe(), Contents(libc="glibc 2.36"), python_image=OFFICIAL)
    dockerfile = context.system["Dockerfile"].decode()
    assert dockerfile.startswith("FROM sha256:2 AS python\n")
    assert "COPY --from=python /usr/local /opt/python" in dockerfile
    assert all("/opt/python/bin/python3 " in step.script for step in context.steps)


def test_a_python_without_pip_borrows_it() -> None:
    contents = replace(PYTHON, has_pip=False)
    context = render(recipe(), contents, python_image=OFFICIAL)
    assert context.system == {}
    assert {loan.source for step in context.steps for loan in step.loans} == {
        "/usr/local/lib/python3.11/site-packages/pip"
    }


def test_own_lines_stand_in_place_of_the_pins() -> None:
    asked = {"requirements": ["tqdm>4"], "packages": ["fire"]}
    context = render(recipe(image=asked, pins=()), PYTHON)
    assert lines_of(context, "lines.txt") == ["fire", "tqdm>4"]
    assert lines_of(context, "runner.txt") == ["boto3==1.44.5", "cloudpickle==3.1.2"]


def test_a_package_that_is_named_goes_before_the_pin_of_that_name() -> None:
    pins = (Pin(name="six", version="1.17.0"), Pin(name="cloudpickle", version="3.1.2"))
    own = recipe(
        pins=pins, image={"packages": ["Six==1.16.0", "cloudpickle==2.0", "git+https://example.org/a.git"]}
    )
    assert {pin.name for pin in own.all_pins} >= {"cloudpickle"}
    assert "six" not in {pin.name for pin in own.all_pins}


def test_packages_keep_to_the_pins() -> None:
    context = render(recipe(image={"packages": ["fire"]}), PYTHON)
    assert context.steps[-1].script.endswith("packages packages.txt small.txt large.txt")
    assert lines_of(context, "large.txt") == ["numpy==2.4.6"]


def test_pins_that_were_read_on_another_system_are_closed_in_the_build() -> None:
    [step] = render(recipe(is_closed=False, image={"packages": ["fire"]}), PYTHON).steps
    assert step.script.endswith("packages lines.txt")
    assert step.files["lines.txt"].decode().split() == [
        "boto3==1.44.5", "cloudpickle==3.1.2", "fire", "numpy==2.4.6", "six==1.17.0"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "files", "commands"),
    [
        ("uv", {"code/uv.lock": b"", "code/pyproject.toml": b""}, ["lock environment/code/uv.lock"]),
        ("requirements", {"my list.txt": b"six"}, ["packages 'environment/my list.txt'"]),
        ("requirements", {"r.txt": b"six==1 --hash=sha256:0"}, ["file environment/r.txt"]),
        ("conda", {"environment.yml": b""}, []),
    ],
)
def test_a_file_of_ones_own_stands_in_place_of_the_pins(kind: Any, files: Any, commands: list[str]) -> None:
    environment = EnvironmentFile(kind=kind, files=files)
    *_, last = render(recipe(environment=environment, pins=()), PYTHON).steps
    _, *installed = last.script.split(" && ")
    assert [command.partition("/install.py 0.13.9 ")[2] for command in installed] == [
        *commands,
        "runner runner.txt",
    ]


@pytest.mark.parametrize(
    ("own", "program"), [("/opt/conda/bin/mamba", "/opt/conda/bin/mamba"), ("", "/mnt/tools/micromamba")]
)
def test_conda_makes_the_environment_of_its_file(own: str, program: str) -> None:
    environment = EnvironmentFile(kind="conda", files={"environment.yml": b"dependencies: [python=3.11]"})
    mamba = Base(name="mambaorg/micromamba:2", id="sha256:3", digest="sha256:3", platform="linux/amd64")
    context = render(
        recipe(environment=environment, pins=()),
        Contents(conda=own),
        conda_image=None if own else mamba,
    )
    made, last = context.steps
    assert made.script == f"sh /mnt/build/make_environment.sh {program} environment/environment.yml 3.11"
    assert [loan.source for loan in made.loans] == ([] if own else ["/bin/micromamba"])
    assert "/opt/environment/bin/python -s " in last.script
    assert any("/opt/cloudknot/bin:/opt/environment/bin:" in change for change in context.changes)


def test_the_dockerfile_says_the_same() -> None:
    context = render(recipe(image={"apt": ["tini"]}), Contents(libc="glibc 2.36"), python_image=OFFICIAL)
    dockerfile = context.files["Dockerfile"].decode()
    assert "FROM python:3.11-slim@sha256:e AS python\n" in dockerfile
    assert "FROM python:3.11-slim@sha256:d\n" in dockerfile
    for said in (*(step.script for step in context.steps), *context.changes):
        assert said in dockerfile
    named = {path.partition("/")[2] for path in context.files if path.startswith("build/")}
    assert named == {path for step in context.steps for path in step.files}
    assert "find_libraries.sh" in context.files


def test_settings_reach_a_shell_as_they_are() -> None:
    variables = {
        "UV_DEFAULT_INDEX": 'https://jo:it\'s$(a)`b`"c"@lab.invalid/simple',
        "UV_INDEX": "lab=https://lab.invalid/more https://other.invalid/x=https://y",
    }
    files = settings_files(
        IndexSettings(variables=variables, certificates=b"PEM"), {"HTTP_PROXY": "http://p"}
    )
    shown = "\n".join(
        f'printf "%s\\n" "${name}"' for name in (*variables, "PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL")
    )
    script = f"{files['settings'].decode()}\n{shown}\necho $PIP_CERT $HTTP_PROXY"
    said = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True).stdout
    assert said.splitlines() == [
        *variables.values(),
        variables["UV_DEFAULT_INDEX"],
        variables["UV_INDEX"].removeprefix("lab="),
        "/mnt/certificates.pem http://p",
    ]
    assert files["certificates.pem"] == b"PEM"


def test_settings_are_not_in_what_is_shown_or_written() -> None:
    context = render(recipe(), PYTHON)
    assert not any("settings" in path for path in context.files)


@pytest.mark.parametrize(
    ("base", "donor", "reason"),
    [
        ("glibc 2.36", "glibc 2.36", ""),
        ("glibc 2.41", "glibc 2.36", ""),
        ("glibc 2.9", "glibc 2.36", "its C library is glibc 2.9, older than glibc 2.36"),
        ("musl 1.2.4", "glibc 2.36", "its C library is musl 1.2.4, not glibc"),
        ("", "glibc 2.36", ""),
    ],
)
def test_a_python_is_copied_only_where_its_c_library_will_do(base: str, donor: str, reason: str) -> None:
    assert why_not_copied(Contents(libc=base), Contents(libc=donor)) == reason


def test_an_older_base_gets_an_older_official_image() -> None:
    assert python_images("3.12", "glibc 2.31") == (
        "python:3.12-slim",
        "python:3.12-slim-bullseye",
        "python:3.12-slim-buster",
    )
    assert python_images("3.12", "musl 1.2") == ("python:3.12-slim",)


def test_what_a_probe_says_is_read_among_other_words() -> None:
    said = "motd of the image\nlibc=glibc 2.36\nconda=/opt/conda/bin/conda\nhas_apt=yes\n"
    assert read_contents(said) == Contents(libc="glibc 2.36", conda="/opt/conda/bin/conda", has_apt=True)
