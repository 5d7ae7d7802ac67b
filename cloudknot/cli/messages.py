"""What the command line says to the person rather than to the next program."""

from __future__ import annotations

import click


def say(message: str) -> None:
    """Say something on standard error, where it does not mix with the answer."""
    click.echo(f"cloudknot: {message}", err=True)
