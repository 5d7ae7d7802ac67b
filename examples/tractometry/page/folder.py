"""The folder of a page: its scripts and styles, the library, and the data, put in place at once."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

from plotly.offline import get_plotlyjs

from examples.tractometry.page.about import About
from examples.tractometry.page.bundles import Bundle
from examples.tractometry.page.errors import PageError
from examples.tractometry.page.packing import pack_page
from examples.tractometry.page.tables import Profiles, name_some

STATIC = Path(__file__).parent / "static"
# A folder with this file was made by this, and may be made anew.
MARKER = ".tractometry-page.json"
_MADE_BY = {"made_by": "examples.tractometry.page", "format": 1}


def check_target(folder: Path) -> None:
    """Check that a page may be written here: nothing is there, or a page.

    Raises
    ------
    PageError
        Something else is there.
    """
    if folder.exists() and not folder.is_dir():
        raise PageError(f"{folder} is a file. Name another place with --out.")
    if folder.is_dir() and not is_page(folder):
        there = sorted(path.name for path in folder.iterdir())
        if there:
            raise PageError(
                f"{folder} holds {name_some(there)}, which this has not made. Name an empty folder "
                "with --out."
            )


def is_page(folder: Path) -> bool:
    """Return whether a folder was made by this."""
    return (folder / MARKER).is_file()


def write_page(folder: Path, *, profiles: Profiles, bundles: Mapping[str, Bundle], about: About) -> None:
    """Write a page's folder; one that was there before is replaced when the new one is whole.

    Parameters
    ----------
    folder : Path
        Where; see `check_target`.
    profiles : Profiles
        What `read_profiles` returned.
    bundles : mapping of str to Bundle
        Shapes by tract, of some tracts or of none.
    about : About
        Title, licence and citation.
    """
    check_target(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as temporary:
        new, old = Path(temporary, "new"), Path(temporary, "old")
        shutil.copytree(STATIC, new)
        _add_library(new / "lib")
        (new / "data").mkdir()
        for name, script in pack_page(profiles, bundles, about):
            (new / "data" / name).write_text(script, encoding="utf-8")
        mark(new)
        if folder.exists():
            folder.rename(old)
        new.rename(folder)


def mark(folder: Path) -> None:
    """Leave the file that says that this made the folder, and of what it consists."""
    files = list_files(folder)
    text = json.dumps(_MADE_BY | {"files": sorted({*files, MARKER})}, indent=1)
    (folder / MARKER).write_text(text + "\n", encoding="utf-8")


def list_files(folder: Path) -> list[str]:
    """Return the names of a folder's files, with those of the folders in it."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def _add_library(folder: Path) -> None:
    """Write plotly.js, as the installed package ships it, and its licence."""
    folder.mkdir()
    (folder / "plotly.min.js").write_text(get_plotlyjs(), encoding="utf-8")
    distribution = metadata.distribution("plotly")
    licences = [path for path in distribution.files or [] if path.name.upper().startswith("LICENSE")]
    if not licences:
        raise PageError("the installed plotly has no licence file. Install it again: pip install plotly.")
    text = Path(str(distribution.locate_file(licences[0]))).read_text(encoding="utf-8")
    (folder / "LICENSE-plotly.txt").write_text(text, encoding="utf-8")
