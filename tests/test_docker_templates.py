"""The base images for science. The larger one is not built here: `make templates` builds all of them."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from docker import DockerClient
from packaging.requirements import Requirement

TEMPLATES = Path(__file__).parent.parent / "docker_templates"
NAMES = sorted(path.parent.name for path in TEMPLATES.glob("*/Dockerfile"))
BUILT = "sklearn"
BASE = f"cloudknot-test/{BUILT}"
# What the tests' own environment lacks of it.
LACKING = ("joblib", "narwhals", "scikit-learn", "threadpoolctl")
STUDY = f"""
import json
import sys

import cloudknot as ck
from cloudknot.docker_image import DockerImage


def accuracy(seed):
    import sklearn
    from sklearn.datasets import load_iris
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.model_selection import train_test_split

    x, y = load_iris(return_X_y=True)
    x_train, x_test, y_train, y_test = train_test_split(x, y, test_size=0.5, random_state=seed)
    forest = RandomForestClassifier(20, random_state=seed).fit(x_train, y_train)
    return forest.score(x_test, y_test), sklearn.__version__, sklearn.__file__


if __name__ == "__main__":
    image = DockerImage(accuracy, base_image="{BASE}")
    name = image.build()
    knot = ck.Knot(accuracy, backend="docker", base_image="{BASE}")
    future = knot.map([0, 1, 2])
    here = [accuracy(seed) for seed in (0, 1, 2)]
    print(json.dumps([name, image.requirements, future.run.image, future.result(), here]))
"""


def pins_of(name: str) -> dict[str, str]:
    lines = (TEMPLATES / name / "requirements.txt").read_text().splitlines()
    return dict(line.split("==") for line in lines)


def wanted_by(name: str) -> list[str]:
    return (TEMPLATES / name / "packages.txt").read_text().split()


def test_there_are_templates() -> None:
    assert {"sklearn", "tractometry"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_every_pin_is_exact_and_what_is_wanted_is_pinned(name: str) -> None:
    pins = pins_of(name)

    assert all(re.fullmatch(r"\d+(\.\w+)+", version) for version in pins.values())
    assert {"boto3", "cloudpickle"} <= set(wanted_by(name)) <= set(pins)


@pytest.mark.parametrize("name", NAMES)
def test_the_pins_go_with_cloudknot_itself(name: str) -> None:
    setup = (TEMPLATES.parent / "setup.cfg").read_text()
    needed = re.search(r"install_requires =\n((?:    .+\n)+)", setup)
    assert needed is not None
    pins = pins_of(name)

    for requirement in map(Requirement, needed[1].split()):
        assert requirement.name not in pins or requirement.specifier.contains(pins[requirement.name])


@pytest.mark.parametrize("name", NAMES)
def test_its_page_says_how_to_build_and_use_it(name: str) -> None:
    page = (TEMPLATES / name / "README.md").read_text()
    listed = (TEMPLATES / "README.md").read_text()

    assert f"docker build -t cloudknot/{name} docker_templates/{name}\n" in page
    assert f'base_image="cloudknot/{name}"' in page
    assert f"cd docker_templates/{name}\n" in page
    assert f"[`{name}/`]({name}/README.md)" in listed
    for package in set(wanted_by(name)) - {"boto3", "cloudpickle"}:
        assert package in page
        assert package in listed


class Study(NamedTuple):
    """What the script has printed."""

    image: str
    requirements: list[str]
    image_of_run: str
    there: list[Any]
    here: list[Any]


@pytest.fixture(scope="module")
def base(engine: DockerClient) -> str:
    image, _ = engine.images.build(path=str(TEMPLATES / BUILT), tag=BASE, rm=True, forcerm=True)
    return str(image.id)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The template's pins, as far as the tests' own environment lacks them."""
    folder = tmp_path_factory.mktemp("installed")
    pins = [f"{name}=={pins_of(BUILT)[name]}" for name in LACKING]
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(folder), *pins]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def study(base: str, installed: Path, tmp_path_factory: pytest.TempPathFactory) -> Study:
    folder = tmp_path_factory.mktemp("study")
    (folder / "study.py").write_text(STUDY)
    environment = {**os.environ, "PYTHONPATH": str(installed), "CLOUDKNOT_HOME": str(folder / "home")}
    done = subprocess.run(
        [sys.executable, "study.py"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    return Study(*json.loads(done.stdout))


@pytest.mark.usefixtures("base")
def test_all_that_the_base_has_can_be_imported() -> None:
    done = subprocess.run(
        ["docker", "run", "--rm", "-i", "--user", "12345", BASE, "python", "-W", "error", "-"],
        input=(TEMPLATES / "import_all.py").read_text(),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert done.returncode == 0, done.stderr
    assert {"joblib", "numpy", "pandas", "scipy", "sklearn"} <= set(done.stdout.split())


def test_a_function_runs_on_the_base_with_what_the_base_has(study: Study) -> None:
    version = pins_of(BUILT)["scikit-learn"]

    assert f"scikit-learn=={version}" in study.requirements
    assert study.image_of_run == study.image
    assert [accuracy for accuracy, _, _ in study.there] == [accuracy for accuracy, _, _ in study.here]
    for _, used, place in study.there:
        assert used == version
        assert place.startswith("/usr/local/lib/")


def test_what_the_base_has_is_not_installed_again(engine: DockerClient, base: str, study: Study) -> None:
    look = ["sh", "-c", "find / -xdev -path '*scikit_learn*/METADATA' 2>/dev/null; true"]
    found = engine.containers.run(study.image, look, remove=True)
    added = engine.images.get(study.image).attrs["Size"] - engine.images.get(base).attrs["Size"]

    assert len(found.decode().splitlines()) == 1
    assert added < 80 << 20, "room for pins of the tests that have moved on from the template's, not for all"
