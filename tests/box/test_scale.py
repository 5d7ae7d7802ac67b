"""An array as large as AWS takes, as processes of this machine; what it costs is printed, not judged."""

import statistics
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from cloudknot.testing import Box
from tests.box import cloud

CHILDREN = 10_000
# Ten thousand children are looked at in one call, however many of them move: it may be slow on a machine that
# is busy, but not as slow as a look at each would be.
_LOOK_S = 1.0
_EVERY_S = 0.1
_PATIENCE_S = 280


@pytest.mark.aws_box(executor="process")
def test_ten_thousand_children_run_to_their_ends(aws_box: Box, capsys: pytest.CaptureFixture[str]) -> None:
    cloud.make_queue(aws_box, environment=cloud.make_environment(aws_box, max_vcpus=256))
    definition = cloud.make_definition(aws_box, "true", memory_mib=64)
    memory = [memory_mib(aws_box.pid)]
    start = time.monotonic()
    parent = cloud.submit(aws_box, definition, arrayProperties={"size": CHILDREN})
    ended, looks = watch(aws_box, parent)
    took_s = time.monotonic() - start
    memory.append(memory_mib(aws_box.pid))
    assert ended["status"] == "SUCCEEDED"
    assert {state: count for state, count in counts(ended).items() if count} == {"SUCCEEDED": CHILDREN}
    assert list_children(aws_box, parent) == [f"{parent}:{index}" for index in range(CHILDREN)]
    with capsys.disabled():
        print(
            f"\n{CHILDREN} children in {took_s:.1f} s, {CHILDREN / took_s:.0f} a second;"
            f" DescribeJobs {1000 * statistics.median(looks):.0f} ms, at most {1000 * max(looks):.0f} ms;"
            f" the box has {memory[0]:.0f} MiB before and {memory[1]:.0f} MiB after"
        )
    assert statistics.median(looks) < _LOOK_S


def watch(box: Box, parent: str) -> tuple[dict[str, Any], list[float]]:
    """Look at an array until it has ended; return it, and how long each look took in seconds."""
    looks: list[float] = []
    until = time.monotonic() + _PATIENCE_S
    while time.monotonic() < until:
        start = time.monotonic()
        job = cloud.describe(box, parent)
        looks.append(time.monotonic() - start)
        assert sum(counts(job).values()) in (0, CHILDREN)
        if job["status"] in cloud.FINAL:
            return job, looks
        assert job["status"] in ("SUBMITTED", "PENDING")
        time.sleep(_EVERY_S)
    raise AssertionError(f"the array has not ended: {Counter(counts(job))}")


def counts(parent: dict[str, Any]) -> dict[str, int]:
    found: dict[str, int] = parent["arrayProperties"]["statusSummary"]
    return found


def list_children(box: Box, parent: str) -> list[str]:
    pages = box.client("batch").get_paginator("list_jobs").paginate(arrayJobId=parent, jobStatus="SUCCEEDED")
    return [job["jobId"] for page in pages for job in page["jobSummaryList"]]


def memory_mib(pid: int) -> float:
    """Return the most memory that a process ever had; 0 where the kernel does not tell."""
    if sys.platform != "linux":
        return 0.0
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    (peak,) = (line.split()[1] for line in lines if line.startswith("VmHWM:"))
    return int(peak) / 1024
