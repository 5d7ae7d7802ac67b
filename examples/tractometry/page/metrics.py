"""What the columns of profiles are called, and their units."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_MICRO = "10⁻³ mm²/s"
# Label, full name and unit of the metrics that the field uses; others are shown by their names alone.
_KNOWN = {
    "fa": ("FA", "fractional anisotropy", "unitless"),
    "md": ("MD", "mean diffusivity", _MICRO),
    "rd": ("RD", "radial diffusivity", _MICRO),
    "ad": ("AD", "axial diffusivity", _MICRO),
    "cl": ("CL", "linearity", "unitless"),
    "cp": ("CP", "planarity", "unitless"),
    "cs": ("CS", "sphericity", "unitless"),
    "mk": ("MK", "mean kurtosis", "unitless"),
    "curvature": ("Curvature", "curvature of the core", "1/mm"),
    "torsion": ("Torsion", "torsion of the core", "1/mm"),
    "volume": ("Volume", "volume of the bundle at the node", "as in the table"),
}
# A diffusivity of white matter is about 0.7 in 10^-3 mm^2/s, and 0.0007 in mm^2/s.
_SMALL = 0.02


def describe_metric(name: str, values: NDArray[np.float32]) -> dict[str, Any]:
    """Return how a metric is shown.

    Parameters
    ----------
    name : str
        Its column, such as ``fa`` or ``dti_fa``.
    values : array
        All of its values: their size tells whether a diffusivity is in 10^-3 mm^2/s or in mm^2/s.

    Returns
    -------
    dict
        ``name``, ``label``, ``full`` and ``unit``.

    >>> describe_metric("md", np.array([0.7], dtype=np.float32))["unit"]
    '10⁻³ mm²/s'
    """
    key = name.lower().rpartition("_")[2]
    label, full, unit = _KNOWN.get(key, (name, name, ""))
    if unit == _MICRO and np.nanmedian(np.abs(values)) < _SMALL:
        unit = "mm²/s"
    shown = name if key != name.lower() and key in _KNOWN else label
    return {"name": name, "label": shown, "full": full, "unit": unit}
