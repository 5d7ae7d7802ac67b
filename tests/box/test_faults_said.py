"""Faults that a service says: throttling and server errors, in its own words and as botocore reads them."""

from typing import Any

import botocore.exceptions
import pytest
from botocore.retries.standard import RetryContext, ThrottledRetryableChecker, TransientRetryableChecker

from cloudknot.testing import faults
from tests.box.fault_stand import LARGE, standing


def refusal_of(call: Any, *args: Any, **kwargs: Any) -> tuple[str, str, int, RetryContext]:
    with pytest.raises(botocore.exceptions.ClientError) as raised:
        call(*args, **kwargs)
    reply: Any = raised.value.response
    status = reply["ResponseMetadata"]["HTTPStatusCode"]
    answer = type("Answer", (), {"status_code": status})
    context = RetryContext(attempt_number=1, parsed_response=reply, http_response=answer)
    return reply["Error"]["Code"], reply["Error"]["Message"], status, context


CALLS: dict[str, tuple[str, dict[str, Any]]] = {
    "s3": ("get_object", {"Bucket": "b", "Key": "k"}),
    "batch": ("describe_jobs", {"jobs": ["1"]}),
    "ec2": ("describe_vpcs", {}),
    "iam": ("list_users", {}),
    "sts": ("get_caller_identity", {}),
    "cloudformation": ("list_stacks", {}),
    "ecr": ("describe_repositories", {}),
    "logs": ("describe_log_groups", {}),
    "events": ("list_rules", {}),
    "sqs": ("list_queues", {}),
    "secretsmanager": ("list_secrets", {}),
    "ssm": ("describe_parameters", {}),
    "kms": ("list_keys", {}),
    "pricing": ("describe_services", {}),
}
RATE = "Rate exceeded"


@pytest.mark.parametrize(
    ("service", "code", "message", "status"),
    [
        ("s3", "SlowDown", "Please reduce your request rate.", 503),
        ("batch", "TooManyRequestsException", "Too Many Requests", 429),
        ("ec2", "RequestLimitExceeded", "Request limit exceeded.", 503),
        ("iam", "Throttling", RATE, 400),
        ("sts", "Throttling", RATE, 400),
        ("cloudformation", "Throttling", RATE, 400),
        ("ecr", "ThrottlingException", RATE, 400),
        ("logs", "ThrottlingException", RATE, 400),
        ("events", "ThrottlingException", RATE, 400),
        ("sqs", "RequestThrottled", "The request was denied due to request throttling.", 403),
        ("secretsmanager", "ThrottlingException", RATE, 400),
        ("ssm", "ThrottlingException", RATE, 400),
        ("kms", "ThrottlingException", RATE, 400),
        ("pricing", "ThrottlingException", RATE, 400),
    ],
)
def test_throttling_is_said_in_the_services_own_way_and_botocore_takes_it_so(
    service: str, code: str, message: str, status: int
) -> None:
    method, arguments = CALLS[service]
    with standing(faults.Throttle(service=service)) as stand:
        *said, context = refusal_of(getattr(stand.client(service), method), **arguments)
    assert said == [code, message, status]
    assert ThrottledRetryableChecker().is_retryable(context)


@pytest.mark.parametrize(
    ("service", "status", "code"),
    [
        ("s3", 500, "InternalError"),
        ("s3", 503, "ServiceUnavailable"),
        ("batch", 500, "ServerException"),
        ("batch", 503, "ServiceUnavailable"),
        ("ec2", 500, "InternalError"),
        ("ec2", 503, "Unavailable"),
        ("iam", 500, "ServiceFailure"),
        ("sts", 500, "InternalFailure"),
        ("cloudformation", 503, "ServiceUnavailable"),
        ("ecr", 500, "ServerException"),
        ("logs", 503, "ServiceUnavailableException"),
        ("events", 500, "InternalException"),
        ("sqs", 500, "InternalFailure"),
        ("secretsmanager", 500, "InternalServiceError"),
        ("ssm", 500, "InternalServerError"),
        ("kms", 500, "KMSInternalException"),
        ("pricing", 500, "InternalErrorException"),
    ],
)
def test_a_service_that_fails_says_so_in_its_own_way(service: str, status: int, code: str) -> None:
    method, arguments = CALLS[service]
    with standing(faults.ServerError(service=service, status=status)) as stand:
        said, message, seen, context = refusal_of(getattr(stand.client(service), method), **arguments)
    assert (said, seen) == (code, status)
    assert message
    assert TransientRetryableChecker().is_retryable(context)


def test_the_words_of_a_server_error_can_be_given() -> None:
    with standing(faults.ServerError(service="batch", status=599, code="Own", message="own words")) as stand:
        assert refusal_of(stand.client("batch").describe_jobs, jobs=["1"])[:3] == ("Own", "own words", 599)


@pytest.mark.parametrize("is_carried_out", [False, True])
def test_what_ends_in_a_server_error_is_carried_out_or_not(*, is_carried_out: bool) -> None:
    with standing(faults.ServerError(service="batch", is_carried_out=is_carried_out)) as stand:
        refusal_of(stand.client("batch").submit_job, jobName="a", jobQueue="q", jobDefinition="d")
        assert len(stand.submitted) == is_carried_out


def test_a_head_request_gets_an_error_without_a_body() -> None:
    with standing(faults.ServerError(service="s3", status=503)) as stand:
        code, _, status, _ = refusal_of(stand.client("s3").head_object, Bucket="b", Key="k")
    assert (code, status) == ("503", 503)


def test_who_is_throttled_in_a_large_upload_is_told_so() -> None:
    with standing(faults.Throttle(service="s3")) as stand:
        code, *_ = refusal_of(stand.client("s3").put_object, Bucket="b", Key="k", Body=LARGE)
        assert code == "SlowDown"
        assert not stand.objects


def test_botocore_gets_over_a_throttle() -> None:
    with standing(faults.Throttle(service="s3", times=1)) as stand:
        stand.client("s3", retries=1).put_object(Bucket="b", Key="k", Body=LARGE)
        assert stand.objects == {"/b/k": LARGE}
        assert stand.rules.list()[0].struck == 1
