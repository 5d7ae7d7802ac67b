"""Measure AWS in a box: how long it takes to be up, and how many children of an array it runs a second.

The sides work in turn, round after round. Plain moto is measured where it can do the same: the start of its
server, and a small array in docker, all of whose children it starts at once.
"""

from __future__ import annotations

import contextlib
import os
import platform
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import click
import docker
from rich.console import Console
from rich.table import Table

from cloudknot.testing import Box
from cloudknot.testing.launch import running

sys.path.insert(0, str(Path(__file__).parent.parent))
from tests.box import cloud
from tests.rig.base_image import ensure_base_image
from tests.rig.engine import ensure_engine

SMALL, MANY = 16, 100
PATIENCE_S = 300.0


@dataclass(frozen=True, kw_only=True)
class Measure:
    """One row of the table.

    Parameters
    ----------
    title : str
        What is measured.
    work : callable
        Does it once; returns seconds.
    count : int
        How many children that were; 0 for none.
    """

    title: str
    work: Callable[[], float]
    count: int = 0


def clock(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def wait(is_so: Callable[[], bool], pause_s: float = 0.02) -> None:
    end = time.monotonic() + PATIENCE_S
    while not is_so():
        if time.monotonic() > end:
            raise SystemExit("it does not come to an end: nothing of this counts")
        time.sleep(pause_s)


def box_command(verb: str, environment: Mapping[str, str]) -> None:
    command = [sys.executable, "-m", "cloudknot.testing", verb]
    command += ["--executor", "process"] if verb == "up" else []
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=environment)
    if done.returncode:
        raise SystemExit(f"no {verb}: {done.stderr}")


def start_box(folder: Path, *, is_cold: bool) -> Callable[[], float]:
    def work() -> float:
        with surroundings(folder, is_cold=is_cold) as environment:
            seconds = clock(lambda: box_command("up", environment))
            box_command("down", environment)
            return seconds

    return work


def start_moto(folder: Path, *, is_cold: bool) -> Callable[[], float]:
    def work() -> float:
        with surroundings(folder, is_cold=is_cold) as environment:
            began = time.perf_counter()
            with moto_server(environment):
                return time.perf_counter() - began

    return work


@contextlib.contextmanager
def surroundings(folder: Path, *, is_cold: bool) -> Iterator[dict[str, str]]:
    """Give the variables of a start; a cold one finds no bytecode, as the first after an installation may."""
    cache = folder / ("cold" if is_cold else "warm")
    if is_cold:
        shutil.rmtree(cache, ignore_errors=True)
    own = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    yield {**own, "XDG_STATE_HOME": str(folder), "PYTHONPYCACHEPREFIX": str(cache)}


@contextlib.contextmanager
def moto_server(environment: Mapping[str, str]) -> Iterator[str]:
    """Run plain moto's server; it is there when it answers."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "moto.server", "--port", str(port)]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            wait(lambda: answers(address))
            yield address
        finally:
            process.kill()


def answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"{address}/moto-api/data.json", timeout=PATIENCE_S):
            return True
    except urllib.error.URLError:
        return False


def reset_box(box: Box) -> Callable[[], float]:
    def work() -> float:
        box.reset(executor="process")  # what the last turn has left may be large
        cloud.make_queue(box)
        return clock(box.reset)

    return work


def run_array(box: Box, *, executor: str, count: int) -> Callable[[], float]:
    """From SubmitJob to the parent's SUCCEEDED, as a client sees it."""

    def work() -> float:
        box.reset(executor=executor)
        cloud.make_queue(box, environment=cloud.make_environment(box, max_vcpus=10_000))
        definition = cloud.make_definition(box, "true")

        def run() -> None:
            parent = cloud.submit(box, definition, arrayProperties={"size": count})
            ended = cloud.finish(box, parent, timeout_s=PATIENCE_S)
            check(ended["arrayProperties"]["statusSummary"]["SUCCEEDED"] == count)

        return clock(run)

    return work


def run_array_in_moto(folder: Path) -> Callable[[], float]:
    """Do the same in plain moto; its parent does not tell how its children ended, so they are asked."""

    def work() -> float:
        with (
            surroundings(folder, is_cold=False) as environment,
            moto_server({**environment, "MOTO_DOCKER_NETWORK_MODE": "host"}) as address,
        ):
            batch, definition = prepare_moto(address)

            def run() -> None:
                parent = batch.submit_job(
                    jobName="job", jobQueue="queue", jobDefinition=definition, arrayProperties={"size": SMALL}
                )["jobId"]
                children = [f"{parent}:{index}" for index in range(SMALL)]
                wait(lambda: have_ended(batch.describe_jobs(jobs=children)["jobs"]), 0.05)

            return clock(run)

    return work


