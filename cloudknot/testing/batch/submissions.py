"""Whether a job may be submitted, and what may be asked of jobs."""

from collections.abc import Mapping
from typing import Any

from cloudknot.testing.batch import definition_rules as rules
from cloudknot.testing.batch.catalogue import Catalogue
from cloudknot.testing.batch.containers import effective_container
from cloudknot.testing.batch.errors import ClientException
from cloudknot.testing.batch.limits import DEPENDENCIES, check_array_size, check_job_name
from cloudknot.testing.batch.refusals import UnsupportedError, refusal
from cloudknot.testing.batch.values import JobDefinition, JobQueue

__all__ = ["check_listing", "check_submit"]

_UNSUPPORTED = (
    "nodeOverrides",
    "eksPropertiesOverride",
    "ecsPropertiesOverride",
    "consumableResourcePropertiesOverride",
)
_FILTERS = ("JOB_NAME", "JOB_DEFINITION", "BEFORE_CREATED_AT", "AFTER_CREATED_AT", "SHARE_IDENTIFIER")
_PRIORITIES = range(10_000)


def check_submit(params: Mapping[str, Any], catalogue: Catalogue) -> None:
    """Refuse a SubmitJob that AWS would refuse.

    Raises
    ------
    ClientException
        In AWS's words where they are known.
    UnsupportedError
        When it is one that the box cannot run.
    """
    _check_words(params)
    queue = catalogue.queue(params["jobQueue"])
    if queue.state != "ENABLED" or queue.status not in ("VALID", "UPDATING"):
        # That it must be is the API's reference; the words are not confirmed.
        raise ClientException(
            f"JobQueue {params['jobQueue']} is {queue.state} and {queue.status}: it must be ENABLED and VALID"
        )
    _check_share(params, queue)
    definition = catalogue.definition(params["jobDefinition"])
    environments = catalogue.environments_of(queue)
    platform = "FARGATE" if "FARGATE" in definition.platforms else "EC2"
    is_fargate = any(environment.is_fargate for environment in environments)
    # A definition may be for both.
    if ("FARGATE" if is_fargate else "EC2") not in definition.platforms:
        raise ClientException(
            f"Job Queue is attached to Compute Environment that can not run Jobs with capability {platform}."
        )
    _check_container(params, definition, is_fargate=is_fargate)


def check_listing(params: Mapping[str, Any]) -> None:
    """Refuse a ListJobs that asks of nothing, or of too much; the words are not confirmed."""
    asked = [name for name in ("jobQueue", "arrayJobId", "multiNodeJobId") if params.get(name)]
    if len(asked) != 1:
        raise refusal("One of jobQueue, arrayJobId and multiNodeJobId must be specified")
    if "multiNodeJobId" in params:
        raise UnsupportedError("multi-node parallel jobs")
    filters = params.get("filters", ())
    if len(filters) > 1:
        raise refusal("Only one filter can be used at a time")
    for one in filters:
        if one.get("name") not in _FILTERS:
            raise refusal(f"Filter name {one.get('name')} is not one of {', '.join(_FILTERS)}")
    most = 100 if filters else 1000
    if not 1 <= params.get("maxResults", most) <= most:
        raise refusal(f"maxResults must be between 1 and {most}, got {params['maxResults']}")


def _check_words(params: Mapping[str, Any]) -> None:
    check_job_name(params["jobName"])
    for name in _UNSUPPORTED:
        if params.get(name):
            raise UnsupportedError(f"jobs with {name}")
    if "size" in params.get("arrayProperties", {}):
        check_array_size(params["arrayProperties"]["size"])
    dependencies = params.get("dependsOn", ())
    if len(dependencies) > DEPENDENCIES:
        # The words are not confirmed.
        raise refusal(f"A job can depend on at most {DEPENDENCIES} jobs, got {len(dependencies)}")
    overrides = params.get("containerOverrides", {})
    rules.check_command(overrides)
    rules.check_environment(overrides)
    rules.check_retry(params.get("retryStrategy"))
    rules.check_timeout(params.get("timeout"))


def _check_share(params: Mapping[str, Any], queue: JobQueue) -> None:
    has_share = "shareIdentifier" in params
    if queue.scheduling_policy_arn is None and (has_share or "schedulingPriorityOverride" in params):
        # The missing space is AWS's.
        raise ClientException(
            "Job with shareIdentifier or schedulingPriority can onlybe submitted to job queue "
            "with fair share scheduling policy."
        )
    # The words of these are not confirmed.
    if queue.scheduling_policy_arn is not None and not has_share:
        raise ClientException(
            "Job without shareIdentifier cannot be submitted to job queue with a scheduling policy"
        )
    if params.get("schedulingPriorityOverride", 0) not in _PRIORITIES:
        raise refusal(f"schedulingPriorityOverride must be between {_PRIORITIES[0]} and {_PRIORITIES[-1]}")


def _check_container(params: Mapping[str, Any], definition: JobDefinition, *, is_fargate: bool) -> None:
    overrides = params.get("containerOverrides", {})
    if is_fargate:
        for name in ("vcpus", "memory"):
            if name in overrides:
                raise ClientException(
                    f"{name} is not applicable for Fargate. Use resource requirements instead."
                )
    rules.check_resources(overrides.get("resourceRequirements", ()), is_fargate=is_fargate)
    container = effective_container(definition, params.get("parameters", {}), overrides)
    wrong = rules.check_fargate_size(container) if is_fargate else None
    if wrong:
        raise ClientException(wrong)
