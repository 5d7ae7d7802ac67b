"""Compare what a map on AWS Batch asks of AWS with cloudknot 0.6.1, in one run in the same box.

The original runs in an environment of its own, which is made here. Its children are real containers for a
few items. For many, the box runs a stub in place of each and the results are put as they would have put
them: only what the client asks is counted then. This cloudknot's children are real containers throughout.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from cloudknot.testing import Box
from cloudknot.testing.launch import running

sys.path.insert(0, str(Path(__file__).parent.parent))
from tests.rig.base_image import ensure_base_image
from tests.rig.engine import ensure_engine

ORIGINAL = "cloudknot==0.6.1"
COUNTS = (1_000, 10_000, 100_000)
FEW = 8
PATIENCE_S = 900
STUB = "#!/bin/sh\nwhile [ ! -e {go} ]; do sleep 0.5; done\n"


@dataclass(frozen=True, kw_only=True)
class Step:
    """What one step took, and asked of AWS.

    Parameters
    ----------
    library : str
        Whose step.
    name : str
        Which.
    seconds : float
        How long.
    requests : dict
        The client's, by service.
    sent_bytes, received_bytes : int
        The client's.
    children : dict
        The jobs' requests, by service.
    fetch_s : float
        From the first GetObject of the client to its last.
    error : str
        Why it failed; empty where it did not.
    """

    library: str
    name: str
    seconds: float
    requests: Mapping[str, int] = field(default_factory=dict)
    sent_bytes: int = 0
    received_bytes: int = 0
    children: Mapping[str, int] = field(default_factory=dict)
    fetch_s: float = 0.0
    error: str = ""


class Journal:
    """Tells what was asked of a box since it was last looked at."""

    def __init__(self, box: Box) -> None:
        self._box = box
        self._seen = 0
        self.forget()

    def forget(self) -> None:
        """Pass over what was asked until now."""
        calls = self._box.calls(after=self._seen)
        self._seen = calls[-1].number if calls else self._seen

    def count(self, library: str, name: str, seconds: float, error: str = "") -> Step:
        """Return a step with what was asked in it."""
        calls = self._box.calls(after=self._seen)
        self._seen = calls[-1].number if calls else self._seen
        # The box's own administrator is the client; jobs are a user or a role.
        jobs = [call for call in calls if "/jobs" in call.principal or ":assumed-role/" in call.principal]
        client = [call for call in calls if call not in jobs]
        fetches = [call.at for call in client if call.operation == "GetObject"]
        return Step(
            library=library,
            name=name,
            seconds=seconds,
            requests=dict(Counter(call.service for call in client)),
            sent_bytes=sum(call.sent_bytes for call in client),
            received_bytes=sum(call.received_bytes for call in client),
            children=dict(Counter(call.service for call in jobs)),
            fetch_s=max(fetches) - min(fetches) if fetches else 0.0,
            error=error,
        )


def make_environment(folder: Path) -> Path:
    """Install the original into an environment of its own; return its Python."""
    python = folder / "original" / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", folder / "original"], check=True)
        # setuptools: docopt, which it needs, has no wheel.
        subprocess.run([python, "-m", "pip", "install", "--quiet", ORIGINAL, "setuptools"], check=True)
    return python


def run_original(box: Box, python: Path, folder: Path, **asked: Any) -> Iterator[Step]:
    """Run steps of the original in a process of its own."""
    folder.mkdir()
    config = folder / "cloudknot.cfg"
    config.write_text("[aws]\nconfigured = True\n")
    jobs = box.user("jobs", allow("*")).get_credentials()
    children = {"AWS_ACCESS_KEY_ID": jobs.access_key, "AWS_SECRET_ACCESS_KEY": jobs.secret_key}
    environment = {
        **os.environ,
        **box.environment(),
        "HOME": str(folder),
        "PATH": f"{python.parent}:{os.environ['PATH']}",
        "CLOUDKNOT_CONFIG_FILE": str(config),
    }
    script = Path(__file__).with_name("original_side.py")
    order = json.dumps({"children": children, "timeout_s": PATIENCE_S, **asked})
    journal = Journal(box)
    with (
        (folder / "errors").open("w") as errors,
        subprocess.Popen(
            [python, script, order],
            env=environment,
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        ) as process,
    ):
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            for line in process.stdout:
                told = json.loads(line)
                yield journal.count(ORIGINAL, told["step"], told["seconds"], told["error"])
                process.stdin.write("on\n")
                process.stdin.flush()
        finally:
            process.kill()
    said = (folder / "errors").read_text().strip()
    if said and process.returncode:
        raise SystemExit(f"{ORIGINAL} failed:\n{said}")


def allow(action: str) -> dict[str, Any]:
    statement = {"Effect": "Allow", "Action": action, "Resource": "*"}
    return {"Version": "2012-10-17", "Statement": [statement]}


def make_stub(folder: Path) -> Path:
    """Make the program that stands for each child of the original: it waits until results are there."""
    folder.mkdir()
    program = folder / "--arrayjob"  # the first word of what the original has a child run
    program.write_text(STUB.format(go=folder / "go"))
    program.chmod(0o755)
    return folder


def run_ours(box: Box, counts: Sequence[int]) -> Iterator[Step]:
    """Run the same steps with this cloudknot."""
    import cloudknot as ck  # noqa: PLC0415  # it reads the environment
    from cloudknot.pars import Pars  # noqa: PLC0415

    journal = Journal(box)

    def told(name: str, began: float) -> Step:
        return journal.count("this cloudknot", name, time.perf_counter() - began)

    began = time.perf_counter()
    pars = Pars()
    yield told("set up", began)
    options: dict[str, Any] = {"backend": "aws", "pars": pars, "memory_mib": 512}
    began = time.perf_counter()
    knot = ck.Knot(twice, **options)
    yield told("first Knot", began)
    began = time.perf_counter()
    ck.Knot(twice, name="second", **options)
    yield told("second Knot", began)
    for count in counts:
        began = time.perf_counter()
        future = knot.map(range(count))
        yield told(f"submit {count}", began)
        began = time.perf_counter()
        check(future.result() == [2 * x for x in range(count)])
        yield told(f"collect {count}", began)
        began = time.perf_counter()
        check(read_elsewhere(future.run_id) == count)
        yield told(f"collect {count} in another process", began)
    began = time.perf_counter()
    check(ck.Knot(thrice, **options).submit(2).result() == 6)
    yield told("edited function to first result", began)


def read_elsewhere(run_id: str) -> int:
    code = f"import cloudknot as ck; print(len(ck.attach({run_id!r}).result()))"
    read = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return int(read.stdout)


def twice(x):
    return 2 * x


def thrice(x):
    return 3 * x


def check(is_so: bool) -> None:
    if not is_so:
        raise SystemExit("a value is wrong: nothing of this counts")


@contextlib.contextmanager
def surroundings(box: Box, folder: Path) -> Iterator[None]:
    """Have this process, and those that it starts, speak to the box."""
    before = dict(os.environ)
    os.environ |= {
        **box.environment(),
        "CLOUDKNOT_HOME": str(folder / "home"),
        "CLOUDKNOT_CONFIG": str(folder / "none.toml"),
        "CLOUDKNOT_BACKEND": "aws",
        "CLOUDKNOT_PROGRESS": "0",
    }
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def show(step: Step) -> None:
    """Print a step as it ends."""
    words = f"{step.library}: {step.name}: {step.seconds:.1f} s"
    print(f"{words}, {sum(step.requests.values())} requests {step.error[:200]}", flush=True)


def print_table(steps: Sequence[Step]) -> None:
    """Print all steps, as docs/benchmarks.md has them."""
    columns = ("step", "library", "seconds", "requests", "of these", "sent", "received", "by the jobs")
    table = Table(*columns, box=None, pad_edge=False)
    names = list(dict.fromkeys(step.name for step in steps))
    for step in sorted(steps, key=lambda step: names.index(step.name)):
        told = (
            step.name,
            step.library,
            f"{step.seconds:.1f}" + (f" (fetching {step.fetch_s:.1f})" if step.fetch_s else ""),
            str(sum(step.requests.values())),
            ", ".join(f"{name} {number}" for name, number in sorted(step.requests.items())),
            f"{step.sent_bytes / 1e3:,.1f} kB",
            f"{step.received_bytes / 1e3:,.1f} kB",
            ", ".join(f"{name} {number}" for name, number in sorted(step.children.items())),
        )
        table.add_row(*((*told[:2], f"fails: {step.error[:300]}", *told[3:]) if step.error else told))
    Console(width=200).print(table)


@click.command()
@click.option("--quick", is_flag=True, help="A hundredth of the items, to see that it works.")
@click.option("--only", type=click.Choice(["original", "ours"]), help="One side alone.")
@click.option("--json", "path", type=click.Path(path_type=Path), help="Write every figure there.")
@click.option("--keep", type=click.Path(path_type=Path), help="Where the original stays installed.")
def main(quick: bool, only: str | None, path: Path | None, keep: Path | None) -> None:
    """Measure both, one after the other, and print a table."""
    counts = [count // 100 for count in COUNTS] if quick else list(COUNTS)
    ensure_engine()
    ensure_base_image()
    steps: list[Step] = []

    def take(told: Iterable[Step]) -> None:
        for step in told:
            show(step)
            steps.append(step)

    with tempfile.TemporaryDirectory(prefix="cloudknot-bench-") as made:
        folder = Path(made)
        with running(folder, name="benchmark", executor="docker") as box:
            if only != "ours":
                python = make_environment(keep or folder)
                few = {"name": "few", "counts": [FEW], "second": True, "edit": True, "stub": ""}
                take(run_original(box, python, folder / "few", **few))
                box.reset(executor="process")
                stub = make_stub(folder / "stub")
                many = {"name": "many", "counts": counts, "second": False, "edit": False, "stub": str(stub)}
                told = run_original(box, python, folder / "many", **many)
                take(step for step in told if step.name not in ("set up", "first Knot"))
            if only != "original":
                box.reset(executor="docker")
                with surroundings(box, folder):
                    take(run_ours(box, [FEW, *counts]))
    print(f"{os.cpu_count()} processors, Python {platform.python_version()}, {platform.machine()}")
    print_table(steps)
    if path is not None:
        path.write_text(json.dumps([asdict(step) for step in steps], indent=1))


if __name__ == "__main__":
    main()
