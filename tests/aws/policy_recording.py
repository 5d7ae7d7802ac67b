"""What cloudknot asks AWS for: its verbs are run in a box, whose journal tells what they needed."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from cloudknot import Knot, attach
from cloudknot.aws import policies
from cloudknot.aws.examining import Examination
from cloudknot.aws.policies import FILE, Audience, Scope
from cloudknot.aws.session import Aws
from cloudknot.aws.substrate import read_substrate
from cloudknot.cli import main
from cloudknot.cli.why import read_jobs
from cloudknot.errors import AwsError
from cloudknot.runner.stores import S3Store
from cloudknot.testing import Box
from cloudknot.testing.faults import LaunchFailure
from tests.aws import stand

ROOT = Path(policies.__file__).parent
RENEW = "CLOUDKNOT_RENEW_POLICY"
COMMAND = f"{RENEW}=1 pytest tests/aws/test_policy.py -k recorded"
# What no person needs to be allowed.
_FREE = frozenset({"sts:GetCallerIdentity"})

Needed = dict[str, set[str]]


def work(item: float) -> float:
    """Sleep, fail or print, as the item wants."""
    print("item", item, flush=True)
    if item < 0:
        raise ValueError("below zero")
    if item > 100:
        import time

        time.sleep(item)
    return item


class Recording:
    """The calls of one person from now on.

    Parameters
    ----------
    box : Box
        Where.
    arn : str
        Whose calls.
    """

    def __init__(self, box: Box, arn: str) -> None:
        self._box = box
        self._arn = arn
        calls = box.calls()
        self._first = calls[-1].number if calls else 0

    def needed(self, scope: Scope) -> Needed:
        """Return the actions that were needed, each with the kinds of resources that it was asked on."""
        found: Needed = {}
        for call in self._box.calls(after=self._first):
            for action, resource in call.actions if call.principal == self._arn else ():
                if action not in _FREE:
                    found.setdefault(action, set()).add(scope.kind_of(resource))
        return found


def run_verbs(box: Box) -> None:
    """Do all that a person does who runs Knots; the environment variables say where."""
    knot = Knot(work, name="policy", backend="aws", memory_mib=256)
    knot.estimate(100, 1.0)
    on_spot = Knot(work, name="policy", backend="aws", memory_mib=256, spot=True)
    on_spot.estimate(100, 1.0)
    with suppress(AwsError):  # neither the price table nor the box knows what it costs
        Knot(work, name="policy", instance_types=["t3.medium"]).estimate(100, 1.0)
    future = knot.map([1, 2, 3], budget_usd=5.0)
    assert future.result(timeout=120) == [1, 2, 3]
    failing = knot.map([1, -1], on_error="continue")
    assert failing.exception(timeout=120) is not None
    assert failing.retry_failed(work).exception(timeout=120) is not None
    waiting = knot.map([600.0, 600.0], chunk_size=1)
    see_output(waiting)
    for verb in ("show", "why", "cost"):
        assert main([verb, waiting.run_id]) == 0
    assert main(["why", failing.run_id]) == 0
    waiting.cancel()
    main(["cost", future.run_id])
    assert attach(future.run_id).result() == [1, 2, 3]
    main(["runs"])
    look_at_stuck(on_spot, box)  # there are no such machines yet
    knot.clobber(results=True)


def look_at_stuck(knot: Knot[float], box: Box) -> None:
    """Have it explained why jobs wait for machines that there are none of."""
    fault = box.add_fault(LaunchFailure())
    stuck = knot.map([1, 2], chunk_size=1)
    jobs = read_jobs(S3Store(read_substrate(Aws(), "cloudknot").bucket), stuck.run_id)
    end = time.monotonic() + 60
    while not Examination(Aws()).look(jobs.ids).counts.get("RUNNABLE"):
        assert time.monotonic() < end, "no job waits"
        time.sleep(0.2)
    assert main(["why", stuck.run_id]) == 0
    stuck.cancel()
    box.remove_fault(fault)


def see_output(future: Any) -> None:
    """Wait until a running item's output is there."""
    end = time.monotonic() + 60
    while "item" not in future[0].logs():
        assert time.monotonic() < end, "a running item's output is not there"
        time.sleep(0.2)


def run_admins_verbs(box: Box, *, then: Callable[[], object] = lambda: None) -> None:
    """Make a stack, change it, look at it, and remove it with what others have put there.

    Parameters
    ----------
    box : Box
        Where.
    then : callable
        Called while the stack is there.
    """
    configure = ["configure", "--yes", "--no-proof"]
    assert main([*configure, "--new-vpc"]) == 0
    assert main(["plan"]) == 0
    assert main([*configure, "--pool", "instance_types=c5.large,volume_gib=200"]) == 0
    assert main([*configure, "--max-vcpus", "64", "--log-days", "30", "--volume-gib", "120"]) == 0
    policies = "arn:aws:iam::aws:policy"
    assert main([*configure, "--job-policy", f"{policies}/AmazonS3ReadOnlyAccess"]) == 0
    assert main([*configure, "--permissions-boundary", f"{policies}/PowerUserAccess"]) == 0
    assert main(["doctor"]) == 0
    then()
    leave_something(box)
    assert main(["down", "--yes"]) == 0


def leave_something(box: Box) -> None:
    """Leave a run's objects, a definition and a job in the stack, as a colleague has."""
    substrate = read_substrate(Aws(), "cloudknot")
    for key in ("runs/x/run.json", "bundles/x"):
        box.client("s3").put_object(Bucket=substrate.bucket, Key=key)
    box.client("s3").create_multipart_upload(Bucket=substrate.bucket, Key="runs/x/values/0")
    stand.submit(box, substrate.queues["x86"], stand.register(box, substrate, "sleep", "600"))


def write(audience: Audience, needed: Needed) -> None:
    """Write what was needed into the package."""
    path = ROOT / FILE
    content = json.loads(path.read_text())
    content[audience] = {action: sorted(kinds) for action, kinds in sorted(needed.items())}
    path.write_text(json.dumps(content, indent=2) + "\n")


def is_renewing() -> bool:
    """Return whether the package's record is to be written anew."""
    return os.environ.get(RENEW) == "1"
