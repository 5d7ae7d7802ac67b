"""Profiles and people, read from their two tables and checked before anything is made of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from examples.tractometry.page.errors import PageError

KEYS = ("subjectID", "tractID", "nodeID")
NODES = ("nodes.csv", "nodes.csv.gz")
SUBJECTS = "subjects.csv"
MAX_NODES = 10_000
_NAMED = 5  # how many of a list a message names


@dataclass(frozen=True, kw_only=True)
class TablePaths:
    """Where the two tables are.

    Parameters
    ----------
    nodes : Path
        ``nodes.csv`` or ``nodes.csv.gz``.
    subjects : Path
        ``subjects.csv``.
    """

    nodes: Path
    subjects: Path


@dataclass(frozen=True, kw_only=True)
class Profiles:
    """The profiles of all people, and what is known of the people.

    Parameters
    ----------
    subjects : pandas.DataFrame
        A row for each person, ``subjectID`` as the index.
    tracts : tuple of str
        In the order of the table.
    values : mapping of str to array of shape (people, tracts, nodes)
        By metric, such as ``fa`` (unitless) and ``md`` (10^-3 mm^2/s); NaN where a node was not measured.
    notes : tuple of str
        What was left out, and why.
    """

    subjects: pd.DataFrame
    tracts: tuple[str, ...]
    values: Mapping[str, NDArray[np.float32]]
    notes: tuple[str, ...] = ()

    @property
    def people(self) -> tuple[str, ...]:
        """Who there is, in the order of ``subjects.csv``."""
        return tuple(self.subjects.index)

    @property
    def n_nodes(self) -> int:
        """How many nodes the longest profile has."""
        return int(next(iter(self.values.values())).shape[2])


def find_tables(folder: Path) -> TablePaths:
    """Return where a folder's tables are.

    Raises
    ------
    PageError
        There is no such folder, or a table is not in it.
    """
    if not folder.is_dir():
        raise PageError(f"{folder} is not a folder. Name the one that holds nodes.csv and {SUBJECTS}.")
    nodes = next((folder / name for name in NODES if (folder / name).is_file()), None)
    subjects = folder / SUBJECTS
    lacking = [
        *([] if nodes else ["nodes.csv (or nodes.csv.gz)"]),
        *([] if subjects.is_file() else [SUBJECTS]),
    ]
    if nodes is None or lacking:
        there = sorted(path.name for path in folder.iterdir())
        raise PageError(
            f"there is no {' and no '.join(lacking)} in {folder}, which "
            + (f"holds {name_some(there)}" if there else "is empty")
            + ". Name the folder that the tractometry pipeline wrote, or put the tables there."
        )
    return TablePaths(nodes=nodes, subjects=subjects)


def read_profiles(paths: TablePaths, *, without: Sequence[str] = ()) -> Profiles:
    """Read and check both tables.

    Parameters
    ----------
    paths : TablePaths
        Where they are.
    without : sequence of str, optional
        Columns of ``subjects.csv`` to leave out.

    Raises
    ------
    PageError
        A table cannot be used; the message says what was found and what to do.
    """
    subjects = read_subjects(paths.subjects, without=without)
    nodes = _read_csv(paths.nodes)
    require_columns(nodes, KEYS, paths.nodes)
    _check_nodes(nodes, subjects, paths)
    metrics, notes = choose_metrics(nodes, paths.nodes)
    tracts = tuple(pd.unique(nodes["tractID"]))
    place = (
        subjects.index.get_indexer(pd.Index(nodes["subjectID"])),
        pd.Index(tracts).get_indexer(pd.Index(nodes["tractID"])),
        nodes["nodeID"].to_numpy(dtype=int),
    )
    shape = (len(subjects), len(tracts), int(place[2].max()) + 1)
    values = {name: _spread(column, place, shape) for name, column in metrics.items()}
    return Profiles(subjects=subjects, tracts=tracts, values=values, notes=notes)


def read_subjects(path: Path, *, without: Sequence[str] = ()) -> pd.DataFrame:
    """Read the people, a row for each, ``subjectID`` as the index; a column without a name is dropped."""
    table = _read_csv(path)
    require_columns(table, KEYS[:1], path)
    table = table[[name for name in table.columns if not name.startswith("Unnamed: ") and name != ""]]
    unknown = [name for name in without if name not in table.columns or name == KEYS[0]]
    if unknown:
        can = [name for name in table.columns if name != KEYS[0]]
        raise PageError(
            f"{path} has no column {name_some(unknown)} to leave out: choose from {', '.join(can)}."
        )
    people = table["subjectID"]
    if people.isna().any() or people.duplicated().any():
        wrong = people[people.isna() | people.duplicated()]
        said = "a row without a subjectID" if wrong.isna().any() else f"{wrong.iloc[0]!r} more than once"
        raise PageError(f"{path} has {said}: it must have one row for each person.")
    if table.empty:
        raise PageError(f"{path} has no rows: it must have one for each person of nodes.csv.")
    return table.set_index("subjectID").drop(columns=list(without))


def choose_metrics(nodes: pd.DataFrame, path: Path) -> tuple[dict[str, NDArray[np.float64]], tuple[str, ...]]:
    """Return the columns that hold numbers, and notes on those that do not.

    Raises
    ------
    PageError
        A column has some numbers and some words, or none has numbers.
    """
    metrics: dict[str, NDArray[np.float64]] = {}
    notes = []
    for name in (name for name in nodes.columns if name not in KEYS and not name.startswith("Unnamed: ")):
        read = pd.to_numeric(nodes[name], errors="coerce").to_numpy(dtype=float)
        numbers = np.where(np.isfinite(read), read, np.nan)
        words = np.flatnonzero(
            np.isnan(numbers) & nodes[name].notna().to_numpy() & ~_is_infinite(nodes[name])
        )
        if np.isnan(numbers).all():
            notes.append(f"column {name} was left out: it has no numbers")
        elif words.size:
            found = nodes[name].iloc[words[0]]
            raise PageError(
                f"{path}, line {words[0] + 2}: {name} is {found!r}, which is not a number. Leave the cell "
                "empty where a node was not measured."
            )
        else:
            metrics[name] = numbers
    if not metrics:
        raise PageError(
            f"{path} has no column of numbers beside {', '.join(KEYS)}: it has "
            f"{name_some(list(nodes.columns))}. "
            "Add a column for each metric, such as fa."
        )
    return metrics, tuple(notes)


def require_columns(table: pd.DataFrame, names: Sequence[str], path: Path) -> None:
    """Check that a table has these columns.

    Raises
    ------
    PageError
        One is not there.
    """
    lacking = [name for name in names if name not in table.columns]
    if lacking:
        raise PageError(
            f"{path} has no column {' and no column '.join(lacking)}: its columns are "
            f"{', '.join(table.columns)}. Rename or add what is missing; case matters."
        )


def name_some(names: Sequence[object]) -> str:
    """Name the first few of a list, and say how many more there are.

    >>> name_some(["a", "b"])
    'a, b'
    >>> name_some(list("abcdefgh"))
    'a, b, c, d, e and 3 more'
    """
    named = ", ".join(map(str, names[:_NAMED]))
    return named if len(names) <= _NAMED else f"{named} and {len(names) - _NAMED} more"


def _read_csv(path: Path) -> pd.DataFrame:
    """Read a table; names stay text, so that a subject 007 keeps its zeros."""
    try:
        return pd.read_csv(path, dtype={"subjectID": str, "tractID": str})
    except (pd.errors.EmptyDataError, pd.errors.ParserError, UnicodeDecodeError, OSError, EOFError) as error:
        raise PageError(
            f"{path} cannot be read as a table: {error}. Is it the whole file, in CSV?"
        ) from error


def _check_nodes(nodes: pd.DataFrame, subjects: pd.DataFrame, paths: TablePaths) -> None:
    """Check the rows' keys: there, whole numbers, known people, no row twice."""
    path = paths.nodes
    if nodes.empty:
        raise PageError(f"{path} has no rows: it must have one for each person, tract and node.")
    empty = nodes[list(KEYS)].isna().any(axis=1)
    if empty.any():
        line = int(np.flatnonzero(empty)[0]) + 2
        raise PageError(
            f"{path}, line {line}: one of {', '.join(KEYS)} is empty. Complete or remove the row."
        )
    number = pd.to_numeric(nodes["nodeID"], errors="coerce")
    wrong = ~((number >= 0) & (number < MAX_NODES) & (number % 1 == 0))
    if wrong.any():
        line = int(np.flatnonzero(wrong)[0])
        raise PageError(
            f"{path}, line {line + 2}: nodeID is {nodes['nodeID'].iloc[line]}; it must be a whole number "
            "from 0."
        )
    unknown = [person for person in pd.unique(nodes["subjectID"]) if person not in subjects.index]
    if unknown:
        raise PageError(
            f"{path} has people who are not in {paths.subjects}: {name_some(unknown)}. Add a row for each, "
            f"or remove their profiles; {SUBJECTS} has {name_some(list(subjects.index))}."
        )
    twice = nodes.duplicated(list(KEYS))
    if twice.any():
        one = nodes[twice].iloc[0]
        raise PageError(
            f"{path} has more than one row for {one['subjectID']}, {one['tractID']}, node {one['nodeID']} "
            f"({int(twice.sum())} such rows). Keep one session of each person."
        )


def _is_infinite(column: pd.Series) -> NDArray[np.bool_]:
    """Return which cells say that a value is infinite, which is as good as not measured."""
    words = column.astype(str).str.strip().str.lower().str.lstrip("+-")
    return words.isin(["inf", "infinity"]).to_numpy()


def _spread(
    column: NDArray[np.float64], place: tuple[NDArray[np.int64], ...], shape: tuple[int, int, int]
) -> NDArray[np.float32]:
    """Return rows as an array by person, tract and node."""
    spread = np.full(shape, np.nan, dtype=np.float32)
    spread[place] = column
    return spread
