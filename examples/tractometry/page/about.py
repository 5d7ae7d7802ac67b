"""What a data set says of itself: its name, licence and citation, as BIDS has them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from examples.tractometry.page.errors import PageError

DESCRIPTION = "dataset_description.json"
CITATION = "CITATION.cff"
# SPDX's identifiers of licences for data, also by the short names that BIDS recommends.
_SPDX = {
    name: name
    for name in ("CC0-1.0", "CC-BY-4.0", "CC-BY-SA-4.0", "CC-BY-NC-4.0", "PDDL-1.0", "ODC-By-1.0", "ODbL-1.0")
} | {"CC0": "CC0-1.0", "PDDL": "PDDL-1.0"}


@dataclass(frozen=True, kw_only=True)
class About:
    """What ``dataset_description.json`` says.

    Parameters
    ----------
    name : str
        The title of the page.
    licence : str, optional
        Under which the data may be used, such as ``CC-BY-4.0``.
    authors : tuple of str, optional
        Who made the data.
    acknowledge : str, optional
        How to cite it, in the authors' words (``HowToAcknowledge``).
    references : tuple of str, optional
        What to read and cite (``ReferencesAndLinks``).
    """

    name: str
    licence: str = ""
    authors: tuple[str, ...] = ()
    acknowledge: str = ""
    references: tuple[str, ...] = ()

    @property
    def citation(self) -> str:
        """How to cite the data, or nothing where that is not said."""
        return " ".join(part for part in (self.acknowledge, *self.references) if part)


def read_about(folder: Path) -> About:
    """Return what a folder says of its data; its own name where it says nothing.

    Raises
    ------
    PageError
        ``dataset_description.json`` is there but not in BIDS's format.
    """
    path = folder / DESCRIPTION
    fallback = folder.resolve().name or "Tract profiles"
    if not path.is_file():
        return About(name=fallback)
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise PageError(f"{path} is not JSON: {error}. Correct it, or remove it.") from error
    if not isinstance(found, dict):
        raise PageError(
            f"{path} must be an object with Name, License and so on, not a {type(found).__name__}."
        )
    return About(
        name=_text(found, "Name", path) or fallback,
        licence=_text(found, "License", path),
        authors=_texts(found, "Authors", path),
        acknowledge=_text(found, "HowToAcknowledge", path),
        references=_texts(found, "ReferencesAndLinks", path),
    )


def citation_file(about: About) -> str:
    """Return a citation in the Citation File Format 1.2.0; its strings are JSON's, which YAML reads."""
    wish = about.acknowledge or "If you use these data, please cite what is named below."
    authors = about.authors or ("Anonymous",)
    lines = [
        "cff-version: 1.2.0",
        f"message: {json.dumps(wish)}",
        "type: dataset",
        f"title: {json.dumps(about.name)}",
        "authors:",
        *(f"  - name: {json.dumps(author)}" for author in authors),
    ]
    if about.licence in _SPDX:  # the format takes no other words; those are in the licence file alone
        lines.append(f"license: {_SPDX[about.licence]}")
    if about.references:
        lines.append("references:")
        for reference in about.references:
            lines += ["  - type: generic", f"    title: {json.dumps(reference)}", "    authors:"]
            lines += [f"      - name: {json.dumps(author)}" for author in authors]
    return "\n".join(lines) + "\n"


def licence_file(about: About) -> str:
    """Return the words that go with the published data."""
    return (
        f"{about.name}\n\nThe data in this folder (data/, in whatever form) are published under: "
        f"{about.licence}\n\nTo cite them: see {CITATION}.\n\n"
        "scripts/, styles/ and index.html come from cloudknot's example of tractometry, under the MIT "
        "licence; lib/ holds plotly.js, whose licence is beside it.\n"
    )


def _text(found: dict[str, Any], key: str, path: Path) -> str:
    value = found.get(key, "")
    if not isinstance(value, str):
        raise PageError(f"{path}: {key} must be a text, not {value!r}.")
    return value.strip()


def _texts(found: dict[str, Any], key: str, path: Path) -> tuple[str, ...]:
    value = found.get(key, [])
    if not isinstance(value, list) or not all(isinstance(part, str) for part in value):
        raise PageError(f"{path}: {key} must be a list of texts, not {value!r}.")
    return tuple(part.strip() for part in value if part.strip())
