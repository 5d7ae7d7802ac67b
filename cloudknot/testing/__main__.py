"""`python -m cloudknot.testing up|env|reset|down`."""

import json
import shlex
import sys

import click

from cloudknot.testing.box import Box
from cloudknot.testing.errors import BoxError
from cloudknot.testing.launch import down, find, names, up

_NAME = click.option("--name", default="default", show_default=True, help="Which box.")
_EXECUTOR = click.Choice(["docker", "process"])


@click.group(help="AWS Batch in a box, on this machine.")
def _main() -> None:
    pass


@_main.command("up")
@_NAME
@click.option("--executor", type=_EXECUTOR, default="docker", show_default=True, help="What runs jobs.")
@click.option("--port", type=int, default=0, help="Where it listens on 127.0.0.1.  [default: a free port]")
@click.option("--region", default="us-east-1", show_default=True, help="The region that `env` names.")
def _up(name: str, executor: str, port: int, region: str) -> None:
    """Start a box, unless it is up."""
    box = up(name, executor=executor, port=port, region=region)
    click.echo(f"{box.name} is up at {box.endpoint}")
    again = "" if name == "default" else f" --name {name}"
    click.echo(f'next: eval "$({_command()} env{again})"')


@_main.command("env")
@_NAME
@click.option("--json", "as_json", is_flag=True, help="As JSON, not for a shell.")
def _env(name: str, as_json: bool) -> None:
    """Print the variables that make AWS's SDKs speak to a box."""
    variables = _found(name).environment()
    if as_json:
        click.echo(json.dumps(variables, indent=2))
        return
    click.echo("unset AWS_PROFILE AWS_DEFAULT_PROFILE AWS_SESSION_TOKEN AWS_SECURITY_TOKEN")
    for variable, value in variables.items():
        click.echo(f"export {variable}={shlex.quote(value)}")


@_main.command("reset")
@_NAME
@click.option("--executor", type=_EXECUTOR, help="What runs jobs from now on.  [default: as before]")
@click.option("--seed", type=int, default=0, show_default=True, help="Decides when faults strike.")
def _reset(name: str, executor: str | None, seed: int) -> None:
    """End all jobs of a box, and empty its account."""
    _found(name).reset(executor=executor, seed=seed)
    click.echo(f"{name} is empty")


@_main.command("down")
@_NAME
def _down(name: str) -> None:
    """Stop a box, and remove all that it has made."""
    click.echo(f"{name} is down" if down(name) else f"{name} was not up")


def _found(name: str) -> Box:
    box = find(name)
    if box is None:
        others = f" (up: {', '.join(names())})" if names() else ""
        raise BoxError(f"the box {name!r} is not up{others}: {_command()} up --name {name}")
    return box


def _command() -> str:
    return "python -m cloudknot.testing"


def main() -> None:
    """Run the command line; errors that people can mend are one line."""
    try:
        _main(prog_name=_command())
    except BoxError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
