"""The examples do what they say, run as a person runs them, and the tables are the published ones."""

from __future__ import annotations

import gzip
import hashlib
import logging
import re
import subprocess
import sys
import time
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import requests
from matplotlib.image import imread
from scipy import stats

from cloudknot.client import Client
from cloudknot.knot import Knot
from examples import tract_data, tract_summary
from examples.tract_data import (
    STUDIES,
    ChecksumError,
    Folder,
    NotFetchedError,
    PublicPage,
    Study,
    TractTables,
    Wheel,
    default_sources,
    fetch,
    load_nodes,
    load_subjects,
)
from tests.conftest import Script

ROOT = Path(__file__).parents[1]

# A study of our own, small enough to be written out.
TABLES = {
    "nodes.csv": b"subjectID,tractID,nodeID,fa\na,Left Arcuate,0,\n",
    "subjects.csv": b",subjectID\n0,a\n",
}
SMALL = Study(
    name="small",
    address="https://example.org/",
    member="afqinsight/data/small/",
    sha256={file: hashlib.sha256(content).hexdigest() for file, content in TABLES.items()},
)


@pytest.fixture(scope="session")
def sarica() -> TractTables:
    """The real tables: from the cache of the person who runs the tests, fetched the first time."""
    return fetch("sarica")


@pytest.fixture(scope="session")
def nodes(sarica: TractTables) -> pd.DataFrame:
    return load_nodes(sarica, columns=["fa"])


@pytest.fixture(scope="session")
def groups(sarica: TractTables) -> pd.Series:
    return load_subjects(sarica)["class"]


@pytest.fixture(scope="session")
def means(client: Client, nodes: pd.DataFrame) -> pd.DataFrame:
    knot = Knot(tract_summary.mean_fa, backend="local", client=client)
    return tract_summary.map_people(nodes, knot)


class Page:
    """A page as pooch downloads from it."""

    def __init__(self, contents: dict[str, bytes]) -> None:
        self.contents = contents

    def __call__(self, url: str, output_file: str, pooch: object) -> None:
        Path(output_file).write_bytes(self.contents[url.rpartition("/")[2]])


class NoPage:
    """A page that cannot be reached."""

    def __call__(self, url: str, output_file: str, pooch: object) -> None:
        raise requests.ConnectionError(requests.ConnectionError("Failed to resolve 'example.org'"))


class Pip:
    """A pip that puts a package into the folder that it is told."""

    def __init__(self, contents: dict[str, bytes]) -> None:
        self.contents = contents
        self.calls = 0

    def __call__(self, command: Sequence[str], **options: object) -> subprocess.CompletedProcess[str]:
        self.calls += 1
        folder = next(word.partition("=")[2] for word in command if word.startswith("--dest="))
        with zipfile.ZipFile(Path(folder, "afqinsight-0.7.1-py3-none-any.whl"), "w") as archive:
            for file, content in self.contents.items():
                archive.writestr(SMALL.member + file, content)
        return subprocess.CompletedProcess(command, 0, stdout="", stderr="")


class NoPip:
    """A pip that does not find the package."""

    def __call__(self, command: Sequence[str], **options: object) -> subprocess.CompletedProcess[str]:
        said = "WARNING: Retrying\nERROR: No matching distribution found for afqinsight==0.7.1\n"
        return subprocess.CompletedProcess(command, 1, stdout="", stderr=said)


def write_tables(folder: Path, contents: dict[str, bytes]) -> None:
    folder.mkdir(parents=True)
    for file, content in contents.items():
        (folder / file).write_bytes(content)


def run_example(name: str, script: Script, *, as_module: bool, timeout_s: float = 100) -> str:
    """Run an example in a process of its own, and return what it printed."""
    command = ["-m", f"examples.{name}"] if as_module else [str(ROOT / "examples" / f"{name}.py")]
    folder = ROOT if as_module else script.folder
    done = subprocess.run(
        [sys.executable, "-W", "error", *command],
        cwd=folder,
        env=script.environment,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )
    assert done.returncode == 0, f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.mark.parametrize("as_module", [False, True], ids=["script", "module"])
def test_monte_carlo_shows_its_jobs_and_prints_pi(script: Script, as_module: bool) -> None:
    printed = run_example("monte_carlo_pi", script, as_module=as_module)

    assert re.search(r"pi-calc-\S+ +pi-calc +(running|done) +\d+ +0 +1000", printed), printed
    pi = re.search(r"pi is about (\d\.\d+)", printed)
    assert pi is not None, printed
    assert float(pi[1]) == pytest.approx(np.pi, abs=0.01)


