"""One function, here and in containers: the same versions, edits without a build, an image to share.

It needs a docker engine. The first time, the image is built; from then on all of it takes seconds.
"""

from __future__ import annotations

import platform
import subprocess
import time

import cloudknot as ck


def fit_line(n):
    """Fit a line to n noisy points; return its slope, and what it was computed with."""
    import numpy as np  # noqa: PLC0415  # the function brings what it needs along

    x = np.arange(n)
    slope, _ = np.polyfit(x, 2 * x + np.random.default_rng(n).normal(size=n), deg=1)
    return {
        "slope": float(slope),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "computer": platform.node(),
    }


def fit_line_edited(n):
    """Fit as before, and round: what the function needs is the same."""
    fit = fit_line(n)
    return {**fit, "slope": round(fit["slope"], 2)}


def show(label, func, place):
    """Run a function once in a place; print its value and how long it took until it was there."""
    began = time.perf_counter()
    value = ck.Knot(func, backend=place).map([100]).result()[0]
    print(f"{label:10}{time.perf_counter() - began:6.1f} s  {value}")


if __name__ == "__main__":
    show("local", fit_line, "local")
    show("docker", fit_line, "docker")
    show("edited", fit_line_edited, "docker")

    image = ck.DockerImage(fit_line)
    print(f"\nThe image holds {', '.join(image.requirements)}, at the versions of this machine.")
    began = time.perf_counter()
    name = image.build(bake=True)
    print(f"With the function in it, for others: {name}, made in {time.perf_counter() - began:.1f} s.")
    command = ["docker", "run", "--rm", "--network", "none", name, "100"]
    print("$", *command, flush=True)
    subprocess.run(command, check=True)
    print(f"To be rid of it: docker image rm {name}")
