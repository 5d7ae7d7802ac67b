"""Estimate pi by Monte Carlo: 1,000 jobs, each of which throws 100,000 darts at a square."""

from __future__ import annotations

import numpy as np

import cloudknot as ck


def monte_pi_count(n):
    """Return how many of n random points of the unit square lie within the quarter circle."""
    import numpy as np  # noqa: PLC0415  # the function brings what it needs along

    x, y = np.random.rand(n), np.random.rand(n)
    return np.count_nonzero(x * x + y * y <= 1.0)


def pi_from_future(future):
    """Print pi when the map is done: the quarter circle covers pi / 4 of the square."""
    print(f"pi is about {4.0 * np.sum(future.result()) / (n_jobs * n_samples):.6f}")


if __name__ == "__main__":
    knot = ck.Knot(name="pi-calc", func=monte_pi_count)

    n_jobs, n_samples = 1000, 100_000
    future = knot.map(np.ones(n_jobs, dtype=np.int32) * n_samples)
    knot.view_jobs()

    future.add_done_callback(pi_from_future)
    future.result()  # a script must wait, because its jobs end with it; a notebook goes on