@pytest.mark.parametrize("as_module", [False, True], ids=["script", "module"])
def test_the_summary_prints_every_tract_and_saves_a_picture(
    script: Script, as_module: bool, nodes: pd.DataFrame, groups: pd.Series
) -> None:
    began = time.time()

    printed = run_example("tract_summary", script, as_module=as_module)

    person_means = nodes.groupby(["subjectID", "tractID"])["fa"].mean().unstack()
    by_group = person_means.groupby(groups).mean()
    for tract, missing in person_means.isna().sum().items():
        als, ctrl = by_group.loc["ALS", tract], by_group.loc["CTRL", tract]
        row = [tract, f"{als:.4f}", f"{ctrl:.4f}", f"{als - ctrl:+.4f}", str(missing)]
        assert re.search(r"\s+".join(map(re.escape, row)), printed), printed
    assert "Right Arcuate in 16" in printed
    assert tract_summary.PICTURE.stat().st_mtime >= began - 1
    picture = imread(tract_summary.PICTURE)
    assert picture.shape[0] > 1000
    assert picture.shape[1] > 1000
    assert picture.std() > 0.05, "the picture is blank"


def test_the_mapped_means_are_those_of_pandas(means: pd.DataFrame, nodes: pd.DataFrame) -> None:
    direct = nodes.groupby(["subjectID", "tractID"])["fa"].mean().unstack()

    assert means.shape == (48, 20)
    pd.testing.assert_frame_equal(
        means, direct[list(means.columns)], check_names=False, rtol=0, atol=1e-12, check_exact=False
    )


def test_the_summary_agrees_with_a_direct_computation(
    means: pd.DataFrame, nodes: pd.DataFrame, groups: pd.Series
) -> None:
    summary = tract_summary.summarise(means, groups)

    for tract, rows in nodes.groupby("tractID"):
        person = rows.groupby("subjectID")["fa"].mean()
        als, ctrl = person[groups == "ALS"].dropna(), person[groups == "CTRL"].dropna()
        assert summary.loc[tract, "ALS"] == pytest.approx(als.mean(), abs=1e-12)
        assert summary.loc[tract, "CTRL"] == pytest.approx(ctrl.mean(), abs=1e-12)
        assert summary.loc[tract, "difference"] == pytest.approx(als.mean() - ctrl.mean(), abs=1e-12)
        assert summary.loc[tract, "missing"] == person.isna().sum()
        assert (summary.loc[tract, "ALS_n"], summary.loc[tract, "CTRL_n"]) == (len(als), len(ctrl))


def test_the_intervals_are_those_of_student_and_welch(means: pd.DataFrame, groups: pd.Series) -> None:
    summary = tract_summary.summarise(means, groups)

    for tract in means.columns:
        als, ctrl = (means.loc[groups == name, tract].dropna() for name in ("ALS", "CTRL"))
        for name, values in (("ALS", als), ("CTRL", ctrl)):
            low, high = stats.ttest_1samp(values, 0).confidence_interval()
            assert summary.loc[tract, f"{name}_half"] == pytest.approx((high - low) / 2, abs=1e-12)
        low, high = stats.ttest_ind(als, ctrl, equal_var=False).confidence_interval()
        assert summary.loc[tract, "difference_half"] == pytest.approx((high - low) / 2, abs=1e-12)


def test_a_tract_that_is_wholly_missing_is_nan_and_not_zero(means: pd.DataFrame) -> None:
    assert means.isna().sum().sum() == 22
    assert means["Right Arcuate"].isna().sum() == 16
    assert means.min().min() > 0.2


@pytest.mark.parametrize(("dataset", "people"), [("sarica", 48), ("wh", 77)])
def test_the_tables_have_the_published_people_tracts_and_nodes(dataset: str, people: int) -> None:
    tables = fetch(dataset)

    nodes, subjects = load_nodes(tables), load_subjects(tables)
    assert len(nodes) == people * 20 * 100
    assert {"fa", "md"} <= set(nodes.columns)
    assert set(nodes["subjectID"]) == set(subjects.index)
    assert len(subjects) == people


@pytest.mark.parametrize("suffix", ["", ".gz"], ids=["plain", "gzipped"])
def test_the_folder_of_cloudknot_data_comes_first(
    tmp_path: Path, suffix: str, sarica: TractTables, nodes: pd.DataFrame
) -> None:
    plain = read_plain(sarica.nodes)
    content = gzip.compress(plain, compresslevel=1) if suffix else plain
    own = tmp_path / "own" / "sarica"
    write_tables(own, {f"nodes.csv{suffix}": content, "subjects.csv": sarica.subjects.read_bytes()})
    environ = {"CLOUDKNOT_DATA": str(tmp_path / "own")}

    tables = fetch("sarica", sources=default_sources(environ, cache=tmp_path / "cache"))

    assert tables == TractTables(nodes=own / f"nodes.csv{suffix}", subjects=own / "subjects.csv")
    pd.testing.assert_frame_equal(load_nodes(tables, columns=["fa"]), nodes)
    assert not (tmp_path / "cache").exists()


