"""A small study with shapes: 12 people, three tracts of 30 nodes, one tract without a shape."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd

TRACTS = ("Left Arcuate", "Right Arcuate", "Forceps, <i>Major")
SHAPED = TRACTS[:2]
N_PEOPLE, N_NODES, N_LINES = 12, 30, 80
PEOPLE = tuple(f"0{number:02d}" for number in range(N_PEOPLE))  # text: zeros in front stay
LACKING, OUTLIER = "003", "005"
DESCRIPTION = {
    "Name": "Small study",
    "BIDSVersion": "1.10.0",
    "License": "CC-BY-4.0",
    "Authors": ["A. Author", "B. Author"],
    "HowToAcknowledge": "Please cite A. Author and B. Author (2026).",
}


def profile_table(seed: int = 0) -> pd.DataFrame:
    """Return the nodes of all: group b is lower at nodes 10 to 14 of the left arcuate."""
    rng = np.random.default_rng(seed)
    rows = []
    for number, person in enumerate(PEOPLE):
        for tract in TRACTS:
            fa = 0.5 + 0.01 * np.sin(np.arange(N_NODES) / 5) + rng.normal(0, 0.01, N_NODES)
            if tract == TRACTS[0]:
                fa[10:15] -= 0.1 * (number % 2)
                fa += 0.2 * (person == OUTLIER)
            if tract == TRACTS[1] and person == LACKING:
                fa[:] = np.nan
            table = {
                "subjectID": person,
                "tractID": tract,
                "nodeID": range(N_NODES),
                "fa": fa,
                "md": 1.2 - fa,
            }
            rows.append(pd.DataFrame(table))
    return pd.concat(rows, ignore_index=True)


def people_table() -> pd.DataFrame:
    """Return the people, with an index column without a name, as published tables have."""
    return pd.DataFrame(
        {
            "subjectID": PEOPLE,
            "class": ["a", "b"] * (N_PEOPLE // 2),
            "age": [20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, None],
        }
    )


def shapes() -> dict[str, dict[str, list[list[float]]]]:
    """Return two arcs, left and right, of 80 streamlines each; every other one runs the other way."""
    rng = np.random.default_rng(1)
    made = {}
    for tract, side in zip(SHAPED, (-1, 1), strict=True):
        angle = np.linspace(0, np.pi, N_NODES)
        core = np.column_stack([np.full(N_NODES, 35.0 * side), 40 * np.cos(angle), 30 * np.sin(angle)])
        lines = {"coreFiber": core.round(2).tolist()}
        for number in range(N_LINES):
            line = (core + rng.normal(0, 3, 3)).round(2).tolist()
            lines[str(number + 1)] = line[:: 1 if number % 2 else -1]
        made[tract] = lines
    return made


def write_study(folder: Path) -> Path:
    """Write the small study's folder, as the pipeline would."""
    folder.mkdir(parents=True)
    profile_table().to_csv(folder / "nodes.csv.gz", index=False)
    people_table().to_csv(folder / "subjects.csv")
    (folder / "streamlines.json").write_text(json.dumps(shapes()))
    (folder / "dataset_description.json").write_text(json.dumps(DESCRIPTION))
    return folder
