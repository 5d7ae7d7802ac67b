"""The examples on AWS in a box: the same scripts, real images and containers, results as on this machine."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from docker import DockerClient

from cloudknot.client import Client
from cloudknot.config import Settings
from cloudknot.testing import Box
from tests.aws.stand import make_stack
from tests.conftest import Script
from tests.test_examples import run_example

# An image with pandas is built in it, on a machine that is busy.
pytestmark = [pytest.mark.aws_box, pytest.mark.timeout(900)]
PATIENCE_S = 600


@pytest.fixture
def aws_script(aws_box: Box, engine: DockerClient, tmp_path: Path) -> Iterator[Script]:
    """A script of a person who has said nothing but CLOUDKNOT_BACKEND=aws."""
    make_stack()
    script = Script(tmp_path, tmp_path / "home", place="aws")
    yield script
    script.end()


def values_of(script: Script, name: str) -> list[pd.Series]:
    """Return what the only map of that name returned, as another process reads it."""
    home, place = (script.environment[f"CLOUDKNOT_{word}"] for word in ("HOME", "BACKEND"))
    client = Client(Settings(home=Path(home), backend=place, progress=False))
    [run_id] = client.jobs(name)
    values: list[pd.Series] = client.attach(run_id).result()
    return values


def test_monte_carlo_on_aws_prints_pi(aws_box: Box, aws_script: Script) -> None:
    printed = run_example("monte_carlo_pi", aws_script, as_module=False, timeout_s=PATIENCE_S)

    assert re.search(r"pi-calc-\S+ +pi-calc +(running|done) +\d+ +0 +1000", printed), printed
    pi = re.search(r"pi is about (\d\.\d+)", printed)
    assert pi is not None, printed
    assert float(pi[1]) == pytest.approx(np.pi, abs=0.01)
    submitted = [call for call in aws_box.calls() if call.operation == "SubmitJob"]
    assert 1 <= len(submitted) <= 25, "1,000 items are a few arrays"


def test_the_summary_of_48_people_on_aws_is_that_of_this_machine_to_the_last_bit(
    aws_script: Script, tmp_path: Path
) -> None:
    here = Script(tmp_path, tmp_path / "here", place="local")
    printed = run_example("tract_summary", here, as_module=True)

    assert run_example("tract_summary", aws_script, as_module=True, timeout_s=PATIENCE_S) == printed

    expected = values_of(here, "tract-summary")
    means = values_of(aws_script, "tract-summary")
    assert (len(means), len(expected)) == (48, 48)
    for mine, other in zip(means, expected, strict=True):
        pd.testing.assert_series_equal(mine, other, check_exact=True)
