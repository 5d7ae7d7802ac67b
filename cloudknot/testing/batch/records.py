"""Which jobs there are."""

from collections.abc import Iterable

from cloudknot.testing.batch.jobs import Job

__all__ = ["KEPT_S", "Records"]

# AWS: about seven days (user guide, job_states); DescribeJobs then knows a job no more.
KEPT_S = 7 * 24 * 3600.0


class Records:
    """All jobs by id, and those of each queue in the order in which they were submitted."""

    def __init__(self) -> None:
        self._jobs: dict[str, Job] = {}
        self._by_queue: dict[str, dict[str, Job]] = {}
        self._open: dict[str, dict[str, Job]] = {}

    def add(self, job: Job) -> None:
        """Take down a job that was submitted."""
        self._jobs[job.id] = job
        self._by_queue.setdefault(job.order.queue, {})[job.id] = job
        self._open.setdefault(job.order.queue, {})[job.id] = job

    def add_children(self, children: Iterable[Job]) -> None:
        """Take down the children of an array."""
        self._jobs.update((child.id, child) for child in children)

    def find(self, job_id: str) -> Job | None:
        """Return the job of an id."""
        return self._jobs.get(job_id)

    def of_queue(self, queue: str) -> list[Job]:
        """Return the jobs of a queue, the newest first; the children of arrays are not among them."""
        return list(reversed(self._by_queue.get(queue, {}).values()))

    def all(self) -> list[Job]:
        """Return all jobs; the children of arrays are not among them."""
        return [job for jobs in self._by_queue.values() for job in jobs.values()]

    def open_jobs(self, queue: str) -> list[Job]:
        """Return those of a queue that have not ended."""
        return list(self._open.get(queue, {}).values())

    def has_open(self, queue: str) -> bool:
        """Say whether a queue has jobs that have not ended."""
        return bool(self._open.get(queue))

    def note_end(self, job: Job) -> None:
        """Take down that a job has ended."""
        self._open.get(job.order.queue, {}).pop(job.id, None)

    def forget(self, job: Job) -> None:
        """Know a job, and its children, no more."""
        self._by_queue.get(job.order.queue, {}).pop(job.id, None)
        for one in (job, *job.children):
            self._jobs.pop(one.id, None)

    def clear(self) -> None:
        """Forget all."""
        self._jobs.clear()
        self._by_queue.clear()
        self._open.clear()
