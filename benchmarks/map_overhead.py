"""Measure what a map costs beside the function itself: cloudknot side by side with its peers.

Each library has a client process of its own, a *side* (see ``sides.py``), so that none is warmed up,
slowed down or forked by another. The sides work in turn, round after round. Two libraries are
compared within each round, because a shared machine is faster in one minute than in the next.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import click
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from sides import WORKERS, Answer, Side

OURS = "cloudknot"
PACKAGES = ("cloudknot", "joblib", "lithops", "numpy", "submitit")
HEAVY_MODULES = ("boto3", "docker", "numpy")


@dataclass(frozen=True, kw_only=True)
class Measure:
    """One comparison.

    Parameters
    ----------
    title : str
        What is measured.
    work : str
        The sides' word for it.
    counts : dict
        Each library and the number of its items. The first is the one that the others are compared with.
    rounds : int
        How often each library's turn comes.
    aims : dict, optional
        How many times as fast as a library cloudknot should be.
    limits : dict, optional
        What cloudknot's own figures should stay below, by unit.
    is_fresh : bool
        Whether each turn has a new process; otherwise the first turn warms up and does not count.
    """

    title: str
    work: str
    counts: Mapping[str, int]
    rounds: int
    aims: Mapping[str, float] = field(default_factory=dict)
    limits: Mapping[str, float] = field(default_factory=dict)
    is_fresh: bool = False


@dataclass(frozen=True, kw_only=True)
class Figure:
    """What one library reached in one measure, turn by turn.

    Parameters
    ----------
    title, library, unit : str
        What the values are.
    values : tuple of float
        One a round; empty where the library failed.
    ratios : tuple of float
        How many times as fast cloudknot was, one a round.
    aim : str
        What is aimed at, in words.
    is_met : bool, optional
        Whether the median keeps to the aim.
    failure : str
        Why there are no values.
    """

    title: str
    library: str
    unit: str
    values: tuple[float, ...] = ()
    ratios: tuple[float, ...] = ()
    aim: str = ""
    is_met: bool | None = None
    failure: str = ""


MANY = {
    OURS: 10_000,
    "ProcessPoolExecutor": 10_000,
    "joblib": 10_000,
    "joblib, kept open": 10_000,
    "submitit": 20,
    "lithops": 20,
    "lithops, version 1": 20,
}
MEASURES = (
    Measure(
        title="a trivial function",
        work="trivial",
        counts=MANY,
        rounds=7,
        aims={
            "ProcessPoolExecutor": 1,
            "joblib": 0.5,
            "joblib, kept open": 0.5,
            "submitit": 100,
            "lithops": 100,
            "lithops, version 1": 100,
        },
    ),
    Measure(title="the same, few items", work="trivial", counts=dict.fromkeys(MANY, 20), rounds=5),
    Measure(
        title="from a generator",
        work="generator",
        counts={OURS: 1_000_000, "joblib": 1_000_000},
        rounds=3,
        limits={"MB": 200},
        is_fresh=True,
    ),
    Measure(
        title="arrays of 10 MB",
        work="arrays",
        counts={OURS: 100, "ProcessPoolExecutor": 100, "joblib": 100},
        rounds=5,
        aims={"joblib": 1 / 1.5},
    ),
    Measure(
        title="one call",
        work="call",
        counts={OURS: 1, "ProcessPoolExecutor": 1, "joblib": 1},
        rounds=20,
    ),
    Measure(title="one call, cell edited", work="edited cell", counts={OURS: 1}, rounds=20),
    Measure(title="one call, module edited", work="edited module", counts={OURS: 1}, rounds=10),
)
IMPORTS = {
    "import cloudknot": 50.0,
    "from cloudknot import Knot": None,
    "import joblib": None,
    "import submitit": None,
    "import lithops": None,
}


def run_measure(measure: Measure, environment: Mapping[str, str]) -> list[Figure]:
    """Let the libraries work in turn; one that fails has no further turn."""
    answers: dict[str, list[Answer]] = {library: [] for library in measure.counts}
    sides: dict[str, Side] = {}
    try:
        for library in turns(measure):
            if any("failure" in answer for answer in answers[library]):
                continue
            if library not in sides:
                sides[library] = Side(library, environment)
            answers[library].append(sides[library].ask(measure.work, measure.counts[library]))
            if measure.is_fresh:
                sides.pop(library).close()
    finally:
        for side in sides.values():
            side.close()
    return list(figures_of(measure, answers))


def turns(measure: Measure) -> Iterator[str]:
    """Yield whose turn it is; each round starts with another library."""
    libraries = list(measure.counts)
    for number in range(measure.rounds if measure.is_fresh else measure.rounds + 1):
        start = number % len(libraries)
        yield from libraries[start:] + libraries[:start]


def figures_of(measure: Measure, answers: Mapping[str, Sequence[Answer]]) -> Iterator[Figure]:
    """Yield each library's figures, one for each unit."""
    ours: dict[str, tuple[float, ...]] = {}
    for library, given in answers.items():
        title = f"{measure.title}: {measure.counts[library]:,} items"
        if measure.counts[library] == 1:
            title = measure.title
        if failure := next((answer["failure"] for answer in given if "failure" in answer), ""):
            reached = f" (turn {len(given)})" if len(given) > 1 else ""
            yield Figure(title=title, library=library, unit="", failure=failure + reached)
            continue
        counted = given if measure.is_fresh else given[1:]
        for unit in counted[0]:
            values = tuple(answer[unit] for answer in counted)
            if library == OURS:
                ours[unit] = values
            figure = Figure(title=title, library=library, unit=unit, values=values)
            yield judge(figure, ours.get(unit, ()), measure.aims.get(library), measure.limits.get(unit))


