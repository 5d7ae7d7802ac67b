"""The command line as a person meets it: the real command, real runs, real terminals."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Script, is_running, wait_until

COMMAND = str(Path(sys.executable).with_name("cloudknot"))
# As the command, but with SIGINT as it is in a foreground job, wherever the tests run.
INTERRUPTIBLE = (
    "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "from cloudknot.cli import main; sys.exit(main(sys.argv[1:]))"
)
VERBS = ("runs", "show", "logs", "cancel", "resume", "cost", "why")

MIXED = """
import sys
from cloudknot import Knot

def read_subject(x):
    print("reading", x)
    sys.stdout.buffer.write(b"\\xff\\n") if x == 2 else None
    if x in (3, 4, 5, 9):
        raise FileNotFoundError("no [tractogram] here")
    if x == 7:
        raise ValueError("too few streamlines")
    return x

knot = Knot(read_subject, memory_mib=64, timeout_s=90, env_vars={"TOKEN": "hush-hush"})
future = knot.map(range(12), on_error="continue")
future.exception()
print(future.run_id)
"""

QUIET = """
from cloudknot import Knot

future = Knot(abs, name="quiet").map([-1, -2])
future.result()
print(future.run_id)
single = Knot(int, name="single").submit("no number")
single.exception()
print(single.run_id)
"""

# The first items end at once, the others when the gate is open.
GATED = """
import time
from pathlib import Path
from cloudknot import Knot

def pass_gate(x):
    while x >= 4 and not Path({gate!r}).exists():
        time.sleep(0.01)
    return x

future = Knot(pass_gate).map(range(40), chunk_size=1)
print(future.run_id, flush=True)
print(future.result())
"""


class CommandLine:
    """Runs ``cloudknot`` in a process of its own, where any warning is an error."""

    def __init__(self, environment: dict[str, str]) -> None:
        self.environment = {**environment, "PYTHONWARNINGS": "error"}

    def run(self, *arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        """Run it with pipes, and check how it ended."""
        done = subprocess.run(
            [COMMAND, *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            stdin=subprocess.DEVNULL,
            errors="surrogateescape",
        )
        assert done.returncode == code, f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr
        return done

    def json(self, *arguments: str) -> Any:
        """Return what it prints as JSON."""
        return json.loads(self.run(*arguments, "--json").stdout)

    def status(self, run_id: str) -> tuple[str, int]:
        """Return a run's status and how many items are done."""
        record = self.json("show", run_id)
        return record["status"], record["done"]

    @contextlib.contextmanager
    def on_terminal(self, *command: str, columns: int = 80) -> Iterator[Terminal]:
        """Start a command on a terminal of its own."""
        master, slave = os.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
        process = subprocess.Popen(
            command,
            env={**self.environment, "TERM": "xterm"},
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
        )
        os.close(slave)
        try:
            yield Terminal(master, process)
        finally:
            process.kill()
            process.wait()
            os.close(master)


class Terminal:
    """A terminal with one command on it."""

    def __init__(self, handle: int, process: subprocess.Popen[bytes]) -> None:
        self.handle = handle
        self.process = process

    def read_to_end(self) -> str:
        """Return all that the command shows, when it has ended."""
        parts = []
        with contextlib.suppress(OSError):  # Linux: EIO when the other side is closed
            while part := os.read(self.handle, 65536):
                parts.append(part)
        return re.sub(r"\x1b\[[0-9;]*m", "", b"".join(parts).decode().replace("\r\n", "\n"))


@pytest.fixture
def cli(script: Script) -> CommandLine:
    return CommandLine(script.environment)


@dataclass(frozen=True)
class Archive:
    """A ledger with runs that are over, which no test changes."""

    cli: CommandLine
    mixed: str  # twelve items, five of which failed
    quiet: str
    single: str


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Archive:
    folder = tmp_path_factory.mktemp("archive")
    script = Script(folder, folder / "home")
    return Archive(CommandLine(script.environment), script.run(MIXED).strip(), *script.run(QUIET).split())


