"""Images that are made by hand, and those that run a function by themselves."""

from __future__ import annotations

import functools
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from docker import DockerClient

from cloudknot.baking import bake
from cloudknot.docker_image import DockerImage
from cloudknot.errors import InputError
from cloudknot.runner.pickles import loads
from cloudknot.specs import Image
from tests.conftest import Script

MODULE = """
from pathlib import Path

SCALE = float((Path(__file__).parent / "scale.txt").read_text())


def scale(values):
    return values * SCALE
"""
STUDY = """
import os
import re
import sys

import cloudknot
from cloudknot.docker_image import DockerImage

PASSWORD = "hunter2"


def summarise(subject, *, power=1, label=None):
    \"\"\"Summarise one person.\"\"\"
    import numpy as np
    import tracts

    print("reading", subject)
    values = tracts.scale(np.arange(3) ** power)
    return {"subject": subject, "values": values, "mean": values.mean(), "label": label}


if __name__ == "__main__":
    image = DockerImage(summarise, name="Study_of-tests")
    print(image.build())
    print(image.build("try", bake=True))
    print(image.build(bake=True))
    print(*image.requirements)
"""
NAME = "cloudknot-study-of-tests"


def run(*command: str, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, **options)


@dataclass(frozen=True)
class Study:
    """A person's script and module, and the images that the script has made."""

    folder: Path
    environment: str
    baked: str
    requirements: tuple[str, ...]

    def run(self, *words: str, options: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
        return run("docker", "run", "--rm", *options, self.baked, *words)


def build_study(folder: Path, study: str = STUDY) -> Study:
    (folder / "tracts").mkdir(exist_ok=True)
    (folder / "tracts" / "__init__.py").write_text(MODULE)
    (folder / "tracts" / "scale.txt").write_text("0.5")
    (folder / "study.py").write_text(study)
    environment = {**os.environ, "CLOUDKNOT_HOME": str(folder / "home"), "SECRET": "hunter3"}
    done = run(sys.executable, "study.py", cwd=folder, env=environment)
    assert done.returncode == 0, done.stderr
    first, second, again, requirements = done.stdout.splitlines()
    assert second == again
    return Study(folder, first, second, tuple(requirements.split()))


def remove_named(engine: DockerClient, start: str) -> None:
    for image in engine.images.list():
        for tag in image.tags:
            if tag.startswith(start):
                engine.images.remove(tag, force=True)


@pytest.fixture(scope="module")
def study(engine: DockerClient, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Study]:
    yield build_study(tmp_path_factory.mktemp("study"))
    remove_named(engine, NAME)


def test_the_image_is_called_by_what_it_holds(engine: DockerClient, study: Study) -> None:
    assert study.environment.startswith("cloudknot:")
    assert study.baked.startswith(f"{NAME}:")
    assert engine.images.get(f"{NAME}:try").id == engine.images.get(study.baked).id
    assert [line.partition("==")[0] for line in study.requirements] == ["numpy"]


def test_it_runs_the_function(study: Study) -> None:
    done = study.run("sub-01", "--power=2", "--label", "[1, null]")

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "subject": "sub-01",
        "values": [0.0, 0.5, 2.0],
        "mean": pytest.approx(2.5 / 3),
        "label": [1, None],
    }
    assert done.stderr == "reading sub-01\n"


def test_it_runs_as_anybody_without_network_and_without_writing(study: Study) -> None:
    done = study.run("3", options=("--user", "12345", "--network", "none", "--read-only"))

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["values"] == [0.0, 0.5, 1.0]


def test_it_runs_as_the_unprivileged_user_of_the_image(study: Study) -> None:
    done = run("docker", "run", "--rm", "--entrypoint", "id", study.baked, "--user", "--name")

    assert done.stdout == "cloudknot\n"


def test_an_error_and_wrong_words_have_their_exit_codes(study: Study) -> None:
    failed, wrong = study.run("3", "--power", '"two"'), study.run()

    assert (failed.returncode, wrong.returncode) == (1, 2)
    assert "values = tracts.scale(np.arange(3) ** power)" in failed.stderr
    assert "summarise(subject, *, power=1, label=None)\n      Summarise one person." in wrong.stderr


def test_it_has_neither_the_clients_side_nor_more_of_the_script_than_the_function(
    engine: DockerClient, study: Study
) -> None:
    look = (
        "cat /opt/cloudknot/baked/function.pickle; env; find / -xdev -type f -name 'knot.py'; "
        "/opt/cloudknot/bin/python -c 'import cloudknot.knot'"
    )
    done = subprocess.run(
        ["docker", "run", "--rm", "--entrypoint", "sh", study.baked, "-c", look],
        capture_output=True,
        check=False,
    )
    config = json.dumps(engine.images.get(study.baked).attrs)

    assert b"reading" in done.stdout
    assert b"hunter" not in done.stdout
    assert "hunter" not in config
    assert b"knot.py" not in done.stdout
    assert b"No module named 'cloudknot.knot'" in done.stderr