def read_plain(path: Path) -> bytes:
    return gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()


def test_without_cloudknot_data_no_folder_is_tried(tmp_path: Path) -> None:
    kinds = [type(source) for source in default_sources({}, cache=tmp_path)]

    assert kinds == [PublicPage, Wheel]


@pytest.mark.parametrize("suffix", ["", ".gz"], ids=["plain", "gzipped"])
def test_a_wrong_checksum_names_the_file_what_was_expected_and_what_was_found(
    tmp_path: Path, suffix: str
) -> None:
    other = b"subjectID,tractID,nodeID,fa\n"
    path = tmp_path / "sarica" / f"nodes.csv{suffix}"
    write_tables(path.parent, {path.name: gzip.compress(other) if suffix else other})

    with pytest.raises(ChecksumError) as raised:
        fetch("sarica", sources=default_sources({"CLOUDKNOT_DATA": str(tmp_path)}, cache=tmp_path))

    assert str(path) in str(raised.value)
    assert STUDIES["sarica"].sha256["nodes.csv"] in str(raised.value)
    assert hashlib.sha256(other).hexdigest() in str(raised.value)


def test_a_gzip_file_that_is_cut_off_is_named(tmp_path: Path) -> None:
    whole = gzip.compress(TABLES["nodes.csv"] * 100)
    write_tables(tmp_path / "small", {"nodes.csv.gz": whole[: len(whole) // 2]})

    with pytest.raises(ChecksumError, match=r"nodes\.csv\.gz is not a whole gzip file"):
        Folder(path=tmp_path).fetch(SMALL)


def test_the_public_page_is_asked_once(tmp_path: Path) -> None:
    tables = PublicPage(cache=tmp_path, download=Page(TABLES)).fetch(SMALL)

    assert tables.nodes.read_bytes() == TABLES["nodes.csv"]
    assert PublicPage(cache=tmp_path, download=NoPage()).fetch(SMALL) == tables


def test_a_page_with_other_bytes_is_not_believed(tmp_path: Path) -> None:
    page = PublicPage(cache=tmp_path, download=Page({**TABLES, "nodes.csv": b"<html>moved</html>"}))

    with pytest.raises(NotFetchedError, match=r"nodes\.csv.*does not match the known hash"):
        page.fetch(SMALL)


def test_the_package_fills_the_cache_of_the_page(tmp_path: Path) -> None:
    pip = Pip(TABLES)

    tables = Wheel(cache=tmp_path, run=pip, studies=[SMALL]).fetch(SMALL)

    assert tables.nodes.read_bytes() == TABLES["nodes.csv"]
    assert PublicPage(cache=tmp_path, download=NoPage()).fetch(SMALL) == tables
    assert sorted(path.name for path in (tmp_path / "small").iterdir()) == sorted(TABLES)
    assert pip.calls == 1


@pytest.mark.parametrize(
    ("contents", "message"),
    [({**TABLES, "nodes.csv": b"other"}, "not the published table"), ({}, "no item named")],
    ids=["other bytes", "no such table"],
)
def test_a_package_with_other_tables_is_not_believed(
    tmp_path: Path, contents: dict[str, bytes], message: str
) -> None:
    with pytest.raises(NotFetchedError, match=message):
        Wheel(cache=tmp_path, run=Pip(contents), studies=[SMALL]).fetch(SMALL)

    assert not any(path.is_file() for path in tmp_path.rglob("*"))


def test_where_nothing_can_be_reached_one_error_says_what_was_tried_and_what_to_do(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cache = tmp_path / "cache"
    sources = (
        Folder(path=tmp_path),
        PublicPage(cache=cache, download=NoPage()),
        Wheel(cache=cache, run=NoPip()),
    )

    with caplog.at_level(logging.WARNING), pytest.raises(NotFetchedError) as raised:
        fetch("wh", sources=sources)

    said = str(raised.value)
    assert f"1. CLOUDKNOT_DATA: there is no nodes.csv or nodes.csv.gz in {tmp_path / 'wh'}" in said
    assert f"2. the public page: {STUDIES['wh'].address}: Failed to resolve 'example.org'" in said
    assert "3. the package afqinsight==0.7.1: pip download: ERROR: No matching distribution found" in said
    assert "set the environment variable CLOUDKNOT_DATA" in said
    assert len(caplog.messages) == 2, "one line for each step on"
    assert all("\n" not in line for line in caplog.messages)


def test_an_unknown_dataset_is_refused_with_the_names_that_there_are() -> None:
    with pytest.raises(ValueError, match="no dataset 'hcp': choose from sarica, wh"):
        tract_data.fetch("hcp")
