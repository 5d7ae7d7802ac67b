"""Make the page of a folder's tract profiles, and publish it: ``python -m examples.tractometry.page OUT``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from examples.tract_data import STUDIES, ChecksumError, NotFetchedError, fetch
from examples.tractometry.page.about import About, read_about
from examples.tractometry.page.bundles import read_bundles
from examples.tractometry.page.errors import PageError
from examples.tractometry.page.folder import check_target, list_files, write_page
from examples.tractometry.page.publication import (
    Source,
    add_data,
    check_rights,
    parse_target,
    warn_of_publishing,
)
from examples.tractometry.page.tables import TablePaths, find_tables, read_profiles

OUTPUT = Path(__file__).parents[2] / "output"
_ABOUT_STUDIES = {
    "sarica": About(
        name="Sarica et al. 2017: white matter in amyotrophic lateral sclerosis",
        references=(
            "Sarica et al. 2017, Human Brain Mapping 38:727.",
            "Yeatman et al. 2018, Nature Communications 9:940 (AFQ-Browser).",
        ),
    ),
    "wh": About(
        name="Yeatman et al. 2014: white matter from 6 to 50 years",
        references=(
            "Yeatman, Wandell & Mezer 2014, Nature Communications 5:4932.",
            "Yeatman et al. 2018, Nature Communications 9:940 (AFQ-Browser).",
        ),
    ),
}


def main(arguments: Sequence[str] | None = None, *, ask: Callable[[str], str] = input) -> None:
    """Read what was asked, make the page, and publish it where that was asked."""
    parser = make_parser()
    options = parser.parse_args(arguments)
    if (options.folder is None) == (options.study is None):
        parser.error("name a folder, or a study with --study, and not both")
    if options.study and options.publish:
        parser.error("a published study is public already; --publish is for a folder of yours")
    try:
        run(options, ask=ask)
    except (PageError, NotFetchedError, ChecksumError) as error:
        sys.exit(f"error: {error}")


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(prog="python -m examples.tractometry.page", description=__doc__)
    parser.add_argument(
        "folder",
        nargs="?",
        type=Path,
        metavar="OUT",
        help="holds nodes.csv or nodes.csv.gz, subjects.csv, and perhaps streamlines.json and "
        "dataset_description.json",
    )
    parser.add_argument("--study", choices=sorted(STUDIES), help="a published study in place of a folder")
    parser.add_argument(
        "--out", type=Path, metavar="FOLDER", help="where the page goes; OUT/page if not given"
    )
    parser.add_argument(
        "--without", action="append", default=[], metavar="COLUMN", help="leave a column of subjects.csv out"
    )
    parser.add_argument(
        "--publish", metavar="TARGET", help="a git address or path, remote:NAME, or s3://bucket/prefix"
    )
    parser.add_argument("--yes", action="store_true", help="publish without asking")
    return parser


def run(options: argparse.Namespace, *, ask: Callable[[str], str]) -> None:
    """Make the page; all is read, checked and asked before anything is written."""
    tables, about = _open_study(options.study) if options.study else _open_folder(options.folder)
    folder = tables.nodes.parent
    out = options.out or (OUTPUT / f"page_{options.study}" if options.study else folder / "page")
    profiles = read_profiles(tables, without=options.without)
    bundles, notes = read_bundles(folder, tracts=profiles.tracts, n_nodes=profiles.n_nodes)
    check_target(out)
    target = parse_target(options.publish) if options.publish else None
    source = Source(folder=folder, tables=tables, subjects=profiles.subjects, about=about)
    if target:
        check_rights(source)
        target.check()
        warn_of_publishing(source, where=options.publish, ask=None if options.yes else ask)
    write_page(out, profiles=profiles, bundles=bundles, about=about)
    for note in (*profiles.notes, *notes):
        print(f"note: {note}")
    counts = f"{len(profiles.people)} people, {len(profiles.tracts)} tracts"
    print(f"{counts} ({len(bundles)} with a shape), {', '.join(profiles.values)}.")
    size = sum((out / name).stat().st_size for name in list_files(out)) / 1e6
    print(f"Page ({size:.1f} MB): open {out / 'index.html'}")
    if target:
        add_data(out, source)
        print(target.push(out, message=f"Tract profiles: {about.name} ({counts})"))


def _open_study(name: str) -> tuple[TablePaths, About]:
    found = fetch(name)
    return TablePaths(nodes=found.nodes, subjects=found.subjects), _ABOUT_STUDIES[name]


def _open_folder(folder: Path) -> tuple[TablePaths, About]:
    return find_tables(folder), read_about(folder)


if __name__ == "__main__":
    main()
