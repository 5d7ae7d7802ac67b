"""AWS Batch's front: each request is checked for its shape and its limits, then done."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from cloudknot.testing.batch import limits
from cloudknot.testing.batch.catalogue import Catalogue
from cloudknot.testing.batch.errors import BatchError
from cloudknot.testing.batch.model import operations
from cloudknot.testing.batch.refusals import UnsupportedError
from cloudknot.testing.batch.submissions import check_listing, check_submit
from cloudknot.testing.batch.tags import Tags
from cloudknot.testing.batch.validation import checked

__all__ = ["BatchApi", "JobEngine"]


class JobEngine(Protocol):
    """What moves jobs, as the front needs it."""

    def submit(self, params: dict[str, Any]) -> dict[str, Any]:
        """Take a job; returns its ARN, name and id."""

    def describe(self, job_ids: Sequence[str]) -> list[dict[str, Any]]:
        """Return what is known of jobs; those that are not known are left out."""

    def list(self, params: dict[str, Any]) -> dict[str, Any]:
        """Return a page of a queue's or an array's jobs."""

    def cancel(self, job_id: str, reason: str) -> None:
        """End a job that has not started."""

    def terminate(self, job_id: str, reason: str) -> None:
        """End a job."""

    def snapshot(self, queue: str) -> dict[str, Any]:
        """Return what is at the front of a queue."""


class BatchApi:
    """Answers requests to AWS Batch.

    Parameters
    ----------
    catalogue : Catalogue
        What people made but jobs.
    engine : JobEngine
        What moves jobs. Jobs can be tagged where it has `tags(arn)`, which returns a job's tags to be changed
        in place, or None when there is no such job.
    submits_per_s : float or None, default SUBMITS_PER_S
        So many submits are taken a second of the box's time; None for any number.
    """

    def __init__(
        self, catalogue: Catalogue, engine: JobEngine, *, submits_per_s: float | None = limits.SUBMITS_PER_S
    ) -> None:
        self._catalogue = catalogue
        self._engine = engine
        self._submits = limits.TokenBucket(catalogue.clock, submits_per_s)
        self._table = self._make_table()

    def handle(self, operation: str, params: Mapping[str, Any], *, size: int) -> dict[str, Any]:
        """Do what a request asks.

        Parameters
        ----------
        operation : str
            Its name in botocore's model, such as ``"SubmitJob"``.
        params : mapping
            Its members.
        size : int
            The bytes of its body.

        Returns
        -------
        dict
            The reply's members.

        Raises
        ------
        BatchError
            When it is refused, in AWS's words where they are known.
        """
        do = self._table.get(operation)
        if do is None:
            known = (
                f"Batch's {operation}"
                if operation in operations()
                else f"{operation}, which Batch does not know"
            )
            raise UnsupportedError(known)
        self._check_limits(operation, size)
        members = checked(operation, params)
        with self._catalogue.lock:
            return do(members)

    def _check_limits(self, operation: str, size: int) -> None:
        if operation == "SubmitJob":
            with self._catalogue.lock:
                self._submits.take()
            limits.check_submit_size(size)
        elif operation == "RegisterJobDefinition":
            limits.check_definition_size(size)

    def _make_table(self) -> Mapping[str, Callable[[dict[str, Any]], dict[str, Any]]]:
        environments, queues = self._catalogue.making_environments, self._catalogue.making_queues
        definitions, policies = self._catalogue.making_definitions, self._catalogue.making_policies
        tags = Tags(self._tags)
        return {
            "RegisterJobDefinition": definitions.register,
            "DeregisterJobDefinition": definitions.deregister,
            "DescribeJobDefinitions": definitions.describe,
            "CreateComputeEnvironment": environments.create,
            "UpdateComputeEnvironment": environments.update,
            "DeleteComputeEnvironment": environments.delete,
            "DescribeComputeEnvironments": environments.describe,
            "CreateJobQueue": queues.create,
            "UpdateJobQueue": queues.update,
            "DeleteJobQueue": queues.delete,
            "DescribeJobQueues": queues.describe,
            "CreateSchedulingPolicy": policies.create,
            "UpdateSchedulingPolicy": policies.update,
            "DeleteSchedulingPolicy": policies.delete,
            "DescribeSchedulingPolicies": policies.describe,
            "ListSchedulingPolicies": policies.list,
            "TagResource": tags.add,
            "UntagResource": tags.remove,
            "ListTagsForResource": tags.list,
            "SubmitJob": self._submit,
            "DescribeJobs": self._describe_jobs,
            "ListJobs": self._list_jobs,
            "CancelJob": lambda params: self._stop(self._engine.cancel, params),
            "TerminateJob": lambda params: self._stop(self._engine.terminate, params),
            "CancelJobs": lambda params: self._stop_each(self._engine.cancel, params),
            "TerminateJobs": lambda params: self._stop_each(self._engine.terminate, params),
            "GetJobQueueSnapshot": self._snapshot,
        }

    def _submit(self, params: dict[str, Any]) -> dict[str, Any]:
        check_submit(params, self._catalogue)
        return self._engine.submit(params)

    def _describe_jobs(self, params: dict[str, Any]) -> dict[str, Any]:
        limits.check_job_ids(params["jobs"], limits.DESCRIBED_JOBS)
        return {"jobs": self._engine.describe(params["jobs"])}

    def _list_jobs(self, params: dict[str, Any]) -> dict[str, Any]:
        check_listing(params)
        return self._engine.list(params)

    def _snapshot(self, params: dict[str, Any]) -> dict[str, Any]:
        return self._engine.snapshot(self._catalogue.queue(params["jobQueue"]).arn)

    def _stop(self, stop: Callable[[str, str], None], params: dict[str, Any]) -> dict[str, Any]:
        stop(params["jobId"], params["reason"])
        return {}

    def _stop_each(self, stop: Callable[[str, str], None], params: dict[str, Any]) -> dict[str, Any]:
        """Stop up to 50 jobs: "jobs that can't be found are treated as successfully processed"."""
        limits.check_job_ids(params["jobs"], limits.STOPPED_JOBS)
        successful: list[str] = []
        errors: list[dict[str, str]] = []
        for job_id in params["jobs"]:
            try:
                stop(job_id, params["reason"])
            except BatchError as error:
                if self._engine.describe([job_id]):
                    errors.append({"job": job_id, "code": error.code, "message": error.message})
                    continue
            successful.append(job_id)
        return {"successful": successful, "errors": errors}

    def _tags(self, arn: str) -> dict[str, str] | None:
        of_job: Callable[[str], dict[str, str] | None] | None = getattr(self._engine, "tags", None)
        if of_job and ":job/" in arn:
            return of_job(arn)
        return self._catalogue.tags(arn)
