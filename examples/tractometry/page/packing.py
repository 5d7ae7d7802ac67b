"""The data of a page as classic scripts, numbers in base64, as a page from the disk can fetch nothing."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from examples.tractometry.page.about import About
from examples.tractometry.page.bundles import LINE_POINTS, Bundle
from examples.tractometry.page.flags import LIMIT, SOURCE, robust_z
from examples.tractometry.page.metrics import describe_metric
from examples.tractometry.page.tables import Profiles

# Shapes are kept in hundredths of a millimetre.
UNIT_MM = 0.01
# A column of numbers with fewer different ones, such as a code of 1 or 2, names groups as it is.
MIN_NUMBERS = 7
_QUANTILE = 0.975  # of the two-sided 95 % interval


def pack_page(profiles: Profiles, bundles: Mapping[str, Bundle], about: About) -> Iterator[tuple[str, str]]:
    """Yield the data scripts of a page, each with its name."""
    metrics = list(profiles.values)
    yield "study.js", _script("study", describe_study(profiles, about))
    yield "bundles.js", _script("bundles", pack_bundles(bundles))
    for number, metric in enumerate(metrics):
        values = profiles.values[metric]
        packed = {"values": pack(values, "<f4"), "z": pack(robust_z(values), "<f4")}
        yield f"metric_{number}.js", _script(f"metric_{number}", packed)


def describe_study(profiles: Profiles, about: About) -> dict[str, Any]:
    """Return all that is not an array: names, people, metrics, and the constants of statistics."""
    n_people = len(profiles.people)
    return {
        "name": about.name,
        "licence": about.licence,
        "citation": about.citation,
        "authors": about.authors,
        "tracts": profiles.tracts,
        "nodes": profiles.n_nodes,
        "people": profiles.people,
        "columns": [describe_column(profiles.subjects[name]) for name in profiles.subjects],
        "metrics": [describe_metric(name, values) for name, values in profiles.values.items()],
        "outlier": {"limit": LIMIT, "source": SOURCE},
        # Student's quantile for 1, 2, ... degrees of freedom.
        "t": [round(float(stats.t.ppf(_QUANTILE, df)), 6) for df in range(1, max(n_people, 2))],
    }


def describe_column(column: pd.Series) -> dict[str, Any]:
    """Return a column of the people's table: its name, its kind and its values, null where there is none."""
    is_numeric = pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)
    values: list[float | None] | list[str | None]
    if is_numeric:
        values = [None if not np.isfinite(value) else float(value) for value in column.astype(float)]
    else:
        values = [None if pd.isna(value) else str(value) for value in column]
    kind = "number" if is_numeric else "text"
    return {"name": str(column.name), "kind": kind, "cut": is_numeric and column.nunique() >= MIN_NUMBERS} | {
        "values": values
    }


def pack_bundles(bundles: Mapping[str, Bundle]) -> dict[str, Any]:
    """Return the shapes as 16-bit numbers, in hundredths of a millimetre."""
    return {
        "unit": UNIT_MM,
        "points": LINE_POINTS,
        "tracts": {
            name: {
                "core": pack(bundle.core / UNIT_MM, "<i2"),
                "lines": pack(bundle.lines / UNIT_MM, "<i2"),
                "of": bundle.n_lines,
            }
            for name, bundle in bundles.items()
        },
    }


def pack(values: NDArray[Any], kind: str) -> str:
    """Return an array's bytes, row by row, in base64.

    >>> pack(np.array([1, 256]), "<i2")
    'AQAAAQ=='
    """
    whole = values.round() if np.dtype(kind).kind == "i" else values
    return base64.b64encode(np.ascontiguousarray(whole, dtype=kind).tobytes()).decode("ascii")


def _script(name: str, value: Any) -> str:
    """Return a classic script that hands a value to the page."""
    said = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return f'tractPage.receive("{name}", {said});\n'