@pytest.fixture
def gated(script: Script, cli: CommandLine, gate: Path) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """A run that goes on until the gate is opened, with four of its items done; and its process."""
    with script.start(GATED.format(gate=str(gate))) as process:
        assert process.stdout is not None
        run_id = process.stdout.readline().strip()
        wait_until(lambda: cli.status(run_id) == ("running", 4))
        yield run_id, process
        process.kill()


@pytest.fixture
def interrupted(cli: CommandLine, gated: tuple[str, subprocess.Popen[str]]) -> str:
    """A run whose process was killed with four of its items done."""
    run_id, process = gated
    process.kill()
    process.wait()
    return run_id


def test_help_loads_nothing_heavy() -> None:
    heavy = ("numpy", "boto3", "docker", "rich", "tqdm", "cloudpickle", "cloudknot.client")
    code = (
        f"import sys; from cloudknot.cli import main; main(['--help']); print({heavy} & sys.modules.keys())"
    )
    out = subprocess.check_output(
        [sys.executable, "-c", code.replace(str(heavy), str(set(heavy)))], text=True
    )
    assert out.rstrip().endswith("set()")


@pytest.mark.parametrize("verb", VERBS)
def test_the_overview_says_what_the_verbs_own_help_says(cli: CommandLine, verb: str) -> None:
    overview = cli.run("--help").stdout.splitlines()
    said = next(line for line in overview if line.startswith(f"  {verb} ")).split(maxsplit=1)[1]
    own = cli.run(verb, "-h").stdout
    assert said in own
    assert own == cli.run(verb, "--help").stdout


def test_it_says_its_version(cli: CommandLine) -> None:
    from cloudknot import __version__

    assert cli.run("--version").stdout == f"cloudknot {__version__}\n"
    out = subprocess.check_output([sys.executable, "-m", "cloudknot.cli", "--version"], text=True)
    assert out == f"cloudknot {__version__}\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["show"],
        ["logs", "some-run", "first"],
        ["runs", "--prune", "soon"],
        ["runs", "--prune", "-1"],
        ["runs", "--prune", "nan"],
        ["runs", "--prune", "1", "--name", "one"],
        ["runs", "--yes"],
    ],
)
def test_wrong_usage_ends_with_2(cli: CommandLine, arguments: list[str]) -> None:
    done = cli.run(*arguments, code=2)
    assert done.stdout == ""
    assert "Error: " in done.stderr


def test_runs_lists_ids_whole_and_the_newest_last(archive: Archive) -> None:
    lines = archive.cli.run("runs").stdout.splitlines()
    assert lines[0].split() == ["Job", "ID", "Name", "Status", "Done", "Failed", "Total", "Started"]
    assert [line.split()[:6] for line in lines[1:]] == [
        [archive.mixed, "read_subject", "failed", "7", "5", "12"],
        [archive.quiet, "quiet", "done", "2", "0", "2"],
        [archive.single, "single", "failed", "0", "1", "1"],
    ]


def test_runs_of_one_name_as_json(archive: Archive) -> None:
    (row,) = archive.cli.json("runs", "--name", "read_subject")
    assert row.pop("created").endswith("+00:00")
    assert row == {
        "run_id": archive.mixed,
        "name": "read_subject",
        "status": "failed",
        "done": 7,
        "failed": 5,
        "cancelled": 0,
        "total": 12,
    }


def test_runs_with_none_to_list_says_so(cli: CommandLine) -> None:
    done = cli.run("runs")
    assert (done.stdout, done.stderr) == ("", "cloudknot: no runs are known here\n")
    assert cli.json("runs") == []


def test_a_run_that_cannot_be_read_does_not_hide_the_others(
    cli: CommandLine, script: Script, home: Path
) -> None:
    quiet, single = script.run(QUIET).split()
    (home / "runs" / quiet / "run.json").write_text("{")
    done = cli.run("runs")
    assert [line.split()[0] for line in done.stdout.splitlines()[1:]] == [single]
    assert done.stderr.startswith(f"cloudknot: {quiet} is left out: ")


def test_on_a_narrow_terminal_ids_stay_whole(archive: Archive) -> None:
    with archive.cli.on_terminal(COMMAND, "runs", columns=80) as terminal:
        lines = terminal.read_to_end().splitlines()
    assert lines[1].startswith(f"{archive.mixed} ")
    assert lines[0].split()[-1] == "Total"
    assert max(map(len, lines)) <= 80


