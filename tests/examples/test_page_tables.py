"""The page reads its tables with care, and says in words what it cannot use before it writes anything."""

from __future__ import annotations

import base64
import doctest
import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest

from examples.tractometry.page import bundles, metrics, packing, tables
from examples.tractometry.page.__main__ import main
from examples.tractometry.page.bundles import LINE_POINTS, MAX_LINES, read_bundles
from examples.tractometry.page.errors import PageError
from examples.tractometry.page.flags import LIMIT, find_missing, robust_z
from examples.tractometry.page.metrics import describe_metric
from examples.tractometry.page.packing import describe_column
from examples.tractometry.page.tables import Profiles, find_tables, read_profiles
from tests.examples.small_study import (
    LACKING,
    N_LINES,
    N_NODES,
    OUTLIER,
    PEOPLE,
    SHAPED,
    TRACTS,
    profile_table,
    shapes,
    write_study,
)


@pytest.fixture
def study(tmp_path: Path) -> Path:
    return write_study(tmp_path / "study")


@pytest.fixture
def profiles(study: Path) -> Profiles:
    return read_profiles(find_tables(study))


def change_nodes(folder: Path, change: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
    path = folder / "nodes.csv.gz"
    table = pd.read_csv(path, dtype={"subjectID": str, "nodeID": object})
    change(table).to_csv(path, index=False)


def refused(folder: Path, *options: str) -> str:
    """Return what is said where no page is made, and check that nothing was written."""
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    with pytest.raises(SystemExit) as raised:
        main([str(folder), *options])
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before
    return str(raised.value)


def test_values_are_those_of_the_table(profiles: Profiles) -> None:
    for (person, tract), rows in profile_table().groupby(["subjectID", "tractID"]):
        found = profiles.values["fa"][profiles.people.index(person), profiles.tracts.index(tract)]
        np.testing.assert_allclose(found, rows["fa"], rtol=1e-6)
    assert profiles.people == PEOPLE
    assert profiles.tracts == TRACTS
    assert list(profiles.subjects) == ["class", "age"], "the index column without a name is gone"


def test_rows_in_any_order_give_the_same(study: Path, profiles: Profiles) -> None:
    change_nodes(study, lambda table: table.sample(frac=1, random_state=0))

    shuffled = read_profiles(find_tables(study))

    order = [shuffled.tracts.index(tract) for tract in profiles.tracts]
    np.testing.assert_array_equal(shuffled.values["md"][:, order], profiles.values["md"])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda table: table.drop(columns="tractID"),
            "has no column tractID: its columns are subjectID, nodeID",
        ),
        (lambda table: table.rename(columns={"subjectID": "subject"}), "has no column subjectID"),
        (lambda table: table.assign(subjectID="nobody"), "has people who are not in .*subjects.csv: nobody"),
        (lambda table: table.head(0), "nodes.csv.gz has no rows"),
        (
            lambda table: pd.concat([table, table.tail(1)]),
            "more than one row for 011, Forceps, <i>Major, node 29",
        ),
        (lambda table: table.assign(nodeID="1.5"), "line 2: nodeID is 1.5; it must be a whole number"),
        (lambda table: table.assign(fa=["x", *table["fa"][1:]]), "line 2: fa is 'x', which is not a number"),
        (
            lambda table: table.assign(fa="x", md=None),
            "has no column of numbers beside subjectID, tractID, nodeID",
        ),
    ],
    ids=[
        "no column",
        "another name",
        "unknown person",
        "no rows",
        "a row twice",
        "part node",
        "a word",
        "no metric",
    ],
)
def test_nodes_that_cannot_be_used_are_named_before_anything_is_written(
    study: Path, change: Callable[[pd.DataFrame], pd.DataFrame], said: str
) -> None:
    change_nodes(study, change)

    with pytest.raises(PageError, match=said):
        read_profiles(find_tables(study))
    assert "error: " in refused(study)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("person,age\na,1\n", "has no column subjectID: its columns are person, age"),
        ("subjectID,age\n", "subjects.csv has no rows"),
        ("subjectID,age\na,1\na,2\n", "'a' more than once"),
        ("subjectID,age\n,1\n", "a row without a subjectID"),
        ("", "cannot be read as a table"),
    ],
    ids=["no column", "no rows", "twice", "nameless", "empty"],
)
def test_people_that_cannot_be_used_are_named(study: Path, content: str, said: str) -> None:
    (study / "subjects.csv").write_text(content)

    assert said in refused(study)


def test_an_empty_folder_and_none_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").touch()

    assert "which is empty" in refused(tmp_path / "empty")
    assert "no nodes.csv (or nodes.csv.gz) and no subjects.csv" in refused(tmp_path / "other")
    assert "which holds notes.txt" in refused(tmp_path / "other")
    assert "is not a folder" in refused(tmp_path / "nowhere")


def test_a_folder_that_holds_something_else_is_not_overwritten(study: Path) -> None:
    (study / "thesis").mkdir()
    (study / "thesis" / "chapter.tex").write_text("years of work")

    assert "holds chapter.tex, which this has not made" in refused(study, "--out", str(study / "thesis"))


