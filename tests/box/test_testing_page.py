"""The code and the commands of docs/testing.md run as they stand."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from docker import DockerClient

PAGE = Path(__file__).parents[2] / "docs" / "testing.md"
# What differs from box to box: ports, digests.
_OWN = re.compile(r"\b(?:\d{4,5}|[0-9a-f]{64})\b")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The files of the page, saved under the names that it gives them."""
    for code in blocks("python"):
        (tmp_path / code.split("\n", 1)[0].removeprefix("# ")).write_text(code)
    return tmp_path


@pytest.fixture
def environment(folder: Path) -> Iterator[dict[str, str]]:
    surroundings = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    yield {
        **surroundings,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(PAGE.parents[1]),
        "XDG_STATE_HOME": str(folder / "state"),
        "DOCKER_CONFIG": str(folder / "docker"),
    }
    for name in ("default", "images"):
        command = [sys.executable, "-m", "cloudknot.testing", "down", "--name", name]
        subprocess.run(
            command, check=True, capture_output=True, env={**os.environ, "XDG_STATE_HOME": f"{folder}/state"}
        )


def test_the_pages_tests_pass(folder: Path, environment: dict[str, str]) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error"]
    ran = subprocess.run(command, check=False, capture_output=True, text=True, cwd=folder, env=environment)
    assert ran.returncode == 0, ran.stdout
    assert f"{sum(code.count('def test_') for code in blocks('python'))} passed" in ran.stdout


def test_the_pages_commands_print_what_it_shows(
    folder: Path, environment: dict[str, str], engine: DockerClient
) -> None:
    lines = "".join(blocks("console")).splitlines()
    script = "\n".join(["set -e", *(line.removeprefix("$ ") for line in lines if line.startswith("$ "))])
    command = ["bash", "-c", script]
    ran = subprocess.run(command, check=False, capture_output=True, text=True, cwd=folder, env=environment)
    assert ran.returncode == 0, ran.stderr
    printed = iter(_OWN.sub("...", ran.stdout).splitlines())
    for line in lines:
        # Taken from where the last one was found: they come in this order.
        assert line.startswith("$ ") or _OWN.sub("...", line) in printed, f"not printed: {line}"