def test_its_labels_say_what_it_is(engine: DockerClient, study: Study) -> None:
    labels = engine.images.get(study.baked).labels

    assert labels["cloudknot.function"] == "summarise"
    assert labels["cloudknot.name"] == "Study_of-tests"
    assert labels["cloudknot.environment"] == study.environment
    assert labels["cloudknot.python"] == f"{sys.version_info.major}.{sys.version_info.minor}"


def test_it_is_one_layer_on_its_environment(engine: DockerClient, study: Study) -> None:
    layers = [engine.images.get(name).attrs["RootFS"]["Layers"] for name in (study.environment, study.baked)]

    assert layers[1][:-1] == layers[0]


def test_what_is_the_same_is_not_built_again(engine: DockerClient, study: Study) -> None:
    made = engine.images.get(study.baked).attrs["Created"]

    again = build_study(study.folder)

    assert again == study
    assert engine.images.get(study.baked).attrs["Created"] == made


def test_an_edit_gives_another_image_on_the_same_environment(study: Study) -> None:
    edited = build_study(study.folder, STUDY.replace("values.mean()", "float(values.max())"))

    assert edited.environment == study.environment
    assert edited.baked != study.baked
    assert json.loads(edited.run("3").stdout)["mean"] == 1.0


def test_a_function_has_the_same_digest_in_every_process(script: Script) -> None:
    code = """
import enum
import functools
from cloudknot.baking import bake
from cloudknot.runner.pickles import loads
from cloudknot.shipping import pack

TRACTS = {"CST", "IFOF", "ILF", "SLF", "UNC", "ARC"}

class Side(enum.Enum):
    LEFT = "left"
    RIGHT = "right"

class Profile:
    def __init__(self, side):
        self.side = side

def is_known(name):
    return name in {"FA", "MD", "RD", "AD", "MK", "AK"}

@functools.lru_cache
def function(name, side=Side.LEFT):
    return name in TRACTS and is_known(name) and Profile(side)

sources = {__file__: list(open(__file__))}
print(bake(function, name="f", environment="cloudknot:0", sources=sources, modules={}).digest)
"""
    path = script.folder / "same.py"
    path.write_text(code)
    digests = {
        run(sys.executable, str(path), env={**os.environ, "PYTHONHASHSEED": str(seed)}).stdout
        for seed in range(4)
    }

    assert len(digests) == 1
    assert len(digests.pop().strip()) == 20


def make_baked(function: Callable[..., Any], **options: Any) -> str:
    given = {"name": "f", "environment": "cloudknot:0", "sources": {}, "modules": {}}
    return bake(function, **{**given, **options}).digest


def test_whatever_makes_a_difference_has_another_digest() -> None:
    def add(factor: object) -> Callable[[int], object]:
        return lambda x: (factor, x)

    digests = [
        make_baked(add(1)),
        make_baked(add(2)),
        make_baked(add({1, 2})),
        make_baked(add({1, 3})),
        make_baked(add(("a", "a"))),
        make_baked(add(("a", "b"))),
        make_baked(add("0123456789abcdef0123456789abcdef")),
        make_baked(add("0123456789abcdef0123456789abcdee")),
        make_baked(add(1), name="g"),
        make_baked(add(1), environment="cloudknot:1"),
        make_baked(add(1), modules={"own.py": b""}),
        make_baked(add(1), modules={"own.py": b"x = 1"}),
    ]

    assert len(set(digests)) == len(digests)
    assert make_baked(add({1, 2})) == digests[2]


def test_only_the_functions_own_lines_travel() -> None:
    lines = Path(__file__).read_text().splitlines(keepends=True)

    def function() -> str:
        return "of the function"

    context = bake(function, name="f", environment="cloudknot:0", sources={__file__: lines}, modules={})

    sources, _ = loads(context.files["baked/function.pickle"])
    assert [line.strip() for line in sources[__file__] if line.strip()] == [
        "def function() -> str:",
        'return "of the function"',
    ]
    place = lines.index(
        "    def function() -> str:\n",
        lines.index("def test_only_the_functions_own_lines_travel() -> None:\n"),
    )
    assert sources[__file__][place] == lines[place]


def of_nothing(x: int) -> int:
    return x


async def later(x: int) -> int:
    return x


@pytest.fixture
def no_engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path / 'none.sock'}")