def test_a_page_is_made_anew_in_its_place(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main([str(study)])
    (study / "page" / "data" / "metric_9.js").touch()
    main([str(study)])

    page = study / "page"
    assert not (page / "data" / "metric_9.js").exists()
    assert sorted(path.name for path in page.glob("data/*")) == [
        "bundles.js",
        "metric_0.js",
        "metric_1.js",
        "study.js",
    ]
    assert "MIT" in (page / "lib" / "LICENSE-plotly.txt").read_text(encoding="utf-8")
    assert f"open {page / 'index.html'}" in capsys.readouterr().out
    assert not list(study.glob(".*")), "no folder for the time between is left"


def test_columns_about_people_can_be_left_out(study: Path) -> None:
    main([str(study), "--without", "age"])

    assert '"age"' not in (study / "page" / "data" / "study.js").read_text(encoding="utf-8")
    assert "has no column Age to leave out: choose from class, age" in refused(study, "--without", "Age")


def test_a_missing_tract_and_an_outlier_are_found(profiles: Profiles) -> None:
    fa = profiles.values["fa"]
    score = robust_z(fa)

    missing = [(PEOPLE[person], TRACTS[tract]) for person, tract in np.argwhere(find_missing(fa))]
    assert missing == [(LACKING, TRACTS[1])]
    outliers = [(PEOPLE[person], TRACTS[tract]) for person, tract in np.argwhere(np.abs(score) > LIMIT)]
    assert outliers == [(OUTLIER, TRACTS[0])]


def test_the_score_is_that_of_iglewicz_and_hoaglin() -> None:
    values = np.array([1, 2, 3, 4, 100], dtype=np.float32).reshape(5, 1, 1)

    # The median is 3; the distances from it are 2, 1, 0, 1, 97, whose median is 1.
    assert robust_z(values)[:, 0] == pytest.approx([-1.349, -0.6745, 0, 0.6745, 65.4265], rel=1e-6)
    assert np.isnan(robust_z(np.ones((5, 1, 1), dtype=np.float32))).all(), "no spread, no score"


def test_shapes_are_brought_to_the_nodes_and_run_as_the_core_does(study: Path) -> None:
    shown, notes = read_bundles(study, tracts=TRACTS, n_nodes=N_NODES)

    assert list(shown) == list(SHAPED)
    assert notes == ()
    left = shown[SHAPED[0]]
    np.testing.assert_allclose(left.core, shapes()[SHAPED[0]]["coreFiber"])
    assert left.lines.shape == (MAX_LINES, LINE_POINTS, 3)
    assert left.n_lines == N_LINES
    assert (left.lines[:, 0, 1] > 0).all(), "all begin in front, as the core does"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "is not JSON"),
        ("[]", "must be an object of tracts, not a list"),
        (json.dumps({TRACTS[0]: {"1": [[0, 0, 0], [1, 1, 1]]}}), "there is no coreFiber, but 1"),
        (json.dumps({TRACTS[0]: {"coreFiber": [[0, 0], [1, 1]]}}), "its shape is (2, 2)"),
        (json.dumps({TRACTS[0]: {"coreFiber": [[0, 0, 0], [1, 1, 9000]]}}), "a coordinate is 9000"),
        (json.dumps({TRACTS[0]: {"coreFiber": "x"}}), "must be a list of points"),
    ],
    ids=["no JSON", "a list", "no core", "flat", "far", "a word"],
)
def test_shapes_that_cannot_be_used_are_named(study: Path, content: str, said: str) -> None:
    (study / "streamlines.json").write_text(content)

    assert said in refused(study)


def test_shapes_of_other_tracts_are_left_out_and_said(study: Path) -> None:
    (study / "streamlines.json").write_text(json.dumps({"ARC_L": shapes()[TRACTS[0]]}))

    shown, notes = read_bundles(study, tracts=TRACTS, n_nodes=N_NODES)

    assert shown == {}
    assert "ARC_L" in notes[0]


@pytest.mark.parametrize(
    ("name", "scale", "label", "unit"),
    [
        ("fa", 1, "FA", "unitless"),
        ("md", 1, "MD", "10⁻³ mm²/s"),
        ("md", 0.001, "MD", "mm²/s"),
        ("dti_md", 0.001, "dti_md", "mm²/s"),
        ("myelin", 1, "myelin", ""),
    ],
)
def test_metrics_have_names_and_units(name: str, scale: float, label: str, unit: str) -> None:
    shown = describe_metric(name, np.full(3, 0.7 * scale, dtype=np.float32))

    assert (shown["label"], shown["unit"]) == (label, unit)


def test_numbers_and_words_about_people_are_told_apart() -> None:
    ages = describe_column(pd.Series([20, None, 22.5, 3, 4, 5, 6, 7], name="age"))
    codes = describe_column(pd.Series([1, 2, 1, None], name="code"))
    words = describe_column(pd.Series(["x", None, "y"], name="site"))
    answers = describe_column(pd.Series([True, False], name="agreed"))

    assert (ages["kind"], ages["cut"], ages["values"][:3]) == ("number", True, [20, None, 22.5])
    assert (codes["kind"], codes["cut"]) == ("number", False)
    assert (words["kind"], words["values"]) == ("text", ["x", None, "y"])
    assert (answers["kind"], answers["values"]) == ("text", ["True", "False"])


@pytest.mark.parametrize("module", [bundles, metrics, packing, tables], ids=lambda module: module.__name__)
def test_the_examples_in_docstrings_are_true(module: ModuleType) -> None:
    found = doctest.testmod(module)

    assert found.attempted > 0
    assert found.failed == 0


def test_numbers_are_packed_whole(study: Path, profiles: Profiles) -> None:
    main([str(study)])

    script = (study / "page" / "data" / "metric_0.js").read_text(encoding="utf-8")
    packed = json.loads(script.removeprefix('tractPage.receive("metric_0", ').removesuffix(");\n"))
    unpacked = np.frombuffer(base64.b64decode(packed["values"]), dtype="<f4")
    np.testing.assert_array_equal(unpacked.reshape(profiles.values["fa"].shape), profiles.values["fa"])
