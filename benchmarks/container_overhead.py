"""Measure what containers cost: an edit, a cold image, a chunk; side by side with the plain way.

Each comparison alternates between the two sides, round after round, and compares them within each round,
because a shared machine is faster in one minute than in the next.
"""

from __future__ import annotations

import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import docker
from rich.console import Console
from rich.table import Table

import cloudknot as ck
from cloudknot.client import Client
from cloudknot.config import Settings
from cloudknot.docker_engine.connection import Engine
from cloudknot.images import prepare_image
from cloudknot.reach import Imports
from cloudknot.requirements import capture, runner_pins

sys.path.insert(0, str(Path(__file__).parent.parent))
from tests.rig.base_image import ensure_base_image
from tests.rig.engine import ensure_engine
from tests.rig.registry import Registry

SCIENCE = ("numpy", "scipy", "sklearn")
ORIGINAL_WAY = 'FROM {base}\nCOPY function.py /function.py\nCMD ["python", "/function.py"]\n'
PIP_WAY = "FROM {base}\nRUN pip install --no-cache-dir {pins}\n"


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Ours against the plain way.

    Parameters
    ----------
    title : str
        What is compared.
    ours, plain : callable
        Do it once; the round's number is given.
    rounds : int
        How often.
    aim : str
        What is aimed at.
    """

    title: str
    ours: Callable[[int], object]
    plain: Callable[[int], object]
    rounds: int
    aim: str


def clock(work: Callable[[int], object], number: int) -> float:
    began = time.perf_counter()
    work(number)
    return time.perf_counter() - began


def compare(comparison: Comparison) -> Iterator[tuple[float, float]]:
    for number in range(comparison.rounds + 1):
        seconds = clock(comparison.ours, number), clock(comparison.plain, number)
        if number:  # the first round warms both sides up
            yield seconds


def make_edit(number: int) -> Callable[[int], int]:
    names: dict[str, Any] = {"__name__": "__main__"}
    exec(f"def edited(x): return x + {number}", names)
    function: Callable[[int], int] = names["edited"]
    return function


def check(is_right: bool) -> None:
    if not is_right:
        raise SystemExit("a side gave a wrong answer: nothing of this counts")


def build(folder: Path, dockerfile: str, tag: str) -> None:
    (folder / "Dockerfile").write_text(dockerfile)
    api = docker.from_env().api
    for event in api.build(path=str(folder), tag=tag, rm=True, decode=True):
        check("error" not in event)


def edit_in_a_session(client: Client) -> Callable[[int], object]:
    def ours(number: int) -> None:
        knot = ck.Knot(make_edit(number), name="edited", backend="docker", client=client)
        check(knot.map([1]).result() == [1 + number])

    return ours


def edit_in_a_new_process(home: Path) -> Callable[[int], object]:
    def ours(number: int) -> None:
        code = (
            "import cloudknot as ck\n"
            f"print(ck.Knot(lambda x: x + {number}, backend='docker', name='edited').map([1]).result())\n"
        )
        out = subprocess.run(
            [sys.executable, "-c", code],
            env={"CLOUDKNOT_HOME": str(home), "PATH": "/usr/bin:/bin"},
            capture_output=True,
            text=True,
            check=True,
        )
        check(out.stdout.strip() == f"[{1 + number}]")

    return ours


def rebuild_and_push(folder: Path, image: str, registry: str) -> Callable[[int], object]:
    """Do as the first cloudknot did: the function is a layer of the image."""

    def plain(number: int) -> None:
        (folder / "function.py").write_text(f"print(1 + {number})  # {time.time_ns()}\n")
        tag = f"{registry}/edited:{number}"
        build(folder, ORIGINAL_WAY.format(base=image), tag)
        engine = docker.from_env()
        check(all("error" not in event for event in engine.api.push(tag, stream=True, decode=True)))
        check(int(engine.containers.run(tag, remove=True)) == 1 + number)

    return plain


def cold_image(
    folder: Path, engine: Engine, *, with_runner: bool
) -> tuple[Callable[[int], object], Callable[[int], object]]:
    """Install the same pins on either side; ours with what its runner needs, the plain one if it is told."""
    needs = capture(Imports(required=frozenset(SCIENCE)))
    pins = " ".join(sorted({pin.line() for pin in (*needs.pins, *(runner_pins() if with_runner else ()))}))

    def fresh_base(number: int) -> str:
        # A base of its own has nothing in the engine's cache.
        tag = f"cloudknot-benchmark:{time.time_ns()}"
        build(folder, f"FROM {ensure_base_image()}\nLABEL cloudknot.benchmark={tag}\n", tag)
        return tag

    bases: dict[tuple[str, int], str] = {}

    def ours(number: int) -> None:
        prepare_image(engine, ck.Image(base=bases["ours", number]), needs)

    def plain(number: int) -> None:
        build(folder, PIP_WAY.format(base=bases["plain", number], pins=pins), f"{bases['plain', number]}-pip")

    for side in ("ours", "plain"):
        for number in range(COLD_ROUNDS + 1):
            bases[side, number] = fresh_base(number)
    return ours, plain


COLD_ROUNDS = 5


def chunk_in_a_new_container(home: Path) -> Callable[[int], object]:
    def ours(number: int) -> None:
        client = Client(Settings(home=home, progress=False, local_workers=1))
        knot = ck.Knot(make_edit(number), name="chunk", backend="docker", client=client)
        check(knot.map([1]).result() == [1 + number])
        client.backend("docker").teardown()

    return ours


def bare_run(image: str) -> Callable[[int], object]:
    def plain(number: int) -> None:
        out = docker.from_env().containers.run(image, ["python", "-c", f"print(1 + {number})"], remove=True)
        check(int(out) == 1 + number)

    return plain


@click.command()
@click.option("--rounds", default=7, help="How often each side's turn comes.")
def main(rounds: int) -> None:
    """Compare, and print a table."""
    ensure_engine()
    ensure_base_image()
    table = Table("what", "cloudknot", "the plain way", "times as fast", "aim")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        registry = stack.enter_context(Registry(folder / "registry"))
        home, context = folder / "home", folder / "context"
        context.mkdir()
        client = Client(Settings(home=home, progress=False))
        image = ck.Knot(make_edit(0), name="edited", backend="docker", client=client).map([1]).run.image
        push = rebuild_and_push(context, image, registry.address)
        cold, pip = cold_image(context, Engine(), with_runner=True)
        cold_again, less = cold_image(context, Engine(), with_runner=False)
        comparisons = [
            Comparison(
                title="edit to first result, same session",
                ours=edit_in_a_session(client),
                plain=push,
                rounds=rounds,
                aim="under 2 s, 10 times",
            ),
            Comparison(
                title="edit to first result, new process",
                ours=edit_in_a_new_process(home),
                plain=push,
                rounds=rounds,
                aim="under 2 s",
            ),
            Comparison(
                title=f"cold image of {', '.join(SCIENCE)}; the same packages",
                ours=cold,
                plain=pip,
                rounds=COLD_ROUNDS,
                aim="2 times",
            ),
            Comparison(
                title="the same; pip without what the runner needs",
                ours=cold_again,
                plain=less,
                rounds=COLD_ROUNDS,
                aim="2 times",
            ),
            Comparison(
                title="one chunk in a new container",
                ours=chunk_in_a_new_container(home),
                plain=bare_run(image),
                rounds=rounds,
                aim="at most 1.3 times the time",
            ),
        ]
        for comparison in comparisons:
            table.add_row(*describe(comparison, list(compare(comparison))))
    Console(width=120).print(table)
    print(f"Python {platform.python_version()}, docker {docker.from_env().version()['Version']}")


def describe(comparison: Comparison, seconds: list[tuple[float, float]]) -> tuple[str, ...]:
    """Return a row: medians, and the median and range of the rounds' ratios."""
    ours, plain = (statistics.median(side) for side in zip(*seconds, strict=True))
    ratios = [theirs / own for own, theirs in seconds]
    spread = f"{statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})"
    return comparison.title, f"{ours:.3f} s", f"{plain:.3f} s", spread, comparison.aim


if __name__ == "__main__":
    main()
