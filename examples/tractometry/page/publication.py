"""A page made fit to be published: its tables, licence and citation, and the person's consent."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pandas as pd

from examples.tractometry.page.about import (
    CITATION,
    DESCRIPTION,
    About,
    citation_file,
    licence_file,
)
from examples.tractometry.page.bundles import STREAMLINES
from examples.tractometry.page.errors import PageError
from examples.tractometry.page.folder import mark
from examples.tractometry.page.git_target import GitTarget
from examples.tractometry.page.s3_target import S3Target
from examples.tractometry.page.tables import SUBJECTS, TablePaths

LICENCE = "LICENSE"
_EXAMPLE = (
    '{"Name": "...", "BIDSVersion": "1.10.0", "License": "CC-BY-4.0", "Authors": ["..."], '
    '"HowToAcknowledge": "Please cite ..."}'
)


class Target(Protocol):
    """A place that pages are published to."""

    def check(self) -> None:
        """Raise `PageError` where a page must not or cannot go; change nothing."""

    def push(self, folder: Path, *, message: str) -> str:
        """Send a folder there, and return what to tell the person."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """What is published.

    Parameters
    ----------
    folder : Path
        Where the tables came from.
    tables : TablePaths
        The tables.
    subjects : pandas.DataFrame
        The people, without the columns that were left out.
    about : About
        Licence and citation.
    """

    folder: Path
    tables: TablePaths
    subjects: pd.DataFrame
    about: About


def parse_target(text: str) -> Target:
    """Return the place that a text names: ``s3://bucket/prefix``, ``remote:NAME``, or a git address or path.

    Raises
    ------
    PageError
        It names none.
    """
    if text.startswith("s3://"):
        bucket, _, prefix = text.removeprefix("s3://").partition("/")
        if not bucket:
            raise PageError(f"{text} names no bucket: write s3://bucket or s3://bucket/prefix.")
        return S3Target(bucket=bucket, prefix=prefix.strip("/"))
    if text.startswith("remote:"):
        return GitTarget.of_remote(text.removeprefix("remote:"))
    if not text.strip():
        raise PageError("--publish needs a place: s3://bucket/prefix, remote:NAME, or a git address or path.")
    return GitTarget(address=text)


def check_rights(source: Source) -> None:
    """Check that the data may be published: there is a licence, and a citation.

    Raises
    ------
    PageError
        One of them is not there.
    """
    about, folder = source.about, source.folder
    has_licence = bool(about.licence) or (folder / LICENCE).is_file()
    has_citation = bool(about.citation) or (folder / CITATION).is_file()
    lacking = [*([] if has_licence else ["licence"]), *([] if has_citation else ["citation"])]
    if lacking:
        raise PageError(
            f"these data are not published, as they have no {' and no '.join(lacking)}: nobody could know "
            f"how to use or cite them. Ask those whose data they are, and say it in {folder / DESCRIPTION}, "
            f"such as {_EXAMPLE}. ({folder / LICENCE} and {folder / CITATION} are taken too.)"
        )


def warn_of_publishing(source: Source, *, where: str, ask: Callable[[str], str] | None) -> None:
    """Say which columns about people will be public, and go on only with a yes.

    Parameters
    ----------
    source : Source
        What is published.
    where : str
        The place, as the person named it.
    ask : callable or None
        Asks the person a question and returns the answer; None where the person has agreed before.

    Raises
    ------
    PageError
        The person did not agree, or there is nobody to ask.
    """
    about_people = ["subjectID", *map(str, source.subjects.columns)]
    of_nodes = pd.read_csv(source.tables.nodes, nrows=0).columns
    said = (
        f"This publishes to {where}, of {len(source.subjects)} people:\n"
        f"  {SUBJECTS} with {', '.join(about_people)}\n"
        f"  {source.tables.nodes.name} with {', '.join(of_nodes)}\n"
        "Whoever reads it can combine the columns. (--without COLUMN leaves one of subjects.csv out.)"
    )
    print(said)
    if ask is None:
        return
    try:
        answer = ask("Have the people agreed, and is nobody recognisable? Publish? [y/N] ")
    except EOFError:
        raise PageError("there is nobody to ask: add --yes if people have agreed.") from None
    if answer.strip().lower() not in ("y", "yes"):
        raise PageError("nothing was published.")


def add_data(folder: Path, source: Source) -> None:
    """Put tables, licence and citation into a page's folder, and what web servers need."""
    data = folder / "data"
    shutil.copyfile(source.tables.nodes, data / source.tables.nodes.name)
    source.subjects.to_csv(data / SUBJECTS)
    for name in (STREAMLINES, DESCRIPTION):
        if (source.folder / name).is_file():
            shutil.copyfile(source.folder / name, data / name)
    for name, write in ((LICENCE, licence_file), (CITATION, citation_file)):
        own = source.folder / name
        text = own.read_text(encoding="utf-8") if own.is_file() else write(source.about)
        (folder / name).write_text(text, encoding="utf-8")
    # Or GitHub Pages runs Jekyll, which leaves out what begins with an underscore.
    (folder / ".nojekyll").touch()
    mark(folder)
