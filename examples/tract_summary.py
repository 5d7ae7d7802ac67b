"""Compare white matter of patients and controls: mean fractional anisotropy (FA) of 20 tracts in 48 people.

Each person is one item of a map: the function gets that person's own rows and returns the person's mean
of each tract. Then a table is printed, and a figure goes to ``examples/output/tract_summary.png``.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy import stats

import cloudknot as ck

if __package__:
    from examples.tract_data import fetch, load_nodes, load_subjects
else:  # run as a script, this folder is where modules are looked for
    from tract_data import fetch, load_nodes, load_subjects

PICTURE = Path(__file__).parent / "output" / "tract_summary.png"

# Colours of Okabe and Ito, which colour-blind people tell apart, with a marker each for print in grey.
COLOURS = {"ALS": "#D55E00", "CTRL": "#0072B2"}
MARKERS = {"ALS": "o", "CTRL": "s"}
TITLES = {"ALS": "Patients with ALS", "CTRL": "Controls"}
# Where a group's people lie within the row of a tract, which is 1 high.
PLACES = {"ALS": -0.22, "CTRL": 0.22}
SPREAD = 0.1
# Of the two-sided 95 % interval.
_QUANTILE = 0.975
# How a mean and its interval look, whatever the marker.
INTERVAL = {
    "linestyle": "none",
    "markeredgecolor": "black",
    "ecolor": "black",
    "elinewidth": 1.6,
    "capsize": 3.5,
    "zorder": 3,
}

CAPTION = (
    "Small markers: one person each, the mean over the measured nodes of the tract (at most 100). Large "
    "markers and bars: group mean with its 95 % interval (Student's t). Where a tract was not found in all "
    "of a group, n says in how many it was. Right: difference with its 95 % interval (Welch's t), not "
    "corrected for 20 comparisons; filled where the interval leaves out zero.",
    "IFOF, inferior fronto-occipital fasciculus; ILF and SLF, inferior and superior longitudinal fasciculus.",
    "Source: Sarica et al. 2017, Human Brain Mapping 38:727; published with AFQ-Browser, Yeatman et al. "
    "2018, Nature Communications 9:940.",
)


def mean_fa(person: pd.DataFrame) -> pd.Series:
    """Return one person's mean FA of each tract; NaN for a tract without a measured node.

    Parameters
    ----------
    person : pandas.DataFrame
        The person's rows: ``tractID`` and ``fa`` (unitless), NaN where a node could not be measured.
    """
    return person.groupby("tractID", sort=False)["fa"].mean()


def map_people(nodes: pd.DataFrame, knot: ck.Knot) -> pd.DataFrame:
    """Run a Knot's function over people.

    Parameters
    ----------
    nodes : pandas.DataFrame
        Rows of all people; see ``tract_data.load_nodes``.
    knot : Knot
        Its function takes one person's rows.

    Returns
    -------
    pandas.DataFrame
        A row for each person, a column for each tract.
    """
    people = dict(list(nodes.groupby("subjectID")))
    future = knot.map(people.values())
    return pd.DataFrame(future.result(), index=pd.Index(people, name="subjectID"))


def summarise(means: pd.DataFrame, groups: pd.Series) -> pd.DataFrame:
    """Compare patients with controls, tract by tract.

    Parameters
    ----------
    means : pandas.DataFrame
        Mean FA (unitless), a row for each person, a column for each tract; NaN where there is none.
    groups : pandas.Series
        ``ALS`` or ``CTRL`` by person.

    Returns
    -------
    pandas.DataFrame
        By tract: the means ``ALS`` and ``CTRL``, the half widths of their 95 % intervals
        ``ALS_half`` and ``CTRL_half``, the people they stand on ``ALS_n`` and ``CTRL_n``, the
        ``difference`` ALS - CTRL, its ``difference_half`` (Welch), and the number of people
        ``missing``.
    """
    table = pd.DataFrame(index=means.columns)
    variances = {}
    for name in COLOURS:
        group = means[groups.reindex(means.index) == name]
        n = group.count()
        variances[name] = group.var() / n
        table[name] = group.mean()
        table[f"{name}_half"] = stats.t.ppf(_QUANTILE, n - 1) * variances[name] ** 0.5
        table[f"{name}_n"] = n
    total = variances["ALS"] + variances["CTRL"]
    # The degrees of freedom of Welch and Satterthwaite.
    freedom = total**2 / sum(variances[name] ** 2 / (table[f"{name}_n"] - 1) for name in COLOURS)
    table["difference"] = table["ALS"] - table["CTRL"]
    table["difference_half"] = stats.t.ppf(_QUANTILE, freedom) * total**0.5
    table["missing"] = means.isna().sum()
    return table


def format_table(table: pd.DataFrame) -> str:
    """Return what `summarise` returned as text for people."""
    shown = table.rename_axis("Tract").reset_index()[["Tract", "ALS", "CTRL", "difference", "missing"]]
    lines = shown.to_string(
        index=False,
        header=["Tract".ljust(26), "ALS mean", "CTRL mean", "Difference", "Missing"],
        formatters={"Tract": "{:<26}".format, "difference": "{:+.4f}".format},
        float_format="{:.4f}".format,
    )
    return f"Mean fractional anisotropy (FA, unitless)\n{lines}\n{describe_missing(table)}"


def describe_missing(table: pd.DataFrame) -> str:
    """Say how many people lack a tract, and that they do not count as zero."""
    lacking = table["missing"][table["missing"] > 0].sort_values(ascending=False, kind="stable")
    if lacking.empty:
        return "No tract is missing in anyone."
    named = ", ".join(f"{tract} in {n}" for tract, n in lacking.items())
    said = (
        f"Missing: people without a measured node of the tract ({named}). They are left out of that tract's "
        "mean (NaN); they do not count as zero."
    )
    return textwrap.fill(said, 100)


def draw(means: pd.DataFrame, groups: pd.Series, table: pd.DataFrame) -> Figure:
    """Draw people, group means and differences.

    Parameters
    ----------
    means, groups
        As for `summarise`.
    table : pandas.DataFrame
        What `summarise` returned.
    """
    figure = Figure(figsize=(12, 12.5), dpi=150)
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=(2.5, 1))
    figure.subplots_adjust(left=0.225, right=0.975, top=0.92, bottom=0.175, wspace=0.05)
    title = "Fractional anisotropy of 20 white-matter tracts in amyotrophic lateral sclerosis (ALS)"
    figure.suptitle(title, x=0.02, y=0.985, ha="left", fontsize=15, fontweight="bold")
    for name in COLOURS:
        draw_group(left, means[groups.reindex(means.index) == name], table, name)
    draw_differences(right, table)
    note_missing(left, table, groups.value_counts())
    label_rows(left, right, means.columns)
    left.set_xlabel("Mean FA of the tract (unitless)", fontsize=12)
    right.set_xlabel("FA, ALS minus controls", fontsize=12)
    figure.legend(loc="upper left", bbox_to_anchor=(0.217, 0.961), ncols=2, frameon=False, fontsize=12)
    caption = "\n".join(textwrap.fill(part, 137) for part in CAPTION)
    figure.text(0.02, 0.015, caption, fontsize=11, color="#333333", linespacing=1.4, va="bottom")
    return figure


def draw_group(axes: Axes, group: pd.DataFrame, table: pd.DataFrame, name: str) -> None:
    """Draw the people of one group as points, and the group's mean with its interval."""
    look = {"color": COLOURS[name], "marker": MARKERS[name]}
    rows = np.arange(len(table)) + PLACES[name]
    jitter = np.random.default_rng(0).uniform(-SPREAD, SPREAD, size=group.shape)
    axes.scatter(group.to_numpy(), rows + jitter, s=14, alpha=0.5, linewidths=0, **look)
    label = f"{TITLES[name]} (n = {len(group)})"
    axes.errorbar(table[name], rows, xerr=table[f"{name}_half"], ms=7, label=label, **look, **INTERVAL)


