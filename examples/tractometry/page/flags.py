"""Which tracts a person lacks, and in which a person lies far from the others."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray

LIMIT = 3.5
# The median absolute deviation of a normal distribution, in standard deviations: the 0.75 quantile.
_MAD_OF_NORMAL = 0.6745
SOURCE = "Iglewicz and Hoaglin 1993, How to Detect and Handle Outliers, ASQC Quality Press"


def find_missing(values: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return who lacks which tract: not one of its nodes was measured.

    Parameters
    ----------
    values : array of shape (people, tracts, nodes)
        One metric; NaN where a node was not measured.

    Returns
    -------
    array of shape (people, tracts)
    """
    return np.asarray(np.isnan(values).all(axis=2))


def robust_z(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return how far each person's tract lies from that of the others: the modified z score.

    Parameters
    ----------
    values : array of shape (people, tracts, nodes)
        One metric; NaN where a node was not measured.

    Returns
    -------
    array of shape (people, tracts)
        0.6745 (x - median) / MAD, where x is the mean over the measured nodes, and median and median
        absolute deviation are taken over all people; above 3.5 in size, x counts as an outlier [1]_. NaN
        where the tract is missing, or where half of the people have the very same mean.

    References
    ----------
    .. [1] Iglewicz and Hoaglin 1993, How to Detect and Handle Outliers, ASQC Quality Press.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of means of nothing, which are NaN
        means = np.nanmean(values.astype(float), axis=2)
        away = means - np.nanmedian(means, axis=0)
        spread = np.nanmedian(np.abs(away), axis=0)
    score = _MAD_OF_NORMAL * away / np.where(spread > 0, spread, np.nan)
    return np.asarray(score, dtype=np.float32)