@pytest.mark.parametrize(
    ("func", "options", "message"),
    [
        (3, {}, "func must be callable"),
        (later, {}, "is async"),
        (len, {"name": "a b"}, "name 'a b' will not do"),
        (len, {"image": "python:3.11-slim"}, "image must be a cloudknot.Image"),
        (len, {"image": Image(base="a"), "base_image": "b"}, "say the same thing twice"),
        (len, {"image": Image(user="ana"), "username": "bea"}, "say the same thing twice"),
        (len, {"username": "root"}, "user must not be 'root'"),
    ],
)
@pytest.mark.usefixtures("no_engine")
def test_what_will_not_do_is_refused_at_once(func: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        DockerImage(func, **options)


@pytest.mark.usefixtures("no_engine")
def test_a_module_that_is_not_installed_is_refused_at_once() -> None:
    def function() -> None:
        import not_installed_anywhere  # type: ignore[import-not-found]  # noqa: F401

    with pytest.raises(InputError, match="'not_installed_anywhere', which is not installed here"):
        DockerImage(function)


@pytest.mark.parametrize("tag", ["", "a b", "-x", "lab/mean-fa", "lab/mean-fa:", "localhost:5000/x", 3])
@pytest.mark.usefixtures("no_engine")
def test_a_tag_that_will_not_do_is_refused_at_once(tag: Any) -> None:
    with pytest.raises(InputError, match=r"will not do: use one such as '1\.0'"):
        DockerImage(len).build([tag])


def test_without_an_engine_it_is_said(script: Script) -> None:
    code = """
from cloudknot.docker_image import DockerImage
from cloudknot.errors import EngineError

image = DockerImage(len)
for ask in (image.build, image.clobber, lambda: image.dockerfile, lambda: image.digest):
    try:
        ask()
    except EngineError as error:
        print(error)
"""
    said = script.run(code, DOCKER_HOST="unix:///nowhere/docker.sock").splitlines()

    assert len(said) == 4
    assert all("no docker engine answers at DOCKER_HOST=unix:///nowhere/docker.sock" in line for line in said)


@pytest.mark.usefixtures("no_engine")
def test_requirements_need_no_engine() -> None:
    def function() -> object:
        import numpy

        return numpy

    image = Image(packages=("six",))
    [numpy, six] = DockerImage(function, image=image).requirements
    own = DockerImage(
        function, image=Image(requirements=("numpy>=2",)), github_installs="https://example.org/x"
    )

    assert numpy.startswith("numpy==")
    assert six == "six"
    assert own.requirements == ("numpy>=2", "git+https://example.org/x")
    assert repr(own) == (
        "<DockerImage function: test_requirements_need_no_engine.<locals>.function, 2 requirements>"
    )


def test_the_dockerfile_and_the_digest_are_those_of_what_is_built(engine: DockerClient) -> None:
    image = DockerImage(len, name="of-nothing", username="tester")

    name = image.build()

    assert name == f"cloudknot:{image.digest}"
    assert f'cloudknot.digest="{image.digest}"' in image.dockerfile
    assert "USER tester" in image.dockerfile
    assert engine.images.get(name).attrs["Config"]["User"] == "tester"


def test_clobber_removes_what_was_built_and_says_what(engine: DockerClient) -> None:
    remove_named(engine, f"cloudknot:{DockerImage(len, username='clobbered').digest}")
    image = DockerImage(len, name="clobbered", username="clobbered")
    environment = image.build()
    baked = image.build(["1.0", "lab.example/clobbered:1.0"], bake=True)
    earlier = DockerImage(functools.partial(max, 3), name="clobbered", username="clobbered").build(bake=True)

    removed = image.clobber()

    assert set(removed) == {
        environment,
        baked,
        earlier,
        "cloudknot-clobbered:1.0",
        "lab.example/clobbered:1.0",
    }
    assert not [tag for found in engine.images.list() for tag in found.tags if tag in removed]
    assert image.clobber() == ()


def test_clobber_leaves_an_environment_that_was_there_before(engine: DockerClient) -> None:
    first = DockerImage(len, name="first").build()
    second = DockerImage(len, name="second")
    second.build("1.0")

    assert second.clobber() == ("cloudknot-second:1.0",)
    assert engine.images.get(first)


def test_the_example_shows_the_same_environment_in_both_places(engine: DockerClient, script: Script) -> None:
    example = Path(__file__).parent.parent / "examples" / "in_containers.py"
    try:
        done = run(sys.executable, "-W", "error", str(example), cwd=script.folder, env=script.environment)
    finally:
        remove_named(engine, "cloudknot-fit-line:")

    assert done.returncode == 0, done.stderr
    fits = [
        re.sub(r"'computer': '[^']+'", "", line[line.index("{") :]) for line in done.stdout.splitlines()[:3]
    ]
    assert fits[0] == fits[1]
    assert fits[2] != fits[1]
    baked = json.loads(done.stdout.splitlines()[-2])
    assert f"'numpy': '{baked['numpy']}'" in fits[0]
