"""Job queues: how they are made, changed and removed."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from cloudknot.testing.batch.environment_rules import architecture
from cloudknot.testing.batch.environments import Environments
from cloudknot.testing.batch.errors import ClientException
from cloudknot.testing.batch.limits import JOB_QUEUES, check_name
from cloudknot.testing.batch.paging import page
from cloudknot.testing.batch.place import Place
from cloudknot.testing.batch.queue_rules import check_actions, check_family, check_order
from cloudknot.testing.batch.refusals import UnsupportedError
from cloudknot.testing.batch.roster import Roster
from cloudknot.testing.batch.values import ComputeEnvironment, JobQueue

__all__ = ["Queues"]

_KIND = "job-queue"
# A queue stays until its last job has ended: so often is looked.
_AGAIN_S = 1.0
# The words are not confirmed: what the jobs of a queue that is deleted are terminated with.
_DELETED = "Job queue was deleted"


class Queues:
    """The job queues of a place.

    Parameters
    ----------
    place : Place
        Where they are.
    environments : Environments
        The compute environments of the place.
    has_policy : callable
        Whether there is a scheduling policy of this ARN.
    has_jobs : callable
        Whether the queue of an ARN has jobs that have not ended.
    terminate_all : callable
        What ends all jobs of the queue of an ARN, for a reason.
    """

    def __init__(
        self,
        place: Place,
        environments: Environments,
        has_policy: Callable[[str], bool],
        has_jobs: Callable[[str], bool],
        terminate_all: Callable[[str, str], None],
    ) -> None:
        self._place = place
        self._environments = environments
        self._has_policy = has_policy
        self._has_jobs = has_jobs
        self._terminate_all = terminate_all
        self._roster = Roster[JobQueue](place, noun="JobQueue", what="job queues", most=JOB_QUEUES)
        self.find, self.get, self.all = self._roster.find, self._roster.get, self._roster.all
        self._orders: dict[str, list[int]] = {}

    def create(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Make one, which is CREATING for a moment (CreateJobQueue)."""
        name = params["jobQueueName"]
        check_name(name)
        _check_supported(params)
        order = self._read_order(params.get("computeEnvironmentOrder", ()), params.get("jobQueueType"))
        check_actions(params.get("jobStateTimeLimitActions", ()))
        self._roster.check_room(name)
        policy = params.get("schedulingPolicyArn") or None
        self._check_policy(policy)
        made = JobQueue(
            name=name,
            arn=self._place.arn(_KIND, name),
            created_at=self._place.clock.now(),
            priority=params["priority"],
            environments=[environment.arn for _, environment in order],
            state=params.get("state", "ENABLED"),
            scheduling_policy_arn=policy,
            time_limit_actions=list(params.get("jobStateTimeLimitActions", ())),
            tags=dict(params.get("tags", {})),
        )
        self._orders[name] = [number for number, _ in order]
        self._roster.add(made)
        return _names(made)

    def update(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Change one, which is UPDATING for a moment (UpdateJobQueue)."""
        _check_supported(params)
        made = self._roster.find_free(params["jobQueue"])
        if "jobStateTimeLimitActions" in params:
            check_actions(params["jobStateTimeLimitActions"])
        policy = params.get("schedulingPolicyArn") or made.scheduling_policy_arn
        if policy != made.scheduling_policy_arn:
            if made.scheduling_policy_arn is None:
                # The words are not confirmed.
                raise ClientException("Cannot add a scheduling policy to a job queue that has none")
            self._check_policy(policy)
        if "computeEnvironmentOrder" in params:
            order = self._read_order(params["computeEnvironmentOrder"], None)
            made.environments = [environment.arn for _, environment in order]
            self._orders[made.name] = [number for number, _ in order]
        made.scheduling_policy_arn = policy
        made.state = params.get("state", made.state)
        made.priority = params.get("priority", made.priority)
        made.time_limit_actions = list(params.get("jobStateTimeLimitActions", made.time_limit_actions))
        self._roster.note_changed(made)
        return _names(made)

    def delete(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Remove one and end its jobs (DeleteJobQueue)."""
        made = self._roster.find_unwanted(params["jobQueue"])
        if made is None:
            return {}
        made.status = "DELETING"  # no job comes any more
        self._terminate_all(made.arn, _DELETED)
        self._roster.begin_removal(made, self._forget)
        return {}

    def describe(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Show those that are asked for (DescribeJobQueues)."""
        shown, rest = page(self._roster.seen(params.get("jobQueues")), params)
        return {"jobQueues": [self._show(one) for one in shown], **rest}

    def environments_of(self, queue: JobQueue) -> list[ComputeEnvironment]:
        """Return its compute environments, in their order."""
        found = (self._environments.get(arn) for arn in queue.environments)
        return [environment for environment in found if environment]

    def _read_order(
        self, asked: Sequence[Mapping[str, Any]], kind: str | None
    ) -> list[tuple[int, ComputeEnvironment]]:
        check_order(asked)
        order = [
            (one["order"], self._environments.find(one["computeEnvironment"]))
            for one in sorted(asked, key=lambda one: one["order"])
        ]
        types = self._place.account.instance_types()
        environments = [environment for _, environment in order]
        check_family(environments, [architecture(one.resources, types) for one in environments], kind)
        return order

    def _check_policy(self, arn: str | None) -> None:
        if arn and not self._has_policy(arn):
            # The words are not confirmed.
            raise ClientException(f"SchedulingPolicy {arn} not found.")

    def _forget(self, made: JobQueue) -> None:
        if self._has_jobs(made.arn):
            self._place.later(_AGAIN_S, lambda: self._forget(made))
            return
        self._roster.remove(made)
        self._orders.pop(made.name, None)

    def _show(self, made: JobQueue) -> dict[str, Any]:
        pairs = zip(self._orders[made.name], made.environments, strict=True)
        is_fargate = any(one.is_fargate for one in self.environments_of(made))
        return {
            **_names(made),
            "state": made.state,
            "status": made.status,
            "statusReason": made.status_reason,
            "priority": made.priority,
            "computeEnvironmentOrder": [
                {"order": number, "computeEnvironment": arn} for number, arn in pairs
            ],
            "jobQueueType": "ECS_FARGATE" if is_fargate else "ECS",
            "tags": dict(made.tags),
            "jobStateTimeLimitActions": made.time_limit_actions,
            **({"schedulingPolicyArn": made.scheduling_policy_arn} if made.scheduling_policy_arn else {}),
        }


def _check_supported(params: Mapping[str, Any]) -> None:
    if params.get("serviceEnvironmentOrder"):
        raise UnsupportedError("job queues with service environments")


def _names(made: JobQueue) -> dict[str, Any]:
    return {"jobQueueName": made.name, "jobQueueArn": made.arn}
