"""One real job, as proof that all works."""

from __future__ import annotations

import platform
from dataclasses import dataclass

from cloudknot.client import Client
from cloudknot.config import Settings
from cloudknot.errors import EngineError, KnotError
from cloudknot.knot import Knot

NAME = "cloudknot-proof"
# A machine starts within minutes; where none can be had, Batch waits for ever.
_PATIENCE_S = 1200


@dataclass(frozen=True, kw_only=True)
class Proof:
    """How the job went.

    Parameters
    ----------
    words : str
        For the person.
    is_proved, is_skipped : bool
        Whether it has run, and whether it could not be tried.
    """

    words: str
    is_proved: bool = False
    is_skipped: bool = False


def prove(settings: Settings, *, patience_s: float = _PATIENCE_S) -> Proof:
    """Run a tiny function on AWS, and return how it went.

    Parameters
    ----------
    settings : Settings
        Profile, region and stack.
    patience_s : float
        How long to wait for it.
    """
    try:
        knot = Knot(platform.platform, name=NAME, backend="aws", client=Client(settings))
    except EngineError as error:
        return Proof(
            words=f"no job was run: {error}. With docker, 'cloudknot configure --yes' runs one",
            is_skipped=True,
        )
    future = knot.submit()
    try:
        machine = future.result(timeout=patience_s)
    except TimeoutError:
        return Proof(
            words=f"the job has not run within {patience_s:.0f} s: 'cloudknot why {future.run_id}' says why"
        )
    except KnotError as error:
        return Proof(words=f"the job failed: {error}; 'cloudknot why {future.run_id}' says more")
    return Proof(words=f"a job has run on {machine}", is_proved=True)
