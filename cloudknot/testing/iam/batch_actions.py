"""The permissions that calls of AWS Batch need."""

from collections.abc import Iterator, Mapping
from typing import Any

from cloudknot.testing.iam.arns import Place, pass_role, tags_in
from cloudknot.testing.iam.values import Ask, ContextValue

__all__ = ["asks"]

# Not confirmed: the reference has no actions for bulk calls. Those of SQS need the action of the single call.
_SINGLE = {"CancelJobs": "CancelJob", "TerminateJobs": "TerminateJob"}
_TASKS = "ecs-tasks.amazonaws.com"
# Not confirmed: to whom Batch says that it passes the roles of a compute environment.
_MACHINES, _BATCH, _SPOT_FLEET = "ec2.amazonaws.com", "batch.amazonaws.com", "spotfleet.amazonaws.com"
# The member that names what an operation is about, and the kind of that in its ARN.
_NAMED = {
    "CreateComputeEnvironment": ("computeEnvironmentName", "compute-environment"),
    "UpdateComputeEnvironment": ("computeEnvironment", "compute-environment"),
    "DeleteComputeEnvironment": ("computeEnvironment", "compute-environment"),
    "CreateJobQueue": ("jobQueueName", "job-queue"),
    "UpdateJobQueue": ("jobQueue", "job-queue"),
    "DeleteJobQueue": ("jobQueue", "job-queue"),
    "GetJobQueueSnapshot": ("jobQueue", "job-queue"),
    "RegisterJobDefinition": ("jobDefinitionName", "job-definition"),
    "DeregisterJobDefinition": ("jobDefinition", "job-definition"),
    "CreateSchedulingPolicy": ("name", "scheduling-policy"),
    "UpdateSchedulingPolicy": ("arn", "scheduling-policy"),
    "DeleteSchedulingPolicy": ("arn", "scheduling-policy"),
    "CancelJob": ("jobId", "job"),
    "TerminateJob": ("jobId", "job"),
    "TagResource": ("resourceArn", "job"),
    "UntagResource": ("resourceArn", "job"),
    "ListTagsForResource": ("resourceArn", "job"),
}


def asks(operation: str, params: Mapping[str, Any], place: Place) -> list[Ask]:
    """Return what a call of Batch needs; calls that name nothing need their action on `*`."""
    action, tags = f"batch:{operation}", tags_in(params.get("tags"))
    if operation == "SubmitJob":
        return _submit(params, place)
    if operation in _SINGLE:
        jobs = [job.get("jobId", "") if isinstance(job, Mapping) else job for job in params.get("jobs", [])]
        return [Ask(action=f"batch:{_SINGLE[operation]}", resource=_arn(place, "job", job)) for job in jobs]
    if operation == "UntagResource":
        tags = {"aws:TagKeys": tuple(_as_list(params.get("tagKeys")))}
    if operation not in _NAMED:
        return [Ask(action=action, context=tags)]
    member, kind = _NAMED[operation]
    resource = _arn(place, kind, params.get(member, ""))
    context = tags | (dict(_container_keys(params)) if operation == "RegisterJobDefinition" else {})
    needed = [Ask(action=action, resource=resource, context=context)]
    needed += [
        Ask(action=action, resource=other, context=tags) for other in _others(operation, params, place)
    ]
    if tags and operation not in ("TagResource", "UntagResource"):
        needed.append(Ask(action="batch:TagResource", resource=resource, context=tags))
    return needed + _roles(params, place)


def _submit(params: Mapping[str, Any], place: Place) -> list[Ask]:
    """Return what SubmitJob needs.

    A definition that is given without its revision is asked for without (aws/aws-sdk-js#4280). The
    reference names the job, too, whose id nobody knows yet; policies that work name queue and definition only
    (Batch user guide).
    """
    tags = tags_in(params.get("tags"))
    context = dict(tags)
    if params.get("shareIdentifier"):
        context["batch:ShareIdentifier"] = str(params["shareIdentifier"])
    needed = [
        Ask(action="batch:SubmitJob", resource=_arn(place, kind, params.get(member, "")), context=context)
        for member, kind in (("jobDefinition", "job-definition"), ("jobQueue", "job-queue"))
    ]
    if tags:
        needed.append(Ask(action="batch:TagResource", resource=place.arn("batch", "job/*"), context=tags))
    return needed


def _arn(place: Place, kind: str, name: Any) -> str:
    return place.named("batch", kind, str(name or "*"))


def _others(operation: str, params: Mapping[str, Any], place: Place) -> Iterator[str]:
    if operation not in ("CreateJobQueue", "UpdateJobQueue"):
        return
    for entry in _as_list(params.get("computeEnvironmentOrder")):
        yield _arn(place, "compute-environment", entry.get("computeEnvironment"))
    if params.get("schedulingPolicyArn"):
        yield str(params["schedulingPolicyArn"])


def _roles(params: Mapping[str, Any], place: Place) -> list[Ask]:
    """Return what handing over the roles needs that a request names."""
    resources = params.get("computeResources") or {}
    needed = pass_role(place, params.get("serviceRole"), _BATCH)
    needed += pass_role(place, _role_of_profile(place, resources.get("instanceRole")), _MACHINES)
    needed += pass_role(place, resources.get("spotIamFleetRole"), _SPOT_FLEET)
    for container in _containers(params):
        for member in ("jobRoleArn", "taskRoleArn", "executionRoleArn"):
            needed += pass_role(place, container.get(member), _TASKS)
    return list({(ask.action, ask.resource): ask for ask in needed}.values())


def _role_of_profile(place: Place, profile: Any) -> str | None:
    """Return the role in an instance profile; where that is unknown, the one that has its name."""
    if not profile:
        return None
    name = str(profile).rpartition("/")[2]
    return place.known("role-of-instance-profile", name) or name


def _containers(params: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield params.get("containerProperties") or {}
    yield from _as_list((params.get("ecsProperties") or {}).get("taskProperties"))
    for nodes in _as_list((params.get("nodeProperties") or {}).get("nodeRangeProperties")):
        yield nodes.get("container") or {}
        yield from _as_list((nodes.get("ecsProperties") or {}).get("taskProperties"))


def _container_keys(params: Mapping[str, Any]) -> Iterator[tuple[str, ContextValue]]:
    container = params.get("containerProperties") or {}
    if container.get("image"):
        yield "batch:Image", str(container["image"])
    if container.get("user"):
        yield "batch:User", str(container["user"])
    if "privileged" in container:
        yield "batch:Privileged", str(bool(container["privileged"])).lower()
    if container.get("logConfiguration"):
        yield "batch:LogDriver", str(container["logConfiguration"].get("logDriver", ""))


def _as_list(found: Any) -> list[Any]:
    if isinstance(found, str):
        return [found]
    return list(found) if found else []
