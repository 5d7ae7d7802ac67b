"""Whether each role trusts the service that is to take it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from cloudknot.aws.findings import MAKE_ANEW, Check, failed, passed, unknown
from cloudknot.aws.session import Aws
from cloudknot.aws.substrate import Substrate
from cloudknot.errors import AwsError

_TASKS, _MACHINES = "ecs-tasks.amazonaws.com", "ec2.amazonaws.com"


def check_roles(aws: Aws, substrate: Substrate, environments: Sequence[Mapping[str, Any]]) -> Iterator[Check]:
    """Yield whether the roles of jobs and of machines are there and trust the right service."""
    profiles = {one["computeResources"].get("instanceRole") for one in environments} - {None, ""}
    wanted = [("job role", substrate.job_role_arn), ("execution role", substrate.execution_role_arn)]
    for what, arn in wanted:
        yield _look_at_role(aws, what, arn.rpartition("/")[2], _TASKS)
    for profile in sorted(map(str, profiles)):
        yield from _look_at_profile(aws, profile.rpartition("/")[2])


def trusts(document: Mapping[str, Any], service: str) -> bool:
    """Return whether a trust policy lets a service take its role.

    Examples
    --------
    >>> allow = {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}
    >>> trusts({"Statement": allow}, "ec2.amazonaws.com"), trusts({"Statement": [allow]}, "ecs.amazonaws.com")
    (True, False)
    """
    for statement in _listed(document.get("Statement")):
        principal = statement.get("Principal", {})
        services = _listed(principal.get("Service")) if isinstance(principal, Mapping) else ["*"]
        takes = {"sts:AssumeRole", "sts:*", "*"} & set(_listed(statement.get("Action")))
        if statement.get("Effect") == "Allow" and takes and {service, "*"} & set(services):
            return True
    return False


def _look_at_role(aws: Aws, what: str, name: str, service: str) -> Check:
    try:
        role = aws.call("iam", "get_role", RoleName=name)["Role"]
    except AwsError as error:
        if error.code in ("NoSuchEntity", "NoSuchEntityException"):
            return failed("roles", f"the {what} {name} is gone", MAKE_ANEW)
        return unknown("roles", f"the {what} {name} could not be looked at: {error}")
    if trusts(role["AssumeRolePolicyDocument"], service):
        return passed("roles", f"the {what} {name} trusts {service}")
    cure = f"allow sts:AssumeRole to {service} in its trust policy; or {MAKE_ANEW}"
    return failed("roles", f"the {what} {name} does not trust {service}, so that no job starts", cure)


def _look_at_profile(aws: Aws, name: str) -> Iterator[Check]:
    try:
        profile = aws.call("iam", "get_instance_profile", InstanceProfileName=name)["InstanceProfile"]
    except AwsError as error:
        if error.code in ("NoSuchEntity", "NoSuchEntityException"):
            yield failed("roles", f"the instance profile {name} is gone: no machine can start", MAKE_ANEW)
        else:
            yield unknown("roles", f"the instance profile {name} could not be looked at: {error}")
        return
    if not profile["Roles"]:
        yield failed("roles", f"the instance profile {name} has no role: no machine can start", MAKE_ANEW)
    for role in profile["Roles"]:
        yield _look_at_role(aws, "machines' role", role["RoleName"], _MACHINES)


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [] if value is None else [value]