def judge(figure: Figure, ours: Sequence[float], aim: float | None, limit: float | None) -> Figure:
    """Return the figure with its ratios to ours, and with what is aimed at."""
    if figure.library == OURS:
        if limit is None:
            return figure
        is_met = statistics.median(figure.values) < limit
        return replace(figure, aim=f"< {limit:g} {figure.unit}", is_met=is_met)
    if figure.unit == "MB":
        return figure
    pairs = zip(ours, figure.values, strict=False)  # empty where ours failed
    is_rate = figure.unit.endswith("/s")
    ratios = tuple(own / other if is_rate else other / own for own, other in pairs)
    if aim is None or not ratios:
        return replace(figure, ratios=ratios)
    return replace(figure, ratios=ratios, aim=f">= {aim:.3g}x", is_met=statistics.median(ratios) >= aim)


def measure_imports(rounds: int, environment: Mapping[str, str]) -> list[Figure]:
    """Time imports in fresh interpreters, less the time of an interpreter that does nothing."""
    statements = ["pass", *IMPORTS]
    seconds: dict[str, list[float]] = {statement: [] for statement in statements}
    failures: dict[str, str] = {}
    for number in range(rounds + 1):
        for statement in statements:
            began = time.perf_counter()
            done = subprocess.run(
                [sys.executable, "-c", statement], env=environment, capture_output=True, check=False
            )
            if number:  # the first round warms up
                seconds[statement].append(time.perf_counter() - began)
            if done.returncode:
                failures[statement] = done.stderr.decode().strip().rpartition("\n")[2]
    bare = seconds["pass"]
    figures = [Figure(title="start", library="python -c pass", unit="ms", values=in_ms(bare))]
    for statement, limit in IMPORTS.items():
        title = f"start, {statement}"
        library = statement.split()[1]
        if statement in failures:
            figures.append(Figure(title=title, library=library, unit="", failure=failures[statement]))
            continue
        added = [whole - start for whole, start in zip(seconds[statement], bare, strict=True)]
        figure = Figure(title=title, library=library, unit="ms", values=in_ms(added))
        figures.append(judge(figure, (), None, limit))
    return figures


def in_ms(seconds: Sequence[float]) -> tuple[float, ...]:
    return tuple(one * 1000 for one in seconds)


def find_heavy_modules(statement: str, environment: Mapping[str, str]) -> list[str]:
    """Return which of the modules that take long to load a statement loads."""
    code = (
        f"{statement}; import sys, json; print(json.dumps([m for m in {HEAVY_MODULES} if m in sys.modules]))"
    )
    found: list[str] = json.loads(subprocess.check_output([sys.executable, "-c", code], env=environment))
    return found


