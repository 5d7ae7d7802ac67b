"""The command line: ``cloudknot VERB``. Each verb is a module of its own, loaded when it is asked for."""

from __future__ import annotations

import importlib
import io
import os
import sys
from collections.abc import Sequence

import click

from cloudknot._version import __version__
from cloudknot.cli.messages import say
from cloudknot.errors import KnotError

# What a shell expects of a command that was interrupted from the keyboard: 128 and the signal's number.
INTERRUPTED = 130

# Each verb and what it does, so that --help loads none of them.
_VERBS = {
    "configure": "Make what Knots need on AWS, or change it, and run one job as proof.",
    "plan": "Show what 'cloudknot configure' would change on AWS.",
    "runs": "List the runs that this machine knows, or remove old ones.",
    "show": "Show how far a run is, what failed and why, and how to go on.",
    "why": "Say why a run waits, or why it failed, and what to do about it.",
    "logs": "Print what one item of a run wrote.",
    "cost": "Tell what a run has cost.",
    "cancel": "Stop a run, in whichever process it runs.",
    "resume": "Run what a run has not finished, and wait for it.",
    "doctor": "Look whether runs on AWS can run, and say what to do where they cannot.",
    "policy": "Print the IAM policy that a person needs.",
    "down": "Remove a stack on AWS: its jobs, runs, images, queues and roles.",
}


class _Verbs(click.Group):
    """A group of commands that loads no more than the one it runs."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _VERBS:
            return None
        command: click.Command = importlib.import_module(f"cloudknot.cli.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Verbs"):
            formatter.write_dl(list(_VERBS.items()))


@click.group(
    cls=_Verbs,
    subcommand_metavar="VERB [ARGUMENTS]...",
    epilog="RUN is a run's id, or the beginning of one where no other run's id begins so.",
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, message="%(prog)s %(version)s")
def _verbs() -> None:
    """See and steer the runs that this machine knows."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line.

    Parameters
    ----------
    arguments : sequence of str, optional
        What follows ``cloudknot``; None takes it from the process.

    Returns
    -------
    int
        The exit code: 0; 1 for an error or a run that did not succeed; 2 for wrong usage.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        # What an exception of the person's says may not be in the terminal's encoding.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        code: int | None = _verbs.main(arguments, prog_name="cloudknot", standalone_mode=False)
        sys.stdout.flush()
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.Abort:
        say("interrupted")
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever reads has seen enough; the interpreter's own last flush must not fail either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (KnotError, OSError) as error:
        say(" ".join(str(error).split()))
        return 1
    return code or 0