def draw_differences(axes: Axes, table: pd.DataFrame) -> None:
    """Draw each tract's difference with its interval, filled where the interval leaves out zero."""
    axes.axvline(0, color="#555555", linewidth=1)
    is_apart = table["difference"].abs() > table["difference_half"]
    for chosen, fill in ((is_apart, "black"), (~is_apart, "white")):
        rows, part = np.flatnonzero(chosen), table[chosen]
        width = part["difference_half"]
        axes.errorbar(part["difference"], rows, xerr=width, marker="D", ms=6, mfc=fill, **INTERVAL)


def note_missing(axes: Axes, table: pd.DataFrame, sizes: pd.Series) -> None:
    """Write how many people a mean stands on, where the tract was not found in all of the group."""
    edge = {"xycoords": ("axes fraction", "data"), "textcoords": "offset points", "xytext": (-6, 0)}
    for name, colour in COLOURS.items():
        for row, n in enumerate(table[f"{name}_n"]):
            if n < sizes[name]:
                at = (1, row + PLACES[name])
                axes.annotate(f"n = {n}", at, ha="right", va="center", fontsize=10, color=colour, **edge)


def label_rows(left: Axes, right: Axes, tracts: Sequence[str]) -> None:
    """Name the rows, and shade every other one so that the eye keeps to it."""
    left.set_yticks(range(len(tracts)), tracts, fontsize=11)
    left.set_ylim(len(tracts) - 0.5, -0.5)
    for axes in (left, right):
        for row in range(0, len(tracts), 2):
            axes.axhspan(row - 0.5, row + 0.5, color="#F1F1F1", zorder=0, linewidth=0)
        axes.grid(axis="x", color="#D0D0D0", linewidth=0.6)
        axes.set_axisbelow(True)
        axes.tick_params(length=0, labelsize=11)
        axes.spines[["top", "right", "left"]].set_visible(False)


def main() -> None:
    """Fetch the tables, map the people, print the table and save the picture."""
    tables = fetch("sarica")
    groups = load_subjects(tables)["class"]
    means = map_people(load_nodes(tables, columns=["fa"]), ck.Knot(mean_fa, name="tract-summary"))
    table = summarise(means, groups)
    print(format_table(table))
    PICTURE.parent.mkdir(exist_ok=True)
    draw(means, groups, table).savefig(PICTURE)
    print(f"Picture: {PICTURE}")


if __name__ == "__main__":
    main()
