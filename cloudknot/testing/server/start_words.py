"""Why a task does not start, in the words that ECS has for it on machines and on Fargate. Pure.

Each was seen in people's reports; what was not is said beside it.
"""

import uuid

from cloudknot.testing.batch.account import NotStarted

__all__ = ["no_log_stream", "no_pull", "no_registry_login", "no_role", "no_secret"]

_NOT_STARTED = "Task failed to start"
_ON_FARGATE = (
    "ResourceInitializationError: unable to pull secrets or registry auth: "
    "execution resource retrieval failed:"
)
_ONCE_MORE = "service call has been retried 1 time(s):"


def no_role(role_arn: str) -> NotStarted:
    """Say that ECS cannot assume the role of a job."""
    return NotStarted(
        None,
        f"ECS was unable to assume the role '{role_arn}' that was provided for this task. Please verify that "
        "the role being passed has the proper trust relationship and permissions and that your IAM user has "
        "permissions to pass this role.",
    )


def no_registry_login(denied: str, *, is_fargate: bool) -> NotStarted:
    """Say that `ecr:GetAuthorizationToken` is not allowed."""
    if is_fargate:
        start = f"{_ON_FARGATE} unable to retrieve ecr registry auth: {_ONCE_MORE}"
        return NotStarted(None, f"{start} {_failed_operation('ECR', 'GetAuthorizationToken', denied)}")
    words = f"AccessDeniedException: {denied}\n\tstatus code: 400, request id: {uuid.uuid4()}"
    return NotStarted(f"CannotPullECRContainerError: {words}", _NOT_STARTED)


def no_pull(repository: str, denied: str) -> NotStarted:
    """Say that the image may not be pulled."""
    return NotStarted(
        "CannotPullContainerError: The task can\N{RIGHT SINGLE QUOTATION MARK}t pull the image. Check that "
        "the role has the permissions to pull images from the registry. Error response from daemon: pull "
        f"access denied for {repository}, repository does not exist or may require "
        f"'docker login': denied: {denied}",
        _NOT_STARTED,
    )


def no_secret(value_from: str, region: str, cause: str, *, is_fargate: bool) -> NotStarted:
    """Say that a secret cannot be read.

    Parameters
    ----------
    value_from : str
        Which.
    region : str
        Where.
    cause : str
        Why, as Secrets Manager or SSM says it: `AccessDeniedException: ...`.
    is_fargate : bool
        Whether the task has no machine.
    """
    is_parameter = ":secretsmanager:" not in value_from
    if is_fargate:
        what = "retrieve secrets from ssm" if is_parameter else "retrieve secret from asm"
        return NotStarted(None, f"{_ON_FARGATE} unable to {what}: {_ONCE_MORE} {cause}")
    # The sentence for a parameter, and where DescribeJobs shows either, are not confirmed.
    service = "SSM Parameter Store" if is_parameter else "AWS Secrets Manager"
    return NotStarted(
        None, f"Fetching secret data from {service} in region {region}: secret {value_from}: {cause}"
    )


def no_log_stream(cause: str, *, is_fargate: bool, what: str = "stream") -> NotStarted:
    """Say that the log stream (or `group`) cannot be made: there is no such group, or it is not allowed."""
    why = f"failed to create Cloudwatch log {what}: {cause}"
    if is_fargate:
        start = "ResourceInitializationError: failed to validate logger args:"
        return NotStarted(None, f"{start} create stream has been retried 1 times: {why} : exit status 1")
    start = "CannotStartContainerError: Error response from daemon: failed to initialize logging driver:"
    return NotStarted(f"{start} {why}", _NOT_STARTED)


def _failed_operation(service: str, operation: str, denied: str) -> str:
    return (
        f"operation error {service}: {operation}, https response error StatusCode: 400, "
        f"RequestID: {uuid.uuid4()}, api error AccessDeniedException: {denied}"
    )