@pytest.mark.parametrize("verb", ["runs", "show", "logs"])
def test_a_pipe_that_closes_early_is_quiet(archive: Archive, verb: str) -> None:
    arguments = {"runs": [], "show": [archive.mixed], "logs": [archive.mixed, "0"]}[verb]
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as pipe:
        done = subprocess.run(
            [COMMAND, verb, *arguments],
            env=archive.cli.environment,
            stdout=pipe,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert done.stderr == b""


def test_show_tells_what_failed_and_how_to_go_on(archive: Archive) -> None:
    out = archive.cli.run("show", archive.mixed).stdout
    for said in (
        "failed: 7 done, 5 failed of 12",
        "1 vCPU, 64 MiB, at most 1 min 30 s an item",
        "On error     continue",
        "Environment  TOKEN",
        "4  3-5, 9  FileNotFoundError: no [tractogram] here",
        "1  7       ValueError: too few streamlines",
        "in read_subject\n",
        f"cloudknot logs {archive.mixed} 3\n",
        f'cloudknot.attach("{archive.mixed}").retry_failed()\n',
    ):
        assert said in out
    assert "hush" not in out
    assert "cloudknot resume" not in out


def test_show_as_json(archive: Archive) -> None:
    record = archive.cli.json("show", archive.mixed)
    assert record["env_vars"] == ["TOKEN"]
    assert record["causes"][0]["cause"].startswith("FileNotFoundError: no [tractogram] here (")
    assert [cause["indices"] for cause in record["causes"]] == [[3, 4, 5, 9], [7]]
    assert record["first_failed"] == 3
    assert record["traceback"].endswith("FileNotFoundError: no [tractogram] here\n")
    assert record["seconds"]["longest"] >= record["seconds"]["median"] > 0
    assert record["peak_memory_bytes"] > 1 << 20
    assert record["resources"].items() >= {"vcpus": 1, "memory_mib": 64, "timeout_s": 90}.items()


def test_show_of_a_single_call(archive: Archive) -> None:
    out = archive.cli.run("show", archive.single).stdout
    assert "failed: 0 done, 1 failed of 1" in out
    assert "retry_failed" not in out  # a single call's future has none


def test_show_runs_none_of_the_persons_code(script: Script, cli: CommandLine) -> None:
    code = """
from cloudknot import Knot

class Odd(Exception):
    def __setstate__(self, state):
        import os
        os._exit(77)

def fail(x):
    error = Odd("strange")
    error.note = x
    raise error

future = Knot(fail).map([1])
print(future.run_id, flush=True)
import time
while not future.done():
    time.sleep(0.01)
"""
    assert "Odd: strange" in cli.run("show", script.run(code).strip()).stdout


def test_logs_are_raw(archive: Archive) -> None:
    assert archive.cli.run("logs", archive.mixed, "3").stdout == "reading 3\n"
    command = [COMMAND, "logs", archive.mixed, "2"]
    assert b"\xff\n" in subprocess.check_output(command, env=archive.cli.environment)


def test_logs_of_an_item_that_wrote_nothing(archive: Archive) -> None:
    done = archive.cli.run("logs", archive.quiet, "1")
    assert (done.stdout, done.stderr) == ("", f"cloudknot: item 1 of {archive.quiet} wrote nothing\n")


@pytest.mark.parametrize("index", ["12", "-1"])
def test_logs_of_an_item_that_is_not_there(archive: Archive, index: str) -> None:
    done = archive.cli.run("logs", archive.mixed, "--", index, code=1)
    assert done.stderr == f"cloudknot: no item {index} in {archive.mixed}: its items are 0 to 11\n"


def test_logs_of_an_item_that_has_not_ended(cli: CommandLine, interrupted: str) -> None:
    done = cli.run("logs", interrupted, "20", code=1)
    assert done.stderr == f"cloudknot: item 20 of {interrupted} was not run to its end\n"


@pytest.mark.parametrize("verb", VERBS[1:])
@pytest.mark.parametrize("run_id", ["unknown", ""])
def test_an_unknown_run_is_one_line(archive: Archive, verb: str, run_id: str) -> None:
    done = archive.cli.run(verb, run_id, *(["0"] if verb == "logs" else []), code=1)
    assert done.stdout == ""
    assert done.stderr.startswith(f"cloudknot: no run '{run_id}' is known here")
    assert done.stderr.count("\n") == 1


def test_the_beginning_of_an_id_is_enough(archive: Archive) -> None:
    assert archive.cli.run("show", "read").stdout.startswith(archive.mixed)


def test_an_ambiguous_beginning_lists_the_candidates(cli: CommandLine, script: Script) -> None:
    candidates = [script.run(QUIET).split()[0] for _ in range(2)]
    done = cli.run("show", "quiet", code=1)
    first_line, *others = done.stderr.splitlines()
    assert first_line.startswith("cloudknot: 2 runs begin with 'quiet'")
    assert [line.strip() for line in others] == candidates


def test_cancel_stops_another_process_run(cli: CommandLine, gated: tuple[str, subprocess.Popen[str]]) -> None:
    run_id, process = gated
    assert cli.run("cancel", run_id).stdout == f"{run_id} is cancelled: 4 done, 36 not finished of 40\n"
    _, err = process.communicate(timeout=20)
    assert "CancelledError" in err
    assert cli.status(run_id) == ("cancelled", 4)
    again = cli.run("cancel", run_id).stdout
    assert again == f"nothing to cancel: {run_id} is cancelled: 4 done, 36 not finished of 40\n"


def test_resume_finishes_a_killed_run(cli: CommandLine, interrupted: str, gate: Path) -> None:
    assert cli.status(interrupted) == ("interrupted", 4)
    assert f"cloudknot resume {interrupted}\n" in cli.run("show", interrupted).stdout
    gate.touch()
    done = cli.run("resume", interrupted)
    assert done.stdout == f"{interrupted} is done: 40 done of 40\n"
    assert done.stderr == f"cloudknot: resuming {interrupted}: 4 of 40 items ended\n"
    assert cli.status(interrupted) == ("done", 40)
    assert "nothing was left to run" in cli.run("resume", interrupted).stderr


def test_resume_leaves_a_living_process_its_run(
    cli: CommandLine, gated: tuple[str, subprocess.Popen[str]]
) -> None:
    run_id, process = gated
    done = cli.run("resume", run_id, code=1)
    assert f"process {process.pid} " in done.stderr
    assert done.stderr.count("\n") == 1


def test_resume_of_a_run_with_failures_ends_with_1(archive: Archive) -> None:
    done = archive.cli.run("resume", archive.mixed, code=1)
    assert done.stdout == f"{archive.mixed} is failed: 7 done, 5 failed of 12\n"


def test_resume_that_is_interrupted_can_be_resumed(cli: CommandLine, interrupted: str, gate: Path) -> None:
    command = (sys.executable, "-c", INTERRUPTIBLE, "resume", interrupted)
    with cli.on_terminal(*command) as terminal:
        wait_until(lambda: cli.status(interrupted)[0] == "running")
        terminal.process.send_signal(signal.SIGINT)
        shown = terminal.read_to_end()
        assert terminal.process.wait() == 130
    assert f"interrupted, 4 of 40 items ended: 'cloudknot resume {interrupted}' goes on" in shown
    assert "Traceback" not in shown
    assert cli.status(interrupted) == ("interrupted", 4)
    gate.touch()
    cli.run("resume", interrupted)


def test_resume_shows_a_progress_bar_on_a_terminal(script: Script, cli: CommandLine) -> None:
    # Items take so long that the bar, which short maps do not have, comes.
    code = """
import os, sys, time
from cloudknot import Knot

def doze(x):
    time.sleep(0.3)

future = Knot(doze).map(range(12), chunk_size=1)
print(future.run_id, flush=True)
os.kill(os.getpid(), 9)
"""
    process = script.start(code)
    run_id = process.communicate(timeout=20)[0].strip()
    assert not is_running(process.pid)
    with cli.on_terminal(COMMAND, "resume", run_id) as terminal:
        shown = terminal.read_to_end()
        assert terminal.process.wait() == 0
    assert "doze:" in shown
    assert "/12 [" in shown
    assert f"{run_id} is done: 12 done of 12" in shown


def test_prune_removes_what_is_over_and_never_what_runs(
    cli: CommandLine, script: Script, home: Path, gated: tuple[str, subprocess.Popen[str]]
) -> None:
    running = gated[0]
    quiet, single = script.run(QUIET).split()
    assert "Nothing to remove" in cli.run("runs", "--prune", "0.5").stdout
    assert cli.run("runs", "--prune", "0").stdout == f"Removed: 2 runs\n  {quiet}\n  {single}\n"
    assert [row["run_id"] for row in cli.json("runs")] == [running]
    assert not (home / "runs" / quiet).exists()


def test_prune_keeps_what_a_later_run_needs_and_says_so(cli: CommandLine, script: Script) -> None:
    code = """
import datetime, json, os
from pathlib import Path
from cloudknot import Knot

first = Knot(int, name="first").map(["1", "x"])
first.exception()
second = first.retry_failed()
second.exception()
entry = Path(os.environ["CLOUDKNOT_HOME"], "catalog", first.run_id)
long_ago = {"created": "2020-01-01T00:00:00+00:00"}
entry.write_text(json.dumps({**json.loads(entry.read_text()), **long_ago}))
record = Path(os.environ["CLOUDKNOT_HOME"], "runs", first.run_id, "run.json")
record.write_text(json.dumps({**json.loads(record.read_text()), **long_ago}))
print(first.run_id, second.run_id)
"""
    first, second = script.run(code).split()
    done = cli.run("runs", "--prune", "1")
    assert done.stdout == f"Kept, for a later run needs them: 1 run\n  {first}\n"
    assert [row["run_id"] for row in cli.json("runs")] == [first, second]


def test_prune_keeps_what_a_running_retry_needs(cli: CommandLine, script: Script, gate: Path) -> None:
    code = f"""
import time
from pathlib import Path
from cloudknot import Knot

def fail(x):
    raise ValueError(x)

def pass_gate(x):
    while not Path({str(gate)!r}).exists():
        time.sleep(0.01)
    return x

first = Knot(fail).map(range(6))
first.exception()
second = first.retry_failed(pass_gate)
print(first.run_id, second.run_id, flush=True)
print(second.result())
"""
    with script.start(code) as process:
        assert process.stdout is not None
        first, second = process.stdout.readline().split()
        wait_until(lambda: cli.status(second)[0] == "running")
        try:
            assert "Removed" not in cli.run("runs", "--prune", "0").stdout
            assert [row["run_id"] for row in cli.json("runs")] == [first, second]
        finally:
            gate.touch()
            out, _ = process.communicate(timeout=20)
    assert out == "[0, 1, 2, 3, 4, 5]\n"


@pytest.mark.parametrize(("answer", "code", "is_kept"), [("n", 1, True), ("", 1, True), ("y", 0, False)])
def test_prune_asks_first_on_a_terminal(
    cli: CommandLine, script: Script, answer: str, code: int, is_kept: bool
) -> None:
    quiet, single = script.run(QUIET).split()
    with cli.on_terminal(COMMAND, "runs", "--prune", "0") as terminal:
        os.write(terminal.handle, f"{answer}\n".encode())
        shown = terminal.read_to_end()
        assert terminal.process.wait() == code
    assert f"To remove, with inputs and results: 2 runs\n  {quiet}\n  {single}\n" in shown
    assert (cli.json("runs") != []) is is_kept


def test_prune_does_not_ask_who_is_sure(cli: CommandLine, script: Script) -> None:
    quiet, single = script.run(QUIET).split()
    with cli.on_terminal(COMMAND, "runs", "--prune", "0", "--yes") as terminal:
        shown = terminal.read_to_end()
    assert shown == f"Removed: 2 runs\n  {quiet}\n  {single}\n"


def test_a_bad_configuration_is_one_line(cli: CommandLine, tmp_path: Path) -> None:
    broken = tmp_path / "broken.toml"
    broken.write_text("home = \n")
    cli.environment["CLOUDKNOT_CONFIG"] = str(broken)
    done = cli.run("runs", code=1)
    assert done.stderr.startswith(f"cloudknot: the configuration file {broken} cannot be read")
    assert done.stderr.count("\n") == 1
