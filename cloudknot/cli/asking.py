"""Questions to the person."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click

from cloudknot.errors import InputError


def ask(question: str, default: str) -> str:
    """Return the person's answer; an empty one is the default.

    Raises
    ------
    InputError
        Nobody can answer.
    """
    with _answering():
        answer: str = click.prompt(question, default=default, show_default=bool(default), err=True)
        return answer


def confirm(question: str, *, default: bool) -> bool:
    """Return whether the person says yes.

    Raises
    ------
    InputError
        Nobody can answer.
    """
    with _answering():
        return click.confirm(question, default=default, err=True)


@contextmanager
def _answering() -> Iterator[None]:
    try:
        yield
    except click.Abort:
        if sys.stdin.isatty():  # interrupted from the keyboard
            raise
        click.echo(err=True)
        raise InputError("nobody can answer here: use --yes, with the options that you need") from None