def make_environment(folder: str) -> dict[str, str]:
    """Return the sides' environment: all that they write lies in the folder, bytecode too."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("CLOUDKNOT_")}
    own.pop("PYTHONDONTWRITEBYTECODE", None)  # each new process would compile all that it imports
    return own | {
        "TMPDIR": folder,
        "PYTHONPYCACHEPREFIX": f"{folder}/bytecode",
        "CLOUDKNOT_HOME": f"{folder}/ledger",
        "CLOUDKNOT_CONFIG": f"{folder}/no-config.toml",
        "CLOUDKNOT_LOCAL_WORKERS": str(WORKERS),
    }


def make_quick(measure: Measure) -> Measure:
    """Return a measure that takes a fraction of the time, and whose figures mean less."""
    counts = {library: max(count // 10, min(count, 4)) for library, count in measure.counts.items()}
    return replace(measure, counts=counts, rounds=min(measure.rounds, 2))


def make_table(figures: Sequence[Figure]) -> Table:
    """Return the figures for people; as text it is Markdown."""
    table = Table(box=box.MARKDOWN)
    table.add_column("measure", no_wrap=True)
    table.add_column("library", no_wrap=True)
    for heading in ("median", "min to max", "cloudknot is x times as fast", "aim"):
        table.add_column(heading, justify="right", no_wrap=True)
    for figure in figures:
        if figure.failure:
            table.add_row(figure.title, figure.library, escape(figure.failure.partition("\n")[0]))
            continue
        met = {None: "", True: " (met)", False: " (missed)"}[figure.is_met]
        ratio = ""
        if figure.ratios:
            ratio = f"{show(statistics.median(figure.ratios))} ({show_range(figure.ratios)})"
        median = f"{show(statistics.median(figure.values))} {figure.unit}"
        table.add_row(
            figure.title, figure.library, median, show_range(figure.values), ratio, figure.aim + met
        )
    return table


def show(value: float) -> str:
    """Return a number with three digits that count."""
    return f"{float(f'{value:.3g}'):,.{0 if value >= 100 else 1 if value >= 10 else 2}f}"


def show_range(values: Sequence[float]) -> str:
    return f"{show(min(values))} to {show(max(values))}"


def find_versions() -> dict[str, str]:
    """Return the version of Python and of each library."""
    versions = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            versions[package] = "not installed"
    return versions


@click.command()
@click.option("--quick", is_flag=True, help="A tenth of the items, two rounds: to see that it works.")
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write all figures to this file.")
def main(quick: bool, json_file: Path | None) -> None:
    """Compare cloudknot with its peers on this machine; takes some minutes."""
    console = Console(width=None if sys.stdout.isatty() else 240)
    load = os.getloadavg()[0]
    figures: list[Figure] = []
    # A process that outlives its library may still write: that must not spoil the run.
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder, console.status("") as status:
        environment = make_environment(folder)
        for measure in MEASURES:
            status.update(measure.title)
            figures += run_measure(make_quick(measure) if quick else measure, environment)
        status.update("imports")
        figures += measure_imports(3 if quick else 20, environment)
        heavy = {
            statement: find_heavy_modules(statement, environment)
            for statement in ("import cloudknot", "from cloudknot import Knot")
        }
    console.print(make_table(figures))
    for statement, modules in heavy.items():
        console.print(f"{statement} loads {', '.join(modules) or 'none'} of {', '.join(HEAVY_MODULES)}.")
    versions = find_versions()
    console.print(", ".join(f"{name} {version}" for name, version in versions.items()), highlight=False)
    console.print(f"{os.cpu_count()} processors, load {load:.1f} when it began.", highlight=False)
    if json_file is not None:
        record = {
            "versions": versions,
            "processors": os.cpu_count(),
            "load": load,
            "heavy_modules": heavy,
            "figures": [asdict(figure) for figure in figures],
        }
        json_file.parent.mkdir(parents=True, exist_ok=True)
        json_file.write_text(json.dumps(record, indent=1))


if __name__ == "__main__":
    main()
