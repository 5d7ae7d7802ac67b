"""``cloudknot logs`` of an item that still runs, as a person meets it."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import Script, wait_until
from tests.test_cli import COMMAND, CommandLine

TALKING = """
import sys, time
from pathlib import Path
from cloudknot import Knot

def talk(x):
    print("item", x, "begins", flush=True)
    while not Path({gate!r}).exists():
        time.sleep(0.01)
    print("item", x, "ends")

future = Knot(talk).map([0])
print(future.run_id, flush=True)
{then}
future.result()
"""
# The process that runs the item can tell what it writes.
ASK_HERE = """
while future[0].logs() != "item 0 begins\\n":
    time.sleep(0.01)
from cloudknot.cli import main
print("code", main(["logs", future.run_id, "0"]), flush=True)
import threading
threading.Timer(1.5, Path({gate!r}).touch).start()
print("code", main(["logs", future.run_id, "0", "--follow"]), flush=True)
"""


@pytest.fixture
def cli(script: Script) -> CommandLine:
    return CommandLine(script.environment)


@pytest.fixture
def talking(script: Script, cli: CommandLine, gate: Path) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """A run whose item goes on until the gate is opened; and its process."""
    with script.start(TALKING.format(gate=str(gate), then="")) as process:
        assert process.stdout is not None
        run_id = process.stdout.readline().strip()
        wait_until(lambda: cli.status(run_id)[0] == "running")
        yield run_id, process
        process.kill()


def test_where_it_runs_its_output_is_shown_while_it_grows(script: Script, gate: Path) -> None:
    then = ASK_HERE.format(gate=str(gate))
    out = script.run(TALKING.format(gate=str(gate), then=then))
    assert out.splitlines()[1:] == ["item 0 begins", "code 0", "item 0 begins", "item 0 ends", "code 0"]


def test_elsewhere_it_is_shown_at_its_end(
    cli: CommandLine, talking: tuple[str, subprocess.Popen[str]], gate: Path
) -> None:
    run_id, _ = talking
    done = cli.run("logs", run_id, "0", code=1)
    assert done.stderr == f"cloudknot: item 0 of {run_id} has not ended: its output comes with its end\n"
    command = [COMMAND, "logs", run_id, "0", "--follow"]
    with subprocess.Popen(command, env=cli.environment, stdout=subprocess.PIPE) as following:
        with pytest.raises(subprocess.TimeoutExpired):
            following.wait(timeout=2)
        gate.touch()
        out, _ = following.communicate(timeout=20)
    assert (out, following.returncode) == (b"item 0 begins\nitem 0 ends\n", 0)


def test_following_ends_with_the_process_that_ran_it(
    cli: CommandLine, talking: tuple[str, subprocess.Popen[str]]
) -> None:
    run_id, process = talking
    process.kill()
    process.wait()
    done = cli.run("logs", run_id, "0", "-f", code=1)
    assert done.stderr == f"cloudknot: item 0 of {run_id} was not run to its end\n"
