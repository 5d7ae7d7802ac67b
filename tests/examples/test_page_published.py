"""The published tables open in the page, in a real browser, with the numbers that they have."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from examples.tract_data import fetch, load_nodes, load_subjects
from tests.examples.opened import Opened

TRACT = "Right Arcuate"
LINK = "#tract=Right+Arcuate"


def profiles_of(study: str, tract: str) -> pd.DataFrame:
    """Return FA of one tract, a row for each person, a column for each node."""
    nodes = load_nodes(fetch(study), columns=["fa"])
    rows = nodes[nodes["tractID"] == tract]
    return rows.pivot_table(index="subjectID", columns="nodeID", values="fa", dropna=False)


@pytest.mark.parametrize(("study", "people", "missing"), [("wh", 77, "∅ 5"), ("sarica", 48, "∅ 16")])
def test_the_page_opens_whole_and_asks_for_nothing_outside(
    page: Opened, published: dict[str, Path], study: str, people: int, missing: str
) -> None:
    page.open_anew(published[study], LINK)

    assert page.text("#counts") == f"{people} people, 20 tracts, 100 nodes each"
    assert len(page.texts(".tract .name")) == 20
    assert missing in page.find(".tract:has(input:checked)").text
    assert len(page.people()) == people
    assert "no shapes of bundles" in page.text("#bundles-note"), "the 3D view says that it has nothing"
    assert len(page.traces("overview")) == 1
    assert not page.find("#trouble").is_displayed()
    assert page.read_console() == []
    asked = page.read_requests()
    assert len(asked) > 20
    inside = f"file://{published[study].resolve()}/"
    assert [address for address in asked if not address.startswith(inside)] == []


@pytest.mark.parametrize("band", ["standard error", "95 % interval", "standard deviation"])
def test_means_and_bands_are_those_of_the_groups(page: Opened, published: dict[str, Path], band: str) -> None:
    page.open(published["sarica"], LINK)
    page.choose("band", band)

    values, groups = profiles_of("sarica", TRACT), load_subjects(fetch("sarica"))["class"]
    for name in ("ALS", "CTRL"):
        group = values[groups[values.index] == name]
        mean, n = group.mean().to_numpy(), group.count().to_numpy()
        half = {
            "standard error": group.sem(),
            "95 % interval": group.sem() * stats.t.ppf(0.975, n - 1),
            "standard deviation": group.std(),
        }[band].to_numpy()
        trace = page.trace("profile", f"{name} (n = {n.max()})")
        assert trace["y"] == pytest.approx(mean, rel=1e-5)
        drawn = page.traces("profile")
        around = drawn[drawn.index(trace) - 1]["y"]
        assert around[:100] == pytest.approx(mean + half, rel=1e-4)
        assert around[:99:-1] == pytest.approx(mean - half, rel=1e-4)


def test_the_words_under_the_profile_are_welchs(page: Opened, published: dict[str, Path]) -> None:
    page.open(published["sarica"], f"{LINK}&from=40&to=60")

    means = profiles_of("sarica", TRACT).loc[:, 40:60].mean(axis=1)
    groups = load_subjects(fetch("sarica"))["class"][means.index]
    als, ctrl = (means[groups == name].dropna() for name in ("ALS", "CTRL"))
    low, high = stats.ttest_ind(als, ctrl, equal_var=False).confidence_interval()
    said = page.text("#summary").replace("−", "-")
    assert f"nodes 40–60: ALS {als.mean():.3f} (sd {als.std():.3f}, n = {len(als)}, missing in " in said
    assert (
        f"ALS minus CTRL: {als.mean() - ctrl.mean():.3f} ± {(high - low) / 2:.3f} (95 % interval, Welch)"
        in said
    )


def test_a_click_on_a_row_of_the_overview_chooses_its_tract(page: Opened, published: dict[str, Path]) -> None:
    page.open(published["sarica"])
    x, y = page.run(
        "const e = document.getElementById('overview');"
        "const b = e.querySelector('.nsewdrag').getBoundingClientRect();"
        "return [b.left + e._fullLayout.xaxis.d2p(50), b.top + e._fullLayout.yaxis.d2p(13)]"
    )
    page.click_at("overview", (x, y))

    page.wait_for_text("#profile-title", "Right ILF")
    page.settle()
    assert page.find(".tract:has(input:checked) .name").text == "Right ILF"


@pytest.mark.parametrize("parts", [2, 3, 5])
def test_numbers_are_cut_into_parts_of_equal_size(
    page: Opened, published: dict[str, Path], parts: int
) -> None:
    page.open(published["wh"], f"#by=Age&parts={parts}")

    ages = load_subjects(fetch("wh"))["Age"]
    cut = ages.groupby(pd.qcut(ages, parts, labels=False))
    wanted = [f"Age {part.min()}–{part.max()} ({len(part)})" for _, part in cut]
    assert page.texts(".chip") == wanted


def test_groups_without_an_answer_are_a_group(page: Opened, published: dict[str, Path]) -> None:
    page.open(published["wh"], "#by=Handedness")

    given = load_subjects(fetch("wh"))["Handedness"]
    wanted = [f"{word} ({count})" for word, count in given.value_counts().sort_index().items()]
    assert page.texts(".chip") == [*wanted, f"not given ({given.isna().sum()})"]


def test_another_metric_shows_with_its_unit(page: Opened, published: dict[str, Path]) -> None:
    page.open(published["wh"])
    page.choose("metric", "MD – mean diffusivity")

    assert page.text("#profile .ytitle") == "MD (10⁻³ mm²/s)"
    assert page.text("#profile .xtitle") == "Node along the tract (0–99)"
    nodes = load_nodes(fetch("wh"), columns=["md"])
    mean = page.run("return Object.values(document.getElementById('profile').data.at(-1).y)")
    assert np.nanmean(mean) == pytest.approx(
        nodes[nodes["tractID"] == nodes["tractID"][0]]["md"].mean(), rel=0.1
    )