def prepare_moto(address: str) -> tuple[Any, str]:
    session = boto3.Session("key", "secret", region_name="us-east-1")
    batch, iam = (session.client(name, endpoint_url=address) for name in ("batch", "iam"))
    role = iam.create_role(RoleName="batch", AssumeRolePolicyDocument=cloud.trust("batch.amazonaws.com"))
    batch.create_compute_environment(
        computeEnvironmentName="machines", type="UNMANAGED", serviceRole=role["Role"]["Arn"]
    )
    order = [{"order": 1, "computeEnvironment": "machines"}]
    batch.create_job_queue(jobQueueName="queue", priority=1, state="ENABLED", computeEnvironmentOrder=order)
    container = {"image": "python:3.11-slim", "command": ["true"], "vcpus": 1, "memory": 256}
    made = batch.register_job_definition(
        jobDefinitionName="work", type="container", containerProperties=container
    )
    return batch, made["jobDefinitionArn"]


def run_in_docker() -> float:
    """Make, start, wait for and remove as many containers, 16 side by side, and nothing else."""
    api = docker.from_env(max_pool_size=SMALL).api

    def run(_: int) -> None:
        host = api.create_host_config(network_mode="host", log_config={"Type": "none"})
        container = api.create_container("python:3.11-slim", ["true"], host_config=host)["Id"]
        api.start(container)
        api.wait(container)
        api.remove_container(container)

    with ThreadPoolExecutor(SMALL) as pool:
        return clock(lambda: list(pool.map(run, range(MANY))))


def have_ended(jobs: list[dict[str, Any]]) -> bool:
    states = [job["status"] for job in jobs]
    check("FAILED" not in states)
    return states.count("SUCCEEDED") == SMALL


def check(is_right: bool) -> None:
    if not is_right:
        raise SystemExit("a side gave a wrong answer: nothing of this counts")


def measures(box: Box, folder: Path) -> list[Measure]:
    """Return all, the two sides of a comparison next to each other."""
    return [
        Measure(title="up, cold", work=start_box(folder, is_cold=True)),
        Measure(title="plain moto's server, cold", work=start_moto(folder, is_cold=True)),
        Measure(title="up, warm", work=start_box(folder, is_cold=False)),
        Measure(title="plain moto's server, warm", work=start_moto(folder, is_cold=False)),
        Measure(title="reset of an account with a queue", work=reset_box(box)),
        Measure(title="docker", work=run_array(box, executor="docker", count=SMALL), count=SMALL),
        Measure(title="docker, plain moto's Batch", work=run_array_in_moto(folder), count=SMALL),
        Measure(title="docker", work=run_array(box, executor="docker", count=MANY), count=MANY),
        Measure(title="docker itself, without Batch", work=run_in_docker, count=MANY),
        Measure(title="process", work=run_array(box, executor="process", count=1000), count=1000),
        Measure(title="process", work=run_array(box, executor="process", count=10_000), count=10_000),
    ]


@click.command()
@click.option("--rounds", default=5, show_default=True, help="How often each turn comes.")
def main(rounds: int) -> None:
    """Measure, and print a table."""
    ensure_engine()
    ensure_base_image()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "box").mkdir()
        with running(folder / "box", name="box-rates") as box:
            rows = measures(box, folder)
            seconds: list[list[float]] = [[] for _ in rows]
            for number in range(rounds + 1):
                for row, found in zip(rows, seconds, strict=True):
                    spent = row.work()
                    if number:  # the first round warms up
                        found.append(spent)
    table = Table("what", "children", "median", "min to max", "children a second")
    for row, found in zip(rows, seconds, strict=True):
        table.add_row(*describe(row, found))
    Console(width=120).print(table)
    print(f"Python {platform.python_version()}, docker {docker.from_env().version()['Version']}")


def describe(row: Measure, seconds: list[float]) -> tuple[str, ...]:
    median = statistics.median(seconds)
    rate = f"{row.count / median:.3g}" if row.count else ""
    count = f"{row.count:,}" if row.count else ""
    return row.title, count, f"{median:.3g} s", f"{min(seconds):.3g} to {max(seconds):.3g} s", rate


if __name__ == "__main__":
    main()
