"""Real jobs of a box, of which a test decides when they begin and end, for tests of times and costs."""

from __future__ import annotations

from pathlib import Path

from cloudknot.testing import Box
from tests.box import cloud

# Each job ends when its gate is there ("gate-INDEX" for a child), with the exit code that is written in it.
GATED = """
import os, pathlib, sys, time
index = os.environ.get("AWS_BATCH_JOB_ARRAY_INDEX")
gate = pathlib.Path(sys.argv[1]) / ("gate" if index is None else f"gate-{index}")
while not gate.exists():
    time.sleep(0.02)
time.sleep(0.02)
sys.exit(int(gate.read_text() or "0"))
"""


class GatedJobs:
    """A queue whose jobs run until their gates are opened.

    Parameters
    ----------
    box : Box
        Where; its time stands still unless it is advanced.
    folder : Path
        For the gates.
    """

    def __init__(self, box: Box, folder: Path, *, kind: str = "EC2") -> None:
        self.box = box
        self._folder = folder
        strategy = "SPOT_PRICE_CAPACITY_OPTIMIZED" if kind == "SPOT" else "BEST_FIT_PROGRESSIVE"
        environment = cloud.make_environment(box, "gated", type=kind, allocationStrategy=strategy)
        cloud.make_queue(box, "queue", environment=environment)
        self._definition = cloud.make_definition(
            box,
            "python",
            "-c",
            GATED,
            str(folder),
            retryStrategy={
                "attempts": 3,
                "evaluateOnExit": [
                    {"onStatusReason": "Host EC2*", "action": "RETRY"},
                    {"onReason": "*", "action": "EXIT"},
                ],
            },
        )

    def start(self, size: int | None = None) -> str:
        """Start a job, or an array, and wait until all of it runs."""
        job_id = self.submit(size)
        self.wait_until_running(job_id, size)
        return job_id

    def submit(self, size: int | None = None) -> str:
        """Submit a job, or an array."""
        options = {} if size is None else {"arrayProperties": {"size": size}}
        return cloud.submit(self.box, self._definition, **options)

    def wait_until_running(self, job_id: str, size: int | None = None) -> None:
        """Wait until all of a job or an array runs."""
        for one in [job_id] if size is None else [f"{job_id}:{index}" for index in range(size)]:
            self.wait(one, "RUNNING")

    def open(self, index: int | None = None, *, code: int = 0) -> None:
        """Let a job, or an array's child, end by itself."""
        name = "gate" if index is None else f"gate-{index}"
        (self._folder / f".{name}").write_text(str(code))
        (self._folder / f".{name}").rename(self._folder / name)

    def wait(self, job_id: str, *states: str) -> None:
        """Wait until a job is in one of these states; what is due at once happens."""
        self.box.advance(0)
        cloud.wait_until(lambda: self._is_in(job_id, states), f"{job_id} in {states}")

    def finish(self, job_id: str) -> None:
        """Wait until a job has ended."""
        self.wait(job_id, "SUCCEEDED", "FAILED")

    def _is_in(self, job_id: str, states: tuple[str, ...]) -> bool:
        self.box.advance(0)
        return cloud.describe(self.box, job_id)["status"] in states
